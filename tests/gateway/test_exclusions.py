"""Exclusions at the door: who may what, what each reads, and what is answered to each state."""

from dataclasses import dataclass, field
from typing import Any

import httpx2
import orjson
import pytest

from shared.tokens import Role
from tests.gateway.fakes import OTHER_PLAYER, PLAYER, FakeWallet
from tests.gateway.support import bearer, build, client_of

EXCLUSIONS = f"/api/v1/users/{PLAYER}/exclusions"
NUMBER = "00000000-0000-0000-0000-000000000007"
ASKED = {"type": "TEMPORARY", "duration_hours": 24, "reason": "enough"}
EXCLUSION: dict[str, Any] = {
    **{"id": NUMBER, "user_id": PLAYER, "type": "TEMPORARY", "time_out": False, "state": "in_force"},
    **{"reason": "three cards", "actor": "ann", "by_staff": True, "requested_at": "2026-11-24T10:00:00Z"},
    **{"since": "2026-11-24T10:00:00Z", "until": "2026-11-25T10:00:00Z", "lane": 0, "position": 7},
}


@dataclass
class FakeCompliance:
    """The compliance service: keeps what it is asked, and answers as it is told."""

    status: int = 200
    answer: Any = field(default_factory=lambda: dict(EXCLUSION))
    asked: list[httpx2.Request] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        return httpx2.Response(self.status, json=self.answer)

    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.asked[-1].content)
        return found


@pytest.fixture
def compliance() -> FakeCompliance:
    return FakeCompliance()


@pytest.fixture
def client(wallet: FakeWallet, compliance: FakeCompliance) -> httpx2.AsyncClient:
    return client_of(build(wallet, compliance, rate_limit_per_player_per_s=1_000_000))


async def test_it_is_answered_when_it_is_in_force(client: httpx2.AsyncClient, compliance: FakeCompliance) -> None:
    headers = {**bearer(Role.PLAYER), "Idempotency-Key": "once"}
    response = await client.post(EXCLUSIONS, json=ASKED, headers=headers)
    assert (response.status_code, response.headers["Location"]) == (201, f"{EXCLUSIONS}/{NUMBER}")
    first = compliance.body()
    assert (first["exclusion"], first["by_staff"], first["actor"]) == (ASKED, False, str(PLAYER))
    await client.post(EXCLUSIONS, json=ASKED, headers=headers)
    assert compliance.body()["id"] == first["id"]
    await client.post(EXCLUSIONS, json=ASKED, headers=bearer(Role.SUPPORT))
    assert (compliance.body()["id"] != first["id"], compliance.body()["by_staff"]) == (True, True)


async def test_what_is_not_decided_yet_says_where_to_look(
    client: httpx2.AsyncClient, compliance: FakeCompliance
) -> None:
    compliance.answer |= {"state": "requested", "since": None, "lane": None, "position": None}
    response = await client.post(EXCLUSIONS, json=ASKED, headers=bearer(Role.PLAYER))
    assert (response.status_code, response.headers["Location"]) == (202, f"{EXCLUSIONS}/{NUMBER}")
    assert response.headers["Retry-After"] == "1"


async def test_what_the_wallet_refused_is_a_problem(client: httpx2.AsyncClient, compliance: FakeCompliance) -> None:
    compliance.answer |= {"state": "refused", "refusal": "EXCLUSION_SHORTENED"}
    response = await client.post(EXCLUSIONS, json=ASKED, headers=bearer(Role.PLAYER))
    assert (response.status_code, response.json()["code"]) == (422, "EXCLUSION_SHORTENED")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["exclusion"]["state"] == "refused"


async def test_a_player_reads_no_reason_of_staff(client: httpx2.AsyncClient, compliance: FakeCompliance) -> None:
    own = (await client.get(f"{EXCLUSIONS}/{NUMBER}", headers=bearer(Role.PLAYER))).json()
    assert (own["reason"], own["actor"]) == (None, None)
    seen = (await client.get(f"{EXCLUSIONS}/{NUMBER}", headers=bearer(Role.SUPPORT))).json()
    assert (seen["reason"], seen["actor"]) == ("three cards", "ann")
    compliance.answer["by_staff"] = False
    assert (await client.get(f"{EXCLUSIONS}/{NUMBER}", headers=bearer(Role.PLAYER))).json()["reason"] == "three cards"


async def test_a_history_has_pages(client: httpx2.AsyncClient, compliance: FakeCompliance) -> None:
    compliance.answer = [{"number": number, "exclusion": EXCLUSION} for number in (9, 8)]
    first = await client.get(f"{EXCLUSIONS}?limit=1", headers=bearer(Role.PLAYER))
    assert len(first.json()["exclusions"]) == 1
    await client.get(f"{EXCLUSIONS}?cursor={first.json()['next_cursor']}", headers=bearer(Role.PLAYER))
    assert dict(compliance.asked[-1].url.params)["before"] == "9"
    assert 'rel="next"' in first.headers["Link"]


async def test_an_end_is_asked_for_and_given_up(client: httpx2.AsyncClient, compliance: FakeCompliance) -> None:
    path = f"{EXCLUSIONS}/{NUMBER}/ending"
    assert (await client.post(path, headers=bearer(Role.PLAYER))).status_code == 200
    assert (await client.delete(path, headers=bearer(Role.PLAYER))).status_code == 200
    assert [request.url.path.rsplit("/", 2)[-1] for request in compliance.asked] == ["ending", "withdrawal"]
    compliance.status, compliance.answer = 403, {"code": "FORBIDDEN", "status": 403}
    assert (await client.post(path, headers=bearer(Role.PLAYER))).json()["code"] == "FORBIDDEN"


async def test_a_suspension_is_one_call(client: httpx2.AsyncClient, compliance: FakeCompliance) -> None:
    incident = {"id": NUMBER, "user_id": PLAYER, "exclusion_id": NUMBER, "opened_at": "2026-11-24T10:00:00Z"}
    incident |= {"actor": "ann", "reason": "chargebacks", "details": None}
    compliance.answer = {"incident": incident, "exclusion": EXCLUSION | {"type": "PERMANENT", "until": None}}
    path = f"/api/v1/users/{PLAYER}/suspension"
    response = await client.post(path, json={"reason": "chargebacks"}, headers=bearer(Role.RISK))
    assert (response.status_code, response.json()["incident"]["reason"]) == (201, "chargebacks")
    assert compliance.body()["suspension"] == {"reason": "chargebacks", "details": None}
    for role in (Role.PLAYER, Role.SUPPORT):
        assert (await client.post(path, json={"reason": "x"}, headers=bearer(role))).status_code == 403


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (ASKED | {"type": "FOR_FUN"}, "type"),
        (ASKED | {"duration_hours": 0}, "duration_hours"),
        (ASKED | {"duration_hours": "24"}, "duration_hours"),
        ({"type": "PERMANENT"}, "reason"),
        (ASKED | {"until": "2027-01-01T00:00:00Z"}, "until"),
    ],
)
async def test_wrong_input_is_named(
    client: httpx2.AsyncClient, compliance: FakeCompliance, body: dict[str, Any], name: str
) -> None:
    response = await client.post(EXCLUSIONS, json=body, headers=bearer(Role.PLAYER))
    assert (response.status_code, [error["field"] for error in response.json()["errors"]]) == (422, [name])
    assert not compliance.asked


async def test_nobody_excludes_another_player(client: httpx2.AsyncClient, compliance: FakeCompliance) -> None:
    foreign = f"/api/v1/users/{OTHER_PLAYER}"
    for path in ("exclusions", "time-outs"):
        assert (await client.post(f"{foreign}/{path}", json=ASKED, headers=bearer(Role.PLAYER))).status_code == 403
    assert (await client.get(f"{foreign}/exclusions", headers=bearer(Role.PLAYER))).status_code == 403
    assert not compliance.asked
