"""Payments over HTTP, as the platform's other services see them."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from asyncpg import Record

from payments_service.domain.ledger import Posted
from payments_service.domain.payments import Waits
from payments_service.domain.ports import Direction
from payments_service.domain.states import State
from shared.contracts.kinds import Kind
from tests.payments_service.support import Setup
from tests.support import as_administrator

pytestmark = pytest.mark.integration


def asked(amount_minor: int = 2500, **more: Any) -> dict[str, Any]:
    body = {"payment_id": str(uuid4()), "user_id": 42, "amount_minor": amount_minor, "currency": "USD"}
    return body | {"provider": "sandbox", "method": "card", "instrument": "tok_a", "actor": "42"} | more


async def deposit(payments: Setup, amount_minor: int, **more: Any) -> dict[str, Any]:
    response = await payments.client().post("/payments/deposits", json=asked(amount_minor, **more))
    found: dict[str, Any] = response.json()[0]
    return found


async def test_a_deposit_asked_for_twice_is_one(payments: Setup) -> None:
    client, body = payments.client(), asked()
    first = await client.post("/payments/deposits", json=body)
    assert (await client.post("/payments/deposits", json=body)).json() == first.json()
    assert first.json()[0]["status"] == "completed"
    assert payments.wallet.cash[42] == 2500
    other = await client.post("/payments/deposits", json=body | {"amount_minor": 1})
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert "tok_a" not in first.text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user_id", 43),
        ("currency", "EUR"),
        ("provider", "stripe"),
        ("method", "bank"),
        ("instrument", "tok_b"),
    ],
)
async def test_a_deposit_by_other_means_is_another_and_needs_its_own_key(
    payments: Setup, field: str, value: Any
) -> None:
    kept = replace(payments.new(Direction.DEPOSIT, 2500, user_id=42, instrument="tok_a"), **{field: value})
    await payments.add(kept)
    refused = await payments.client().post("/payments/deposits", json=asked(payment_id=str(kept.id)))
    assert (refused.status_code, refused.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert field in refused.json()["detail"]
    assert (await payments.get(kept.id)).status is State.CREATED


async def test_a_deposit_asked_for_without_an_instrument_is_the_same_once_that_is_known(payments: Setup) -> None:
    kept = payments.new(Direction.DEPOSIT, 2500, user_id=42, instrument="tok_told")
    await payments.add(kept)
    body = asked(payment_id=str(kept.id), instrument=None)
    same = await payments.client().post("/payments/deposits", json=body)
    assert (same.status_code, same.json()[0]["id"]) == (200, str(kept.id))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount_minor", 0),
        ("provider", "nobody"),
        ("method", "smoke"),
        ("instrument", "4242424242424242"),
        ("currency", "XXX"),
    ],
)
async def test_what_is_wrong_is_named(payments: Setup, field: str, value: Any) -> None:
    response = await payments.client().post("/payments/deposits", json=asked() | {field: value})
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert "4242" not in response.text


async def test_a_withdrawal_goes_back_to_where_it_came_from_first(payments: Setup) -> None:
    await deposit(payments, 3000, instrument="tok_a")
    payments.now = payments.now.replace(minute=30)
    await deposit(payments, 2000, instrument="tok_b")
    payments.wallet.cash[42] += 10_000
    found = (await payments.client().post("/payments/withdrawals", json=asked(7000, instrument="tok_c"))).json()
    assert [part["amount_minor"] for part in found] == [3000, 2000, 2000]
    assert {part["status"] for part in found} == {"completed"}
    assert {part["group_id"] for part in found} == {found[0]["id"]}
    sent = [booking.request.instrument for booking in payments.provider.books.values()][2:]
    assert sent == ["tok_a", "tok_b", "tok_c"]
    # What has gone back does not go there again.
    again = (await payments.client().post("/payments/withdrawals", json=asked(500, instrument="tok_c"))).json()
    assert [(part["amount_minor"], part["posted"]) for part in again] == [(500, "captured")]
    assert payments.provider.books[UUID(again[0]["id"])].request.instrument == "tok_c"


async def test_a_completion_needs_a_second_person_and_a_late_message_changes_nothing(payments: Setup) -> None:
    payments.provider.at_once = 0
    found = await deposit(payments, 2500)
    client, path = payments.client(), f"/payments/{found['id']}/completion"

    def word(actor: str, outcome: str = "completed") -> dict[str, Any]:
        return {"actor": actor, "completion": {"outcome": outcome, "reason": "seen", "evidence": "bank statement 7"}}

    assert (await client.post(path, json=word("42"))).status_code == 403
    assert (await client.post(path, json=word("ann"))).json()["status"] == "processing"
    assert (await client.post(path, json=word("ann"))).status_code == 403
    done = (await client.post(path, json=word("bob"))).json()
    assert (done["status"], done["posted"]) == ("completed", "credited")
    assert [(row["actor"], row["evidence"]) for row in done["said"]] == [
        ("ann", "bank statement 7"),
        ("bob", "bank statement 7"),
    ]
    assert (await client.post(path, json=word("carol"))).json()["status"] == "completed"
    assert (await client.post(path, json=word("carol", "failed"))).status_code == 422
    payments.provider.settle_some()
    assert await payments.inbound.take("sandbox", payments.provider.outgoing) == ["repeated"]
    await payments.later(minutes=5)
    assert payments.wallet.cash[42] == 2500
    assert payments.wallet.posted(Kind.DEPOSIT) == 1


@pytest.mark.parametrize(("verdict", "status", "cash"), [("approve", "completed", 0), ("reject", "cancelled", 100_000)])
async def test_a_review_lets_it_go_on_or_not(payments: Setup, verdict: str, status: str, cash: int) -> None:
    payments.wallet.cash[42] = 100_000
    client = payments.client()
    found = (await client.post("/payments/withdrawals", json=asked(100_000))).json()[0]
    assert found["waits_for"] == "review"
    listed = (await client.get("/payments", params={"waits_for": "review"})).json()
    assert [payment["id"] for payment in listed] == [found["id"]]
    body = {"actor": "ann", "review": {"verdict": verdict, "reason": "known player"}}
    done = (await client.post(f"/payments/{found['id']}/review", json=body)).json()
    assert (done["status"], payments.wallet.cash[42]) == (status, cash)
    assert payments.wallet.reserved[42] == 0


async def test_what_is_said_of_one_part_is_said_of_all_that_wait_for_the_same_reason(payments: Setup) -> None:
    for number in (1, 2):
        await deposit(payments, 60_000, instrument=f"tok_{number}")
    client = payments.client()
    parts = (await client.post("/payments/withdrawals", json=asked(120_000))).json()
    assert [(part["waits_for"], part["reason"]) for part in parts] == [("review", "LARGE")] * 2
    body = {"actor": "ann", "review": {"verdict": "approve", "reason": "known player"}}
    done = (await client.post(f"/payments/{parts[1]['id']}/review", json=body)).json()
    assert [part["status"] for part in done["parts"]] == ["completed"] * 2
    said = [(await client.get(f"/payments/{part['id']}")).json()["said"] for part in parts]
    assert [[word["actor"] for word in words] for words in said] == [["ann"]] * 2
    assert (await client.post(f"/payments/{parts[0]['id']}/review", json=body)).status_code == 422


@pytest.mark.parametrize(
    ("switch", "field"),
    [
        ({"provider": "sandbx"}, "provider"),
        ({"provider": "sandbox", "method": "crad"}, "method"),
        ({"method": "crad"}, "method"),
        ({"direction": "deposits"}, "availability.direction"),
    ],
)
async def test_a_switch_of_what_there_is_not_is_not_turned(payments: Setup, switch: dict[str, str], field: str) -> None:
    client = payments.client()
    said = switch | {"available": False, "reason": "maintenance"}
    turned = await client.put("/payments/availability", json={"actor": "ann", "availability": said})
    assert (turned.status_code, [error["field"] for error in turned.json()["errors"]]) == (422, [field])
    assert (await client.get("/payments/availability")).json() == []


@pytest.mark.parametrize(
    "switch", [{}, {"provider": "sandbox"}, {"method": "bank"}, {"provider": "sandbox", "method": "bank"}]
)
async def test_a_switch_of_what_there_is_is_turned(payments: Setup, switch: dict[str, str]) -> None:
    said = switch | {"available": False, "reason": "maintenance"}
    turned = await payments.client().put("/payments/availability", json={"actor": "ann", "availability": said})
    assert (turned.status_code, [each["available"] for each in turned.json()]) == (200, [False])


async def test_a_switch_queues_what_it_is_about_and_says_so(payments: Setup) -> None:
    client = payments.client()
    switch = {"provider": "sandbox", "direction": "deposit", "available": False, "reason": "maintenance"}
    turned = await client.put("/payments/availability", json={"actor": "ann", "availability": switch})
    assert turned.json()[0]["reason"] == "maintenance"
    found = await deposit(payments, 2500)
    assert (found["status"], found["waits_for"]) == ("created", "queue")
    row = (await as_administrator(payments.database, "SELECT id, status FROM payments.settlement_batches"))[0]
    assert (found["batch_id"], row["status"]) == (str(row["id"]), "open")
    await client.put("/payments/availability", json={"actor": "ann", "availability": switch | {"available": True}})
    assert await payments.queue_with().look() == 1
    await payments.worker.look()
    assert (await client.get(f"/payments/{found['id']}")).json()["status"] == "completed"


async def test_webhooks_are_kept_counted_and_applied_and_forged_ones_change_nothing(payments: Setup) -> None:
    payments.provider.at_once = 0
    found = await deposit(payments, 2500)
    payments.provider.settle_some()
    client, body = payments.client(), payments.provider.outgoing[0].event_id
    assert (await client.post("/webhooks/sandbox", content=body)).status_code == 401
    assert (await client.post("/webhooks/nobody", content=body)).status_code == 404
    assert await events(payments) == []
    signed = {"X-Signed": "yes"}
    for expected in ({"taken": 1, "duplicates": 0}, {"taken": 0, "duplicates": 1}):
        assert (await client.post("/webhooks/sandbox", content=body, headers=signed)).json() == expected
    assert [row["became"] for row in await events(payments)] == ["news"]
    await payments.worker.look()
    assert (await client.get(f"/payments/{found['id']}")).json()["posted"] == "credited"
    assert b'langsense_webhooks_total{outcome="UNAUTHENTICATED",source="sandbox"} 1.0' in payments.metrics.exposition()


async def events(payments: Setup) -> list[Record]:
    return await as_administrator(payments.database, "SELECT * FROM payments.payment_events")


async def test_a_deposit_that_waits_in_the_queue_is_given_up_and_never_sent(payments: Setup) -> None:
    payments.worker = payments.worker_with(disabled=True)
    first, second = [(await deposit(payments, 2500))["id"] for _ in range(2)]
    body: dict[str, Any] = {"actor": "player:42", "own_user_id": 42, "cancellation": {"reason": "too late"}}
    client = payments.client()
    other = await client.post(f"/payments/{first}/cancellation", json=body | {"own_user_id": 41})
    assert other.status_code == 403
    for _ in range(2):
        found = (await client.post(f"/payments/{first}/cancellation", json=body)).json()
        assert (found["status"], found["waits_for"], found["reason"]) == ("cancelled", None, "cancelled: too late")
    payments.worker = payments.worker_with()
    assert await payments.queue_with().look() == 1
    await payments.worker.look()
    assert (await payments.get(UUID(second))).status is State.COMPLETED
    assert payments.provider.books.keys() == {UUID(second)}
    payments.provider.at_once = 0
    under_way = await deposit(payments, 2500)
    assert under_way["status"] == "processing"
    for begun in (second, under_way["id"]):
        refused = await payments.client().post(f"/payments/{begun}/cancellation", json=body)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "payment_id")


async def test_a_withdrawal_in_the_queue_is_not_given_up_by_its_player(payments: Setup) -> None:
    payments.worker = payments.worker_with(disabled=True)
    payments.wallet.cash[42] = 5000
    queued = (await payments.client().post("/payments/withdrawals", json=asked(1000))).json()[0]
    body: dict[str, Any] = {"actor": "player:42", "own_user_id": 42, "cancellation": {"reason": "play on"}}
    refused = await payments.client().post(f"/payments/{queued['id']}/cancellation", json=body)
    assert (queued["waits_for"], refused.status_code) == ("queue", 422)


def rejected(verdict: str = "reject") -> dict[str, Any]:
    return {"actor": "ann", "review": {"verdict": verdict, "reason": "another's account"}}


async def test_staff_rejects_a_withdrawal_in_the_queue_and_its_money_is_its_players(payments: Setup) -> None:
    payments.wallet.cash[42] = 100_000
    held = (await payments.client().post("/payments/withdrawals", json=asked(100_000))).json()[0]
    payments.worker = payments.worker_with(disabled=True)
    client = payments.client()
    await client.post(f"/payments/{held['id']}/review", json=rejected("approve"))
    queued = await payments.get(UUID(held["id"]))
    assert (queued.waits_for, queued.posted) == (Waits.QUEUE, Posted.HELD)
    assert (await client.post(f"/payments/{held['id']}/review", json=rejected("approve"))).status_code == 422
    done = (await client.post(f"/payments/{held['id']}/review", json=rejected())).json()
    assert (done["status"], done["posted"], done["reason"]) == ("cancelled", "released", "staff: another's account")
    assert (payments.wallet.cash[42], payments.wallet.reserved[42]) == (100_000, 0)
    assert await payments.queue_with().look() == 0
    assert (await client.post(f"/payments/{held['id']}/review", json=rejected())).status_code == 422


async def test_a_hold_that_is_on_its_way_does_not_outlive_a_withdrawal_that_is_rejected(payments: Setup) -> None:
    payments.wallet.cash[42], payments.wallet.unheard = 5000, True
    found = (await payments.client().post("/payments/withdrawals", json=asked(5000))).json()[0]
    assert (found["posted"], payments.wallet.reserved[42]) == ("nothing", 5000)
    payments.worker = payments.worker_with(disabled=True)
    await payments.later(minutes=1)
    payments.wallet.unheard = False
    done = (await payments.client().post(f"/payments/{found['id']}/review", json=rejected())).json()
    assert (done["status"], done["posted"]) == ("cancelled", "released")
    assert (payments.wallet.cash[42], payments.wallet.reserved[42]) == (5000, 0)


async def test_the_parts_of_a_withdrawal_that_are_not_in_the_queue_go_on_when_those_in_it_are_rejected(
    payments: Setup,
) -> None:
    await deposit(payments, 2000, method="bank")
    payments.wallet.cash[42] += 3000
    client = payments.client()
    switch = {"direction": "withdrawal", "method": "card", "available": False, "reason": "maintenance"}
    await client.put("/payments/availability", json={"actor": "ann", "availability": switch})
    parts = (await client.post("/payments/withdrawals", json=asked(5000))).json()
    assert [part["waits_for"] for part in parts] == [None, "queue"]
    done = (await client.post(f"/payments/{parts[1]['id']}/review", json=rejected())).json()
    assert [(part["status"], part["posted"]) for part in done["parts"]] == [
        ("completed", "captured"),
        ("cancelled", "released"),
    ]
    assert (payments.wallet.cash[42], payments.wallet.reserved[42]) == (3000, 0)


async def test_what_the_wallet_would_not_have_held_is_rejected_without_a_hold(payments: Setup) -> None:
    payments.worker = payments.worker_with(disabled=True)
    queued = (await payments.client().post("/payments/withdrawals", json=asked(1000))).json()[0]
    done = (await payments.client().post(f"/payments/{queued['id']}/review", json=rejected())).json()
    assert (done["status"], done["posted"]) == ("cancelled", "refused")
    assert await payments.exceptions() == []


async def test_a_deposit_in_the_queue_is_given_up_and_not_rejected(payments: Setup) -> None:
    payments.worker = payments.worker_with(disabled=True)
    queued = await deposit(payments, 2500)
    assert (await payments.client().post(f"/payments/{queued['id']}/review", json=rejected())).status_code == 422
