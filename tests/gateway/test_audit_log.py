"""The audit log and compliance audits at the door, and what the gateway itself puts on the record."""

import httpx2
import pytest

from shared.tokens import Role
from tests.gateway.fakes import COMPLIANCE_AUDIT, PLAYER, FakeCompliance, FakeWallet
from tests.gateway.support import bearer, build, client_of

STAFF = bearer(Role.COMPLIANCE, subject="ann")
PATH = f"/api/v1/compliance-audits/{COMPLIANCE_AUDIT['id']}"


@pytest.fixture
def compliance() -> FakeCompliance:
    return FakeCompliance()


@pytest.fixture
def client(wallet: FakeWallet, compliance: FakeCompliance) -> httpx2.AsyncClient:
    wallet.cash_minor = {(PLAYER, "USD"): 1050}
    return client_of(build(wallet, compliance))


async def test_the_log_is_read_in_pages_of_the_same_question(
    client: httpx2.AsyncClient, compliance: FakeCompliance
) -> None:
    query: dict[str, str | int] = {"user_id": 42, "from": "2026-10-01T00:00:00Z", "limit": 2}
    response = await client.get("/api/v1/audit-log", params=query, headers=STAFF)
    assert [entry["number"] for entry in response.json()["entries"]] == [9, 8]

    following = response.links["next"]["url"]
    assert (await client.get(following, headers=STAFF)).status_code == 200
    start = "start=2026-10-01T00%3A00%3A00%2B00%3A00"
    assert compliance.asked == [f"user_id=42&{start}&limit=3", f"user_id=42&{start}&limit=3&before=8"]


@pytest.mark.parametrize("query", [{"action": "export!"}, {"from": "yesterday"}, {"cursor": "x"}, {"user_id": 0}])
async def test_a_question_that_is_none_is_refused(client: httpx2.AsyncClient, query: dict[str, str | int]) -> None:
    response = await client.get("/api/v1/audit-log", params=query, headers=STAFF)
    assert (response.status_code, response.json()["code"]) == (422, "VALIDATION_FAILED")


async def test_a_compliance_audit_is_made_and_found_again(client: httpx2.AsyncClient) -> None:
    body = {"from": "2026-09-01T00:00:00Z", "to": "2026-10-01T00:00:00Z"}
    made = await client.post("/api/v1/compliance-audits", json=body, headers=STAFF)
    assert (made.status_code, made.headers["location"]) == (201, PATH)
    assert (made.json()["from"], made.json()["requested_by"]) == (body["from"], "ann")

    found = await client.get(PATH, headers=STAFF)
    assert found.json()["figures"]["large_deposits"]["listed"][0]["amount"] == "10000.00"


async def test_compliance_audits_are_listed_without_their_figures(client: httpx2.AsyncClient) -> None:
    response = await client.get("/api/v1/compliance-audits?limit=5", headers=STAFF)
    (found,) = response.json()["compliance_audits"]
    assert (found["id"], found["breach_count"], found["from"]) == (PATH.split("/")[-1], 0, "2026-10-01T00:00:00Z")
    assert "figures" not in found


async def test_a_compliance_audit_is_a_page_for_people(client: httpx2.AsyncClient) -> None:
    response = await client.get(PATH, headers={**STAFF, "Accept": "text/html"})
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    for said in (
        "2 of 3 are verified (66 %)",
        "10000.00 USD",
        "25 h 0 min",
        "&lt;ann&gt;",
        "2026-12",
        "1 to 7 days",
        "No bet and no deposit",
    ):
        assert said in response.text
    assert "<ann>" not in response.text


@pytest.mark.parametrize("to", ["2199-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "tomorrow"])
async def test_a_period_that_is_not_over_is_refused(client: httpx2.AsyncClient, to: str) -> None:
    body = {"from": "2026-02-01T00:00:00Z", "to": to}
    response = await client.post("/api/v1/compliance-audits", json=body, headers=STAFF)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "to")


async def test_what_staff_looks_at_is_on_the_record_before_it_is_shown(
    client: httpx2.AsyncClient, compliance: FakeCompliance
) -> None:
    path = f"/api/v1/users/{PLAYER}/balance-audit"
    response = await client.get(path, headers={**STAFF, "X-Request-ID": "request-1"})
    assert response.status_code == 200
    (entry,) = compliance.entries
    assert (entry["action"], entry["actor"], entry["user_id"], entry["request_id"]) == (
        *("BALANCE_AUDIT", "ann", PLAYER),
        response.headers["x-request-id"],
    )
    compliance.available = False
    assert (await client.get(path, headers=STAFF)).status_code == 503


async def test_a_reconciliation_is_on_the_record_with_its_period(
    client: httpx2.AsyncClient, compliance: FakeCompliance
) -> None:
    body = {"from": "2026-10-01T00:00:00Z", "to": "2026-11-01T00:00:00Z"}
    await client.post("/api/v1/reconciliations", json=body, headers=STAFF)
    (entry,) = compliance.entries
    assert (entry["action"], entry["after"]["from"]) == ("RECONCILIATION", "2026-10-01T00:00:00Z")
