"""Blocks for fraud at the door: who may, what is sent, and what is answered."""

from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest

from shared.contracts.kinds import Kind, Reason
from shared.tokens import Role
from tests.gateway.fakes import PLAYER, FakeWallet
from tests.gateway.support import bearer

BLOCK = f"/api/v1/users/{PLAYER}/fraud-block"
WHY = {"reason": "two accounts at one table"}


@pytest.mark.parametrize("role", [Role.RISK, Role.ADMIN])
async def test_risk_and_admin_block_and_lift_by_name(
    client: httpx2.AsyncClient, wallet: FakeWallet, role: Role
) -> None:
    until = {"until": "2030-01-01T00:00:00Z"}
    made = await client.post(BLOCK, json=WHY | until, headers=bearer(role))
    lifted = await client.request("DELETE", BLOCK, json=WHY, headers=bearer(role))

    assert [(each.kind, each.user_id, each.currency, each.reason, each.actor) for each in wallet.asked] == [
        (kind, PLAYER, "XXX", WHY["reason"], f"the-{role}") for kind in (Kind.FRAUD_BLOCK, Kind.FRAUD_UNBLOCK)
    ]
    assert [each.until for each in wallet.asked] == [datetime(2030, 1, 1, tzinfo=UTC), None]
    assert (made.status_code, lifted.status_code) == (201, 200)
    assert made.json()["block_change"]["stated_reason"] == WHY["reason"]


@pytest.mark.parametrize("role", sorted(set(Role) - {Role.RISK, Role.ADMIN}))
async def test_nobody_else_does(client: httpx2.AsyncClient, wallet: FakeWallet, role: Role) -> None:
    for method in ("POST", "DELETE"):
        assert (await client.request(method, BLOCK, json=WHY, headers=bearer(role))).status_code == 403
    assert wallet.asked == []


async def test_the_same_key_is_the_same_block(client: httpx2.AsyncClient) -> None:
    key = bearer(Role.RISK) | {"Idempotency-Key": "b-1"}
    first, again = [await client.post(BLOCK, json=WHY, headers=key) for _ in range(2)]
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()


async def test_a_block_that_waits_for_its_decision_is_answered_so(
    client: httpx2.AsyncClient, wallet: FakeWallet
) -> None:
    wallet.silent = True
    response = await client.post(BLOCK, json=WHY, headers=bearer(Role.RISK) | {"Prefer": "wait=1"})
    assert response.status_code == 202
    assert (await client.get(response.headers["location"], headers=bearer(Role.RISK))).status_code == 202


async def test_what_is_not_blocked_is_not_lifted(client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
    wallet.refusals[Kind.FRAUD_UNBLOCK] = (Reason.NOT_BLOCKED, {})
    response = await client.request("DELETE", BLOCK, json=WHY, headers=bearer(Role.RISK))
    assert (response.status_code, response.json()["code"]) == (422, "NOT_BLOCKED")
    assert response.json()["block_change"]["status"] == "refused"


@pytest.mark.parametrize(
    ("method", "body", "field"),
    [
        ("POST", {}, "reason"),
        ("POST", {"reason": ""}, "reason"),
        ("POST", WHY | {"until": "soon"}, "until"),
        ("POST", WHY | {"actor": "ann"}, "actor"),
        ("DELETE", {}, "reason"),
        ("DELETE", WHY | {"until": "2030-01-01T00:00:00Z"}, "until"),
    ],
)
async def test_a_wrong_field_is_named(
    client: httpx2.AsyncClient, wallet: FakeWallet, method: str, body: dict[str, Any], field: str
) -> None:
    response = await client.request(method, BLOCK, json=body, headers=bearer(Role.RISK))
    assert (response.status_code, [each["field"] for each in response.json()["errors"]]) == (422, [field])
    assert wallet.asked == []


async def test_a_player_reads_that_it_is_blocked_and_never_what_staff_states_of_it(client: httpx2.AsyncClient) -> None:
    made = await client.post(BLOCK, json=WHY, headers=bearer(Role.RISK))
    await client.request("DELETE", BLOCK, json=WHY, headers=bearer(Role.RISK))
    block_id = made.json()["block_change"]["transaction_id"]
    one, listed = f"/api/v1/transactions/{block_id}", f"/api/v1/users/{PLAYER}/transactions"

    for path in (one, listed):
        own = await client.get(path, headers=bearer(Role.PLAYER))
        assert (own.status_code, WHY["reason"] in own.text) == (200, False)
        for role in (Role.SUPPORT, Role.RISK, Role.COMPLIANCE, Role.FINANCE, Role.ADMIN):
            assert WHY["reason"] in (await client.get(path, headers=bearer(role))).text
    rows = (await client.get(listed, headers=bearer(Role.PLAYER))).json()["transactions"]
    assert {row["type"] for row in rows} == {"FRAUD_BLOCK", "FRAUD_UNBLOCK"}
    assert {(row["stated_reason"], row["reference_id"]) for row in rows} == {(None, None)}
    # A receipt is the whole row, as it was sealed.
    receipt = await client.get(f"{one}/receipt", headers=bearer(Role.PLAYER))
    assert (receipt.status_code, WHY["reason"] in receipt.text) == (403, False)


async def test_what_is_stated_of_other_transactions_is_told_to_their_player(client: httpx2.AsyncClient) -> None:
    credit = {"user_id": PLAYER, "type": "ADJUSTMENT_CREDIT", "amount": "1.00", "currency": "USD", "reason": "goodwill"}
    await client.post("/api/v1/transactions", json=credit, headers=bearer(Role.FINANCE) | {"Idempotency-Key": "1"})
    (row,) = (await client.get(f"/api/v1/users/{PLAYER}/transactions", headers=bearer(Role.PLAYER))).json()[
        "transactions"
    ]
    assert row["stated_reason"] == "goodwill"
