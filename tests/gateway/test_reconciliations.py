"""Reconciliations at the door: waited for, looked up, listed; figures as decimal strings."""

from typing import Any
from uuid import UUID

import httpx2
import pytest

from shared.tokens import Role
from tests.gateway.fakes import PLAYER, STATE, FakeWallet
from tests.gateway.support import bearer

PATH = "/api/v1/reconciliations"
OCTOBER = {"from": "2026-10-01T00:00:00Z", "to": "2026-11-01T00:00:00Z"}


async def post(client: httpx2.AsyncClient, body: Any = OCTOBER, **headers: str) -> httpx2.Response:
    return await client.post(PATH, json=body, headers={**bearer(Role.FINANCE, subject="ann"), **headers})


async def test_one_that_is_finished_within_the_wait_is_answered_whole(
    client: httpx2.AsyncClient, wallet: FakeWallet
) -> None:
    response = await post(client, {"from": "2026-10-01T02:00:00+02:00", "to": OCTOBER["to"]}, Prefer="wait=5")

    assert response.status_code == 201, response.text
    assert response.headers["preference-applied"] == "wait=5"
    assert response.headers["location"] == f"{PATH}/{UUID(int=1)}"
    assert response.json() == {
        **OCTOBER,
        "id": str(UUID(int=1)),
        "number": 1,
        "cause": "on_demand",
        "requested_by": "ann",
        "requested_at": "2026-11-24T10:00:00Z",
        "status": "finished",
        "started_at": "2026-11-24T10:00:00Z",
        "finished_at": "2026-11-24T10:00:00Z",
        "rows": 9,
        "discrepancy_count": 4,
        "discrepancies": [
            {
                "kind": "conservation",
                "lane": 1,
                "user_id": None,
                "currency": "JPY",
                "account": None,
                "position": None,
                "expected": "0",
                "found": "5",
            },
            {
                "kind": "position_gap",
                "lane": 1,
                "user_id": None,
                "currency": None,
                "account": None,
                "position": 7,
                "expected": "7",
                "found": None,
            },
            {
                "kind": "balance",
                "lane": 1,
                "user_id": PLAYER,
                "currency": "USD",
                "account": "cash",
                "position": 8,
                "expected": "92233720368547758.08",
                "found": "-0.05",
            },
            {
                "kind": "stored_balance",
                "lane": 1,
                "user_id": None,
                "currency": "???",
                "account": None,
                "position": None,
                "expected": "100",
                "found": "0",
            },
        ],
        "truncated": False,
    }


@pytest.mark.parametrize("prefer", ["respond-async", "wait=0"])
async def test_one_that_goes_on_is_found_where_the_answer_says(
    client: httpx2.AsyncClient, wallet: FakeWallet, prefer: str
) -> None:
    response = await post(client, Prefer=prefer)

    assert (response.status_code, response.json()["status"]) == (202, "requested")
    assert response.headers["retry-after"] == "1"
    found = await client.get(response.headers["location"], headers=bearer(Role.COMPLIANCE))
    assert (found.status_code, found.json()["status"], found.json()["discrepancy_count"]) == (200, "finished", 4)


async def test_it_is_looked_at_until_it_ends(client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
    wallet.looks = 3

    assert (await post(client, Prefer="wait=10")).status_code == 201
    assert wallet.looks == 0


async def test_a_wallet_that_goes_away_meanwhile_was_asked_all_the_same(
    client: httpx2.AsyncClient, wallet: FakeWallet
) -> None:
    wallet.looks = None

    response = await post(client, Prefer="wait=10")

    assert (response.status_code, response.json()["status"]) == (202, "requested")


async def test_too_many_that_wait_are_said(client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
    wallet.too_many = True

    response = await post(client)

    assert (response.status_code, response.json()["code"]) == (429, "RATE_LIMITED")
    assert response.headers["retry-after"] == "60"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"from", "to"}),
        ({"from": OCTOBER["from"]}, {"to"}),
        ({**OCTOBER, "to": OCTOBER["from"]}, {"to"}),
        ({**OCTOBER, "to": "2026-09-30T23:59:59Z"}, {"to"}),
        ({**OCTOBER, "to": "2199-01-01T00:00:00Z"}, {"to"}),
        ({**OCTOBER, "to": "2026-11-01"}, {"to"}),
        ({**OCTOBER, "from": "2026-10-01T00:00:00"}, {"from"}),
        ({**OCTOBER, "from": 1_790_000_000}, {"from"}),
        ({**OCTOBER, "until": OCTOBER["to"]}, {"until"}),
        ({"start": OCTOBER["from"], "end": OCTOBER["to"]}, {"from", "to", "start", "end"}),
        ([], {"body"}),
    ],
)
async def test_each_wrong_field_is_named(
    client: httpx2.AsyncClient, wallet: FakeWallet, body: Any, fields: set[str]
) -> None:
    response = await post(client, body)

    assert (response.status_code, response.json()["code"]) == (422, "VALIDATION_FAILED")
    assert {error["field"] for error in response.json()["errors"]} == fields
    assert wallet.reconciliations == []


async def test_the_newest_are_listed_first_page_by_page(client: httpx2.AsyncClient) -> None:
    for _ in range(3):
        await post(client, Prefer="respond-async")

    first = await client.get(f"{PATH}?limit=2", headers=bearer(Role.ADMIN))
    second = await client.get(first.links["next"]["url"], headers=bearer(Role.ADMIN))

    assert [each["number"] for each in first.json()["reconciliations"]] == [3, 2]
    assert "discrepancies" not in first.json()["reconciliations"][0]
    assert [each["number"] for each in second.json()["reconciliations"]] == [1]
    assert second.json()["next_cursor"] is None
    wrong = await client.get(f"{PATH}?cursor=x", headers=bearer(Role.ADMIN))
    assert wrong.json()["errors"][0]["field"] == "cursor"


async def test_one_that_is_not_there(client: httpx2.AsyncClient) -> None:
    response = await client.get(f"{PATH}/{UUID(int=9)}", headers=bearer(Role.ADMIN))

    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")


async def test_the_ledgers_state_has_its_sums_in_decimals(client: httpx2.AsyncClient) -> None:
    response = await client.get("/api/v1/integrity", headers=bearer(Role.SUPPORT))

    sums = [{"currency": "JPY", "sum": "5"}, {"currency": "USD", "sum": "0.00"}]
    assert response.json() == {**STATE, "conservation": sums}
