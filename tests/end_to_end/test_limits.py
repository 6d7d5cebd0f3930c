"""Limits and corrections on a whole platform, by the people whose work they are."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.support import Ask, Platform, asking, known

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PLAYER = 5100
USER = f"/users/{PLAYER}"


@pytest.fixture
def ask(platform: Platform) -> Iterator[Ask]:
    with asking(platform, PLAYER) as asked:
        yield asked


def money(kind: str, amount: str, **fields: str) -> dict[str, Any]:
    return {"user_id": PLAYER, "type": kind, "amount": amount, "currency": "USD", **fields}


def limit(ask: Ask, name: str) -> dict[str, Any]:
    """One of the player's limits, as it sees it."""
    limits = ask("player", "GET", f"{USER}/limits").json()["limits"]
    (found,) = (each for each in limits if each["name"] == name and each["currency"] == "USD")
    assert isinstance(found, dict)
    return found


def test_limits_hold_are_changed_and_explain_themselves(ask: Ask) -> None:
    deposit = ask("finance", "POST", "/transactions", money("DEPOSIT", "900.00", provider="stripe"), key="deposit")
    bet = money("GAME_BET", "400.00", reference_id="g1", round_id="r1")
    assert ask("player", "POST", "/limit-checks", bet).json()["allowed"] is True
    assert ask("game_server", "POST", "/transactions", bet, key="bet-1").status_code == 201
    second = {**bet, "reference_id": "g2"}
    refused = ask("game_server", "POST", "/transactions", second, key="bet-2")
    assert (refused.status_code, refused.json()["code"]) == (422, "DAILY_LOSS_LIMIT")
    assert refused.json()["detail"] == ask("support", "POST", "/limit-checks", second).json()["detail"]
    loss = limit(ask, "DAILY_LOSS_LIMIT")
    assert (loss["effective"], loss["used"], loss["remaining"]) == ("500.00", "400.00", "100.00")

    override = {"amount": "800.00", "currency": "USD", "reason": "known for years"}
    assert ask("risk", "PUT", f"{USER}/limits/DAILY_LOSS_LIMIT", override).status_code == 200
    assert ask("game_server", "POST", "/transactions", second, key="bet-3").status_code == 201
    own = {"name": "DAILY_LOSS_LIMIT", "amount": "600.00", "currency": "USD"}
    assert ask("player", "POST", f"{USER}/limit-requests", own).json()["limit_change"]["after"]["own"] == "600.00"
    waits = ask("player", "POST", f"{USER}/limit-requests", {**own, "amount": "700.00"}).json()["limit_change"]
    assert waits["pending"]["amount"] == "700.00"
    (pending,) = ask("player", "GET", f"{USER}/limit-requests").json()["limit_requests"]
    assert pending["pending"] == waits["pending"]
    early = {"amount": "700.00", "currency": "USD"}
    confirmed = ask("player", "POST", f"{USER}/limit-requests/DAILY_LOSS_LIMIT/confirmation", early)
    assert confirmed.json()["code"] == "RAISE_WAITS"

    changes = ask("compliance", "GET", f"{USER}/limit-changes").json()["limit_changes"]
    assert [each["type"] for each in changes] == [
        *("LIMIT_CONFIRMATION", "LIMIT_REQUEST", "LIMIT_REQUEST", "LIMIT_OVERRIDE")
    ]
    metrics = ask("player", "GET", f"{USER}/metrics?days=1").json()["currencies"]["USD"]
    assert (metrics["deposits"], metrics["bets"], metrics["counts"]["bets"]) == ("900.00", "800.00", 2)
    assert metrics["limits"]["DAILY_LOSS_LIMIT"]["remaining"] == "0.00"

    withdrawal = money("WITHDRAWAL", "10.00", provider="stripe")
    assert ask("finance", "POST", "/transactions", withdrawal, key="out-0").json()["code"] == "KYC_REQUIRED"
    known(ask, PLAYER, "925665416")
    assert ask("finance", "POST", "/transactions", withdrawal, key="out-1").json()["code"] == "WITHDRAWAL_COOLDOWN"
    now = {"seconds": 0, "currency": "USD", "reason": "it waited long enough"}
    assert ask("compliance", "PUT", f"{USER}/limits/WITHDRAWAL_COOLDOWN_SECONDS", now).status_code == 200
    assert ask("finance", "POST", "/transactions", withdrawal, key="out-2").status_code == 201
    assert deposit.json()["transaction"]["status"] == "posted"


def test_transactions_are_disputed_reversed_and_released(ask: Ask) -> None:
    body = money("DEPOSIT", "50.00", provider="stripe")
    deposit = ask("finance", "POST", "/transactions", body, key="disputed")
    path = f"/transactions/{deposit.json()['transaction']['id']}"
    assert ask("support", "POST", f"{path}/dispute", {"reason": "not mine"}).status_code == 201
    seen = ask("player", "GET", path).json()["transaction"]
    assert (seen["status"], seen["dispute"]["reason"]) == ("disputed", "not mine")
    assert ask("finance", "POST", "/transactions", body, key="disputed").content == deposit.content
    part = ask("finance", "POST", f"{path}/reversal", {"amount": "20.00", "reason": "half was wrong"}, key="back-1")
    assert part.json()["transaction"]["amount"] == "20.00"
    rest = ask("finance", "POST", f"{path}/reversal", {"reason": "the rest too"}, key="back-2")
    assert rest.json()["detail"] == "50.00 USD were to be reversed, and only 30.00 USD can still be."
    assert ask("finance", "POST", f"{path}/dispute/resolution", {"reason": "paid back"}).status_code == 201
    assert ask("player", "GET", path).json()["transaction"]["dispute"]["state"] == "resolved"

    win = money("GAME_PAYOUT", "100000.01", reference_id="jackpot", round_id="r9")
    payout = ask("game_server", "POST", "/transactions", win, key="jackpot").json()["transaction"]
    assert payout["held"] is True
    (held,) = ask("finance", "GET", "/held-payouts").json()["held_payouts"]
    assert (held["held"], held["transaction"]["id"]) == ("100000.01", payout["id"])
    released = ask("finance", "POST", f"/transactions/{payout['id']}/release", {"reason": "looked at"}, key="go")
    assert released.json()["wallet"]["balances"][0]["reserved"] == "0.00"
    assert ask("finance", "GET", "/held-payouts").json() == {"held_payouts": [], "more": False}
