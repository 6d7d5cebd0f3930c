"""Exclusions, breaks and suspensions on a whole platform, by the people whose work they are."""

import pytest

from tests.end_to_end.support import Ask, Platform, asked_until, asking, whole

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

PLAYER, OTHER = 5300, 5301
BARRED = {"GAME_BET": {"reference_id": "g1", "round_id": "r1"}, "DEPOSIT": {"provider": "stripe"}}


def tried(ask: Ask, user_id: int, kind: str) -> str | None:
    """Why a transaction is refused; None where it is posted."""
    body = {"user_id": user_id, "type": kind, "amount": "1.00", "currency": "USD", **BARRED[kind]}
    code: str | None = ask("admin", "POST", "/transactions", body, f"{kind}-{user_id}").json().get("code")
    return code


def test_a_player_excludes_itself_and_gives_up_the_end_that_it_asked_for(platform: Platform) -> None:
    with asking(platform, PLAYER) as ask:
        excludes_itself(ask, f"/users/{PLAYER}")


def excludes_itself(ask: Ask, user: str) -> None:
    wanted = {"type": "TEMPORARY", "duration_hours": 24, "reason": "enough for now"}
    begun = asked_until((201,), ask, "player", f"{user}/exclusions", wanted, "exclusion-1")
    assert begun.json()["state"] == "in_force", begun.text
    again = ask("player", "POST", f"{user}/exclusions", wanted, "exclusion-1")
    assert again.json() == begun.json()
    assert {tried(ask, PLAYER, kind) for kind in BARRED} == {"SELF_EXCLUDED"}

    ending = f"{begun.headers['Location'].removeprefix('/api/v1')}/ending"
    assert ask("player", "POST", ending).json()["state"] == "end_requested"
    assert ask("player", "DELETE", ending).json()["state"] == "in_force"
    for_good = {"type": "PERMANENT", "reason": "asked for"}
    lifted = asked_until((201,), ask, "compliance", f"{user}/exclusions", for_good, "forever")
    assert ask("compliance", "POST", f"{user}/exclusions/{lifted.json()['id']}/ending").json()["code"] == (
        "EXCLUSION_PERMANENT"
    )
    history = ask("player", "GET", f"{user}/exclusions").json()["exclusions"]
    assert [(each["type"], each["state"]) for each in history] == [("PERMANENT", "in_force"), ("TEMPORARY", "ended")]
    status = whole(ask, "support", f"{user}/status", without={"fraud"})
    assert (status["protection"]["excluded"], status["protection"]["exclusion"]["type"]) == (True, "PERMANENT")
    actions = ask("compliance", "GET", f"/audit-log?user_id={PLAYER}").json()["entries"]
    assert {"EXCLUSION_REQUEST", "EXCLUSION_REQUEST_END", "EXCLUSION_REVOKE_END"} <= {
        each["action"] for each in actions
    }


def test_a_suspension_is_one_call_and_a_time_out_a_players_own(platform: Platform) -> None:
    with asking(platform, OTHER) as ask:
        is_suspended(ask, f"/users/{OTHER}")


def is_suspended(ask: Ask, user: str) -> None:
    set_up = ask("player", "PUT", f"{user}/play-limits", {"session_minutes": 60, "time_out_hours": 2})
    assert set_up.json()["settings"]["session_minutes"]["value"] == 60
    taken = asked_until((201,), ask, "player", f"{user}/time-outs", {"duration_hours": 1}, "time-out")
    assert taken.json()["time_out"] is True, taken.text
    assert tried(ask, OTHER, "GAME_BET") == "SELF_EXCLUDED"
    why = {"reason": "chargebacks", "details": "three cards"}
    suspended = asked_until((201,), ask, "risk", f"{user}/suspension", why, "s-1")
    assert suspended.json()["exclusion"]["type"] == "PERMANENT", suspended.text
    seen = whole(ask, "player", f"{user}/responsible-gaming")
    assert seen["protection"]["exclusion"]["reason"] is None
    assert seen["protection"]["reality_check"]["interval_minutes"] == 60
