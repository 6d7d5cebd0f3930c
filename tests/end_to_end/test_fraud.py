"""Fraud on a whole platform: what a player does is a score with its reasons, to be read at the door."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.end_to_end.support import Platform, asking, until, whole

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PLAYER = 5400
SCORE = f"/users/{PLAYER}/fraud-score"
MONEY: dict[str, Any] = {"user_id": PLAYER, "currency": "USD"}
QUICK_BETS = 11


def test_quick_bets_are_a_reason_with_its_numbers_and_rules_are_drafted_at_the_door(platform: Platform) -> None:
    with asking(platform, PLAYER) as ask:
        deposit = MONEY | {"type": "DEPOSIT", "amount": "100.00", "provider": "bank"}
        assert ask("finance", "POST", "/transactions", deposit, key=str(uuid4())).status_code == 201

        def velocity() -> dict[str, Any] | None:
            found = ask("risk", "GET", SCORE).json()
            reasons = found.get("reasons", [])
            return next((reason for reason in reasons if reason["rule"] == "bet_velocity"), None)

        # A burst may fall on the turn of a minute; the next one does not.
        for _ in range(2):
            for _ in range(QUICK_BETS):
                bet = MONEY | {"type": "GAME_BET", "amount": "1.00", "reference_id": "game_77"}
                done = ask("game_server", "POST", "/transactions", bet, key=str(uuid4()))
                assert done.status_code == 201, done.text
        until(lambda: velocity() is not None)

        reason = velocity()
        assert reason is not None
        assert (reason["feature"], reason["against"]) == ("peak_bets_per_minute", 10)
        assert reason["seen"] >= QUICK_BETS
        assert reason["text"] == f"{reason['seen']} bets in one minute; the threshold is 10"
        history = ask("support", "GET", f"{SCORE}/history").json()["scores"]
        assert history[0]["score"] > 0
        assert ask("player", "GET", SCORE).status_code == 403
        assert ask("support", "GET", "/fraud/flags?status=open&min_score=76").json()["next_cursor"] is None
        status = whole(ask, "risk", f"/users/{PLAYER}/status")
        assert (status["fraud"]["level"], status["restrictions"]["blocked"]) == ("SAFE", False)

        rules = ask("risk", "GET", "/fraud/rules?rule_id=bet_velocity").json()["rules"]
        body = rules[0]["body"]
        wrong = ask("risk", "POST", "/fraud/rules", {"rule": body | {"condition": "hats > 1"}, "reason": "a trial"})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "condition")
        draft = ask("risk", "POST", "/fraud/rules", {"rule": body | {"points": 11}, "reason": "a trial"})
        assert (draft.status_code, draft.json()["state"]) == (201, "draft"), draft.text
        moved = ask("risk", "POST", f"/fraud/rules/{draft.json()['version']}/shadow")
        assert (moved.status_code, moved.json()["state"]) == (200, "shadow")
        log = ask("compliance", "GET", "/audit-log?action=FRAUD_RULE_SHADOW").json()["entries"]
        assert log[0]["after"] == {"version": draft.json()["version"]}


def test_a_player_is_flagged_and_resolved_at_the_door_and_that_is_the_rules_precision(platform: Platform) -> None:
    suspect = PLAYER + 1
    rule = {
        **{"id": "seven_deposits", "condition": "deposits_72h >= 7", "points": 100, "severity": "high"},
        **{"window_minutes": 60, "half_life_minutes": 600, "sees": "deposits_72h", "against": 7},
        "text": "{deposits_72h} deposits within 72 hours",
    }
    begun = datetime.now(UTC)
    with asking(platform, suspect) as ask:
        drafted = ask("risk", "POST", "/fraud/rules", {"rule": rule, "reason": "a trial"})
        version = f"/fraud/rules/{drafted.json()['version']}"
        assert ask("risk", "POST", f"{version}/activation").status_code == 200
        money = {"user_id": suspect, "currency": "USD", "type": "DEPOSIT", "amount": "10.00", "provider": "bank"}
        for _ in range(7):
            assert ask("finance", "POST", "/transactions", money, key=str(uuid4())).status_code == 201

        def raised() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = ask("risk", "GET", f"/fraud/flags?user_id={suspect}").json()["flags"]
            return found

        # The rule acts within a second; what comes after that is scored by it.
        def flagged() -> bool:
            ask("finance", "POST", "/transactions", money, key=str(uuid4()))
            return bool(raised())

        until(flagged)
        (flag,) = raised()
        assert (flag["level"], flag["reasons"][0]["rule"]) == ("FRAUDULENT", "seven_deposits")
        assert ask("risk", "GET", f"/users/{suspect}/fraud-score").json()["score"] > 75
        word = {"status": "confirmed", "note": "all on one card"}
        resolved = ask("risk", "POST", f"/fraud/flags/{flag['id']}/resolution", word)
        assert (resolved.status_code, resolved.json()["status"]) == (200, "confirmed"), resolved.text
        assert ask("risk", "POST", f"/fraud/flags/{flag['id']}/resolution", word).json() == resolved.json()
        precision = ask("support", "GET", "/fraud/monitoring?days=1").json()["precision"]
        found = next(each for each in precision if each["rule"] == "seven_deposits")
        assert (found["confirmed"], found["dismissed"], found["precision_permille"]) == (1, 0, 1000)

        sleep = {"rule_id": "seven_deposits", "note": "known", "until": (begun + timedelta(hours=1)).isoformat()}
        assert ask("risk", "POST", f"/users/{suspect}/fraud-snoozes", sleep).status_code == 201
        told = ask("risk", "GET", f"/users/{suspect}/fraud-score").json()
        assert (told["score"], [reason["rule"] for reason in told["snoozed"]]) == (0, ["seven_deposits"])
        assert ask("risk", "POST", f"{version}/retirement").status_code == 200

        period = {"from": begun.isoformat(), "to": (datetime.now(UTC) + timedelta(minutes=1)).isoformat()}
        trial = {"rules": [rule | {"id": "seven_again", "points": 80}], **period}
        started = ask("risk", "POST", "/fraud/backtests", trial)
        assert started.status_code == 202, started.text
        path = started.headers["Location"].removeprefix("/api/v1")
        stream = ask("support", "GET", f"{path}/progress")
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert "event: finished" in stream.text
        result = ask("support", "GET", path).json()["result"]
        assert suspect in result["newly"]
        assert result["draft"]["recall_ppm"] == 1_000_000
        assert float(result["at_stake"]["USD"]) >= 70
        again = ask("risk", "POST", f"/users/{suspect}/fraud-reprocessing").json()
        until(lambda: ask("risk", "GET", f"/fraud/reprocessing/{again['id']}").json()["finished_at"] is not None)
        log = ask("compliance", "GET", f"/audit-log?user_id={suspect}").json()["entries"]
        done = [entry["action"] for entry in log if entry["action"].startswith("FRAUD")]
        assert done == ["FRAUD_REPROCESS", "FRAUD_RULE_SNOOZE", *["FRAUD_FLAG_RESOLVE"] * 2]
