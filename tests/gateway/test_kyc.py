"""KYC at the door: who may what, what each reads, and that nothing that came is repeated."""

from dataclasses import dataclass, field
from typing import Any

import httpx2
import orjson
import pytest

from shared.tokens import Role
from tests.gateway.fakes import OTHER_PLAYER, PLAYER, FakeWallet
from tests.gateway.support import bearer, build, client_of

KYC = f"/api/v1/users/{PLAYER}/kyc"
SHOWN: dict[str, Any] = {
    "name": "Zebulon Quillfeather",
    "birth_date": "1987-03-19",
    "address": {"street": "17 Xyloph Lane", "city": "Brackenmoor", "postal_code": "QX7 9ZZ"},
    "country": "GB",
    "document_type": "PASSPORT",
    "document_number": "925665416",
    "document_expires_on": "2031-07-21",
}
VIEW: dict[str, Any] = {
    **{"user_id": PLAYER, "state": "review", "submission_id": None, "submitted_at": None, "changed_at": None},
    "reason": {"code": "DOCUMENT_HELD", "public": "We are looking at it.", "staff": "Another player holds it."},
    "document": {"number": "…16"},
    "tier": {"name": "UNVERIFIED", "acknowledged": True},
    "fields": None,
}


@dataclass
class FakeCompliance:
    """The compliance service: keeps what it is asked, and answers as it is told."""

    status: int = 200
    answer: dict[str, Any] = field(default_factory=lambda: dict(VIEW))
    asked: list[httpx2.Request] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        return httpx2.Response(self.status, json=self.answer)


@pytest.fixture
def compliance() -> FakeCompliance:
    return FakeCompliance()


@pytest.fixture
def client(wallet: FakeWallet, compliance: FakeCompliance) -> httpx2.AsyncClient:
    return client_of(build(wallet, compliance, rate_limit_per_player_per_s=1_000_000))


async def test_a_player_submits_and_reads_no_reason_of_staff(
    client: httpx2.AsyncClient, compliance: FakeCompliance
) -> None:
    response = await client.post(KYC, json=SHOWN, headers=bearer(Role.PLAYER))
    assert response.status_code == 201, response.text
    assert response.json()["reason"] == {"code": "IN_REVIEW", "public": "We are looking at it."}
    assert "fields" not in response.json()
    asked = orjson.loads(compliance.asked[0].content)
    assert (asked["actor"], asked["submission"]["name"]) == (str(PLAYER), SHOWN["name"])


async def test_staff_reads_its_reason_and_only_compliance_the_fields(
    client: httpx2.AsyncClient, compliance: FakeCompliance
) -> None:
    staff = await client.get(KYC, headers=bearer(Role.SUPPORT))
    assert staff.json()["reason"]["staff"] == "Another player holds it."
    assert (await client.get(f"{KYC}?fields=true", headers=bearer(Role.SUPPORT))).status_code == 403
    compliance.answer["fields"] = {"name": "Zebulon"}
    clear = await client.get(f"{KYC}?fields=true", headers=bearer(Role.COMPLIANCE))
    assert clear.json()["fields"] == {"name": "Zebulon"}
    assert compliance.asked[-1].url.path.endswith("/reading")


@pytest.mark.parametrize(
    ("method", "path", "role", "body"),
    [
        ("GET", f"/api/v1/users/{OTHER_PLAYER}/kyc", Role.PLAYER, None),
        ("POST", f"{KYC}/decision", Role.PLAYER, {"decision": "verify", "reason": "me"}),
        ("POST", f"{KYC}/decision", Role.SUPPORT, {"decision": "verify", "reason": "me"}),
        ("DELETE", KYC, Role.RISK, {"reason": "me"}),
        ("POST", KYC, Role.PLAYER, SHOWN | {"provider_result": {"provider": "x", "result": "verified"}}),
        ("POST", KYC, Role.GAME_SERVER, SHOWN),
    ],
)
async def test_who_may_not_is_refused(
    client: httpx2.AsyncClient, compliance: FakeCompliance, method: str, path: str, role: Role, body: Any
) -> None:
    response = await client.request(method, path, json=body, headers=bearer(role))
    assert response.status_code == 403, response.text
    assert not compliance.asked


async def test_wrong_input_is_named_and_not_repeated(client: httpx2.AsyncClient, compliance: FakeCompliance) -> None:
    wrong = SHOWN | {"country": "Ruritania", "document_number": "?!?!", "birth_date": "19870319"}
    response = await client.post(KYC, json=wrong, headers=bearer(Role.PLAYER))
    assert response.status_code == 422
    assert {error["field"] for error in response.json()["errors"]} >= {"country", "birth_date"}
    assert not [value for value in ("Ruritania", "?!?!", "19870319", "Zebulon") if value in response.text]
    assert not compliance.asked


async def test_a_refusal_of_the_compliance_service_goes_out_as_it_is(
    client: httpx2.AsyncClient, compliance: FakeCompliance
) -> None:
    compliance.status, compliance.answer = 404, {"code": "NOT_FOUND", "status": 404}
    response = await client.request("DELETE", KYC, json={"reason": "asked"}, headers=bearer(Role.ADMIN))
    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")


async def test_a_webhook_needs_no_token_and_passes_as_it_came(
    client: httpx2.AsyncClient, compliance: FakeCompliance
) -> None:
    compliance.answer = {"duplicate": False}
    headers = {"X-KYC-Timestamp": "1", "X-KYC-Signature": "v1=ab", "X-Other": "x"}
    response = await client.post("/api/v1/webhooks/kyc", content=b'{ "a":1}', headers=headers)
    assert response.json() == {"duplicate": False}
    passed = compliance.asked[0]
    assert (passed.content, passed.headers["X-KYC-Signature"]) == (b'{ "a":1}', "v1=ab")
    assert "X-Other" not in passed.headers
    large = await client.post("/api/v1/webhooks/kyc", content=b" " * 17_000)
    assert (large.status_code, large.json()["code"]) == (400, "WEBHOOK_TOO_LARGE")
