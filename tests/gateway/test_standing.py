"""How a player stands, in one call: joined, with what is stale and missing named; and what it sets of its play."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
import orjson
import pytest

from gateway.domain.standing import LastKnown, ResponsibleGamingView, StatusView
from gateway.endpoints import standing
from shared.testing import MOMENT
from shared.tokens import Role
from tests.gateway.fakes import PLAYER, FakeWallet
from tests.gateway.support import bearer, build, client_of
from tests.gateway.test_exclusions import EXCLUSION
from tests.gateway.test_kyc import VIEW

STATUS, PLAYING = f"/api/v1/users/{PLAYER}/status", f"/api/v1/users/{PLAYER}/responsible-gaming"
PROTECTION: dict[str, Any] = {
    **{"user_id": PLAYER, "jurisdiction": "default", "excluded": True, "exclusion": EXCLUSION, "requested": []},
    **{"settings": {"day_minutes": {"value": 60, "pending": None, "pending_from": None}}, "session": None},
    "reality_check": {"interval_minutes": 60, "chosen_by": "player", "next_at": None, "due": False},
}


@dataclass
class FakeCompliance:
    """The compliance service: answers unless it is away, and keeps what it is asked."""

    available: bool = True
    late: bool = False
    asked: list[httpx2.Request] = field(default_factory=list)

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        if self.late:
            await asyncio.sleep(30)
        if not self.available:
            return httpx2.Response(503)
        return httpx2.Response(200, json=VIEW if request.url.path.endswith("/kyc") else PROTECTION)


@pytest.fixture
def compliance() -> FakeCompliance:
    return FakeCompliance()


@pytest.fixture
def client(wallet: FakeWallet, compliance: Any) -> httpx2.AsyncClient:
    wallet.cash_minor = {(PLAYER, "USD"): 1050}
    return client_of(build(wallet, compliance, rate_limit_per_player_per_s=1_000_000))


async def test_all_parts_are_joined_in_one_answer(client: httpx2.AsyncClient) -> None:
    response = await client.get(STATUS, headers=bearer(Role.SUPPORT))
    found = response.json()
    StatusView.model_validate(found)
    assert found["wallet"]["balances"][0]["cash"] == "10.50"
    assert (found["kyc"]["state"], found["kyc"]["tier"]["name"]) == ("review", "UNVERIFIED")
    assert found["protection"]["exclusion"]["reason"] == "three cards"
    assert found["metrics"]["currencies"]["USD"]["bets"] == "10.50"
    assert (found["stale"], found["missing"], found["fraud"]["score"]) == ([], [], 10)
    assert found["restrictions"]["block"]["reason"] == "three cards"


async def test_a_player_reads_neither_fraud_nor_reasons_of_staff(client: httpx2.AsyncClient) -> None:
    found = (await client.get(STATUS, headers=bearer(Role.PLAYER))).json()
    assert "fraud" not in found
    assert (found["restrictions"]["blocked"], found["restrictions"]["block"]["reason"]) == (True, None)
    assert (found["protection"]["exclusion"]["reason"], "staff" in found["kyc"]["reason"]) == (None, False)
    playing = (await client.get(PLAYING, headers=bearer(Role.PLAYER))).json()
    ResponsibleGamingView.model_validate(playing)
    assert (playing["protection"]["excluded"], playing["protection"]["exclusion"]["actor"]) == (True, None)
    assert playing["limits"] is not None


async def test_what_is_not_answered_is_named_and_the_rest_is_answered(
    client: httpx2.AsyncClient, compliance: FakeCompliance
) -> None:
    compliance.available = False
    found = (await client.get(STATUS, headers=bearer(Role.ADMIN))).json()
    assert found["missing"] == [{"part": part, "code": "SERVICE_UNAVAILABLE"} for part in ("kyc", "protection")]
    assert (found["kyc"], found["wallet"] is not None) == (None, True)


async def test_what_was_answered_before_is_answered_as_stale(
    client: httpx2.AsyncClient, compliance: FakeCompliance
) -> None:
    await client.get(STATUS, headers=bearer(Role.ADMIN))
    compliance.available = False
    found = (await client.get(STATUS, headers=bearer(Role.ADMIN))).json()
    assert [each["part"] for each in found["stale"]] == ["kyc", "protection"]
    assert (found["missing"], found["kyc"]["state"]) == ([], "review")


async def test_who_answers_late_is_not_waited_for(
    client: httpx2.AsyncClient, compliance: FakeCompliance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "PART_WITHIN_S", 0.05)
    compliance.late = True
    async with asyncio.timeout(5):
        found = (await client.get(PLAYING, headers=bearer(Role.PLAYER))).json()
    assert (found["missing"], found["protection"]) == ([{"part": "protection", "code": "SERVICE_UNAVAILABLE"}], None)


async def test_who_has_no_account_has_no_money_and_is_not_missing(
    client: httpx2.AsyncClient, wallet: FakeWallet
) -> None:
    wallet.cash_minor = {}
    found = (await client.get(STATUS, headers=bearer(Role.ADMIN))).json()
    assert (found["wallet"]["balances"], found["missing"]) == ([], [])


def test_what_is_remembered_is_neither_old_nor_much() -> None:
    last = LastKnown(2, timedelta(minutes=5))
    for user_id in (1, 2, 3):
        last.keep(user_id, "kyc", user_id, MOMENT)
    assert last.recall(1, "kyc", MOMENT) is None
    assert last.recall(3, "kyc", MOMENT + timedelta(minutes=5)) == (MOMENT, 3)
    assert last.recall(3, "kyc", MOMENT + timedelta(minutes=6)) is None


async def test_a_player_sets_its_limits_of_play_and_its_reality_check(
    client: httpx2.AsyncClient, compliance: FakeCompliance
) -> None:
    users = f"/api/v1/users/{PLAYER}"
    limits = await client.put(f"{users}/play-limits", json={"day_minutes": 60}, headers=bearer(Role.PLAYER))
    assert limits.json()["settings"]["day_minutes"]["value"] == 60
    asked = orjson.loads(compliance.asked[-1].content)
    assert (asked["play_limits"]["day_minutes"], asked["actor"]) == (60, str(PLAYER))
    check = await client.put(f"{users}/reality-check", json={"interval_minutes": 30}, headers=bearer(Role.PLAYER))
    assert check.status_code == 200
    seen = await client.post(f"{users}/reality-check/acknowledgement", headers=bearer(Role.PLAYER))
    assert seen.json()["reality_check"]["due"] is False


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("play-limits", {}),
        ("play-limits", {"day_minutes": 0}),
        ("play-limits", {"session_minutes": 1441}),
        ("play-limits", {"time_out_hours": 1009}),
        ("reality-check", {"interval_minutes": 4}),
        ("reality-check", {"interval_minutes": "60"}),
    ],
)
async def test_wrong_settings_are_named(
    client: httpx2.AsyncClient, compliance: FakeCompliance, path: str, body: dict[str, Any]
) -> None:
    response = await client.put(f"/api/v1/users/{PLAYER}/{path}", json=body, headers=bearer(Role.PLAYER))
    assert (response.status_code, response.json()["code"]) == (422, "VALIDATION_FAILED")
    assert not compliance.asked
