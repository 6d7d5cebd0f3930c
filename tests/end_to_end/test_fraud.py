"""Fraud on a whole platform: what a player does is a score with its reasons, to be read at the door."""

from typing import Any
from uuid import uuid4

import pytest

from tests.end_to_end.support import Platform, asking, until

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
        status = ask("risk", "GET", f"/users/{PLAYER}/status").json()
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
