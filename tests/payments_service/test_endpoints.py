"""Payments over HTTP, as the platform's other services see them."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from asyncpg import Record

from payments_service.domain.ports import Direction, Outcome
from payments_service.repository.ledger import apply
from shared import database as databases
from shared.contracts.kinds import Account, Kind, Status
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


COLUMNS = "balance_transaction_id,reporting_category,currency,gross,fee,net,created_utc,source_id"
HEADER = f"{COLUMNS},payment_metadata[payment_id]"


def line(payment_id: str, amount: str = "25.00", category: str = "charge", currency: str = "usd") -> str:
    net = Decimal(amount) - Decimal("0.30")
    row_id = f"txn_{category}_{payment_id}"
    return f"{row_id},{category},{currency},{amount},0.30,{net},2026-11-24 10:00:00,ref,{payment_id}"


async def heard(payments: Setup) -> None:
    """What the wallet decided comes to the service, as the ledger's events."""
    rows = []
    for position, (command, event) in enumerate(payments.wallet.decided.values(), start=1):
        inward = command.kind in (Kind.DEPOSIT, Kind.REVERSAL)
        sides = {"debit": Account.CLEARING, "credit": Account.CASH}
        entry = sides if inward else {"debit": Account.CASH, "credit": Account.CLEARING}
        if event.status is Status.POSTED and command.provider:
            rows.append(event.model_copy(update=entry | {"position": position, "created_at": payments.now}))
    async with databases.transaction(payments.engine) as connection:
        await apply(connection, rows)


async def settled(payments: Setup, *lines: str) -> dict[str, Any]:
    body = {"provider": "sandbox", "currency": "USD", "day": "2026-11-24", "report": "\n".join([HEADER, *lines])}
    response = await payments.client().post("/settlement-batches", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_a_day_that_agrees_three_ways_is_matched(payments: Setup) -> None:
    first, second = [(await deposit(payments, 2500))["id"] for _ in range(2)]
    out = (await payments.client().post("/payments/withdrawals", json=asked(1000))).json()[0]["id"]
    payments.provider.take_back(UUID(second), Outcome.CHARGED_BACK)
    await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
    await payments.later(seconds=1)
    await heard(payments)
    lines = [line(first), line(second), line(second, "-25.00", "dispute"), line(out, "-10.00", "transfer")]
    batch = await settled(payments, *lines)
    assert batch["status"] == "matched", await payments.exceptions()
    assert batch["totals"]["ours"]["in"] == batch["totals"]["provider"]["in"] == 5000


async def test_a_part_that_was_refunded_and_a_dispute_that_was_won_agree_too(payments: Setup) -> None:
    found = (await deposit(payments, 2500))["id"]
    refund_id = str(uuid4())
    refund = {"actor": "ann", "refund_id": refund_id, "refund": {"amount": "5.00", "reason": "twice"}}
    assert (await payments.client().post(f"/payments/{found}/refund", json=refund)).status_code == 200
    for outcome in (Outcome.CHARGED_BACK, Outcome.REINSTATED):
        payments.provider.take_back(UUID(found), outcome)
        await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
        await payments.later(seconds=1)
    await heard(payments)
    lines = [line(found), line(refund_id, "-5.00", "refund")]
    lines += [line(found, "-20.00", "dispute"), line(found, "20.00", "dispute_reversal")]
    batch = await settled(payments, *lines)
    assert batch["status"] == "matched", await payments.exceptions()
    assert batch["totals"]["ours"]["back"] == batch["totals"]["provider"]["back"] == 500


async def test_a_deposit_that_was_given_back_agrees_too(payments: Setup) -> None:
    payments.provider.at_once = 0
    found = await deposit(payments, 2500)
    payments.wallet.excluded.add(42)
    payments.provider.settle_some()
    payments.provider.at_once = 1
    await payments.later(minutes=1)
    await heard(payments)
    detail = (await payments.client().get(f"/payments/{found['id']}")).json()
    assert (detail["status"], detail["posted"]) == ("refunded", "refused")
    refund = next(payment for payment in await payments.all() if payment.direction is Direction.REFUND)
    batch = await settled(payments, line(found["id"]), line(str(refund.id), "-25.00", "refund"))
    assert batch["status"] == "matched", await payments.exceptions()


async def test_what_does_not_agree_is_shown_by_kind_and_closed_with_a_reason(payments: Setup) -> None:
    missing, amount, currency = [(await deposit(payments, 2500))["id"] for _ in range(3)]
    await heard(payments)
    await as_administrator(payments.database, "DELETE FROM payments.ledger_movements WHERE position = 1")
    other = str(uuid4())
    batch = await settled(payments, line(amount, "24.99"), line(currency, currency="eur"), line(other))
    assert batch["status"] == "exceptions"
    client = payments.client()
    found = (await client.get("/settlement-exceptions", params={"batch_id": batch["id"]})).json()
    assert {(each["kind"], each["side"], each["payment_id"]) for each in found} == {
        ("missing", "ledger", missing),
        ("missing", "provider", missing),
        ("amount", "provider", amount),
        ("currency", "provider", currency),
        ("extra", "provider", other),
    }
    assert next(each for each in found if each["kind"] == "amount")["found"] == "24.99 USD"
    for each in found:
        body = {"actor": "ann", "resolution": {"reason": "the provider's mistake"}}
        closed = await client.post(f"/settlement-exceptions/{each['id']}/resolution", json=body)
        assert closed.json()["closed_because"] == "the provider's mistake"
    # What was closed stays closed when the batch is settled again.
    again = await client.post(f"/settlement-batches/{batch['id']}/retry", json={})
    assert again.json()["status"] == "matched"


async def test_a_report_that_is_not_there_is_waited_for_and_one_that_is_wrong_is_named(payments: Setup) -> None:
    await deposit(payments, 2500)
    client = payments.client()
    body = {"provider": "sandbox", "currency": "USD", "day": date(2026, 11, 24).isoformat()}
    waits = (await client.post("/settlement-batches", json=body)).json()
    assert (waits["status"], waits["attempts"]) == ("waiting", 1)
    response = await client.post(f"/settlement-batches/{waits['id']}/retry", json={"report": "a,b\n1,2"})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "report")
