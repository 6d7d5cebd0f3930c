"""What players and staff do: limits that are met and set aside, and play that detection notices."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from ops.vigilance.alarms import Severity
from tests.end_to_end.alarms.stage import PLAYER, USER, Cause, Stage
from tests.end_to_end.support import until

SUSPECT = PLAYER + 10
SUSPICIOUS_DEPOSITS = 12


@contextmanager
def _limits_are_met(stage: Stage) -> Iterator[None]:
    money = {"type": "DEPOSIT", "amount": "20000.00", "currency": "USD", "provider": "bank"}
    for player in (SUSPECT + 1, SUSPECT + 2, SUSPECT + 3):
        _many(stage, money | {"user_id": player}, 34)
    yield
    # The hours pass.
    stage.sql("UPDATE metrics.hourly_totals SET day = day - 2 WHERE reason = 'DAILY_DEPOSIT_LIMIT'")


def _many(stage: Stage, body: dict[str, Any], count: int) -> None:
    stage.done(
        "finance",
        "POST",
        "/transactions/batch",
        {"transactions": [body | {"idempotency_key": str(uuid4())} for _ in range(count)]},
    )


@contextmanager
def _a_cooldown_is_set_aside(stage: Stage) -> Iterator[None]:
    at_once = {"seconds": 0, "currency": "USD", "reason": "known for years"}
    stage.done("risk", "PUT", f"{USER}/limits/WITHDRAWAL_COOLDOWN_SECONDS", at_once)
    yield
    # A day passes.
    stage.sql("UPDATE metrics.daily_totals SET day = day - 2 WHERE kind = 'LIMIT_OVERRIDE'")


@contextmanager
def _a_player_is_flagged_and_plays(stage: Stage) -> Iterator[None]:
    version = _activated(stage, "many_deposits", f"deposits_72h >= {SUSPICIOUS_DEPOSITS}", 100)
    money = {"user_id": SUSPECT, "type": "DEPOSIT", "amount": "1.00", "currency": "USD", "provider": "bank"}
    _many(stage, money, SUSPICIOUS_DEPOSITS)

    def flags() -> Any:
        return stage.ask("risk", "GET", f"/fraud/flags?user_id={SUSPECT}").json()["flags"]

    # A rule acts within a second of its activation; what comes after that is scored by it.
    def flagged() -> bool:
        _many(stage, money, 1)
        return bool(flags())

    until(flagged)
    # The minute of the flag passes.
    stage.sql(f"UPDATE fraud.fraud_flags SET created_at = created_at - interval '2 minutes' WHERE user_id = {SUSPECT}")
    bet = money | {"type": "GAME_BET", "reference_id": "game_77"}
    bet.pop("provider")
    stage.done("game_server", "POST", "/transactions", bet)
    yield
    stage.done("risk", "POST", f"/fraud/rules/{version}/retirement")
    dismissed = {"status": "dismissed", "note": "known"}
    for flag in flags():
        stage.done("risk", "POST", f"/fraud/flags/{flag['id']}/resolution", dismissed)
    stage.done("risk", "POST", f"/users/{SUSPECT}/fraud-reprocessing")
    # A day passes.
    stage.sql(f"UPDATE fraud.fraud_flags SET created_at = created_at - interval '1 day' WHERE user_id = {SUSPECT}")


@contextmanager
def _a_rule_fails(stage: Stage) -> Iterator[None]:
    version = _activated(stage, "overflows", "9223372036854775807 + deposits_72h > 0", 1)

    def fails() -> bool:
        stage.deposit(PLAYER + 11)
        (rule,) = stage.ask("risk", "GET", "/fraud/rules?rule_id=overflows").json()["rules"]
        return bool(rule["state"] == "disabled")

    until(fails)
    yield
    stage.done("risk", "POST", f"/fraud/rules/{version}/retirement")


def _activated(stage: Stage, name: str, condition: str, points: int) -> int:
    rule = {
        **{"id": name, "condition": condition, "points": points, "severity": "high", "text": "too many"},
        **{"window_minutes": 60, "half_life_minutes": 600, "sees": "deposits_72h", "against": 1},
    }
    drafted = stage.done("risk", "POST", "/fraud/rules", {"rule": rule, "reason": "a trial"})
    version: int = drafted["version"]
    stage.done("risk", "POST", f"/fraud/rules/{version}/activation")
    return version


CAUSES = (
    Cause(_limits_are_met, {"LimitViolations": Severity.INFO}),
    Cause(_a_cooldown_is_set_aside, {"CooldownOverrides": Severity.INFO}),
    Cause(
        _a_player_is_flagged_and_plays,
        {
            "HighRiskPlayers": Severity.INFO,
            "FraudAnomalies": Severity.INFO,
            "FraudScoresAbove75": Severity.WARNING,
            "FraudFlagsUnresolved": Severity.WARNING,
            "FlaggedPlayersPlay": Severity.CRITICAL,
        },
    ),
    Cause(_a_rule_fails, {"FraudRuleDisabled": Severity.CRITICAL}),
)
