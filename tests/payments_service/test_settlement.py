"""Settlement: what our payments, the ledger and a provider's report say of a day, and what does not agree."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest

from payments_service.domain import settlement
from payments_service.domain.ledger import Posted
from payments_service.domain.ports import Direction, Outcome
from payments_service.domain.settlement import (
    MAX_ATTEMPTS,
    ExceptionKind,
    Line,
    Moved,
    Movement,
    Side,
    compared,
    match,
    match_ledger,
)
from payments_service.domain.states import State
from payments_service.handlers.settlement import Settlement
from shared.contracts.payments import MAX_REPORT_BYTES
from shared.testing import MOMENT
from tests.payments_service.support import Setup
from tests.payments_service.test_endpoints import asked, deposit
from tests.support import as_administrator

DAY = MOMENT.date()
REFERENCE = "a-transaction"


def moved(days: int = 0, amount_minor: int = 1000, **more: Any) -> Moved:
    """A deposit that was settled so many days after the one that is looked at."""
    at = MOMENT + timedelta(days=days)
    values: dict[str, Any] = dict.fromkeys(Moved._fields)
    values |= {"id": uuid4(), "direction": Direction.DEPOSIT, "status": State.COMPLETED, "posted": Posted.CREDITED}
    values |= {"amount_minor": amount_minor, "currency": "USD", "settled_at": at, "changed_at": at}
    values |= {"created_at": at, "provider": "sandbox", "requested_by": "ann"}
    return Moved(**values | more)


def row(payment: Moved | None, days: int = 0, movement: Movement = Movement.IN, amount_minor: int = 1000) -> Line:
    """A row of the ledger about a payment."""
    whose = None if payment is None else payment.of_payment or payment.id
    return Line(whose, movement, amount_minor, "USD", day=DAY + timedelta(days=days), reference=REFERENCE)


def kinds(payments: list[Moved], *rows: Line) -> list[tuple[ExceptionKind, UUID | None, str | None]]:
    return [(each.kind, each.payment_id, each.reference) for each in match_ledger(payments, rows, DAY)]


@pytest.mark.parametrize("days", [-1, 0, 1])
def test_what_the_ledger_moved_beside_midnight_counts_with_the_day_on_which_we_did(days: int) -> None:
    payment = moved()
    assert kinds([payment], row(payment, days)) == []


def test_what_we_moved_on_another_day_is_not_looked_for_in_this_one() -> None:
    before = moved(days=-5)
    assert kinds([before], row(before)) == []


def test_what_the_ledger_lacks_is_missing() -> None:
    payment = moved()
    assert kinds([payment]) == [(ExceptionKind.MISSING, payment.id, None)]


def test_what_none_of_our_payments_moved_is_extra_and_names_its_payment_where_it_has_one() -> None:
    deposit = moved()
    paid = moved(direction=Direction.WITHDRAWAL, posted=Posted.CAPTURED)
    # Staff reversed both in the ledger, and somebody posted a third without a payment.
    by_staff = [row(deposit, movement=Movement.OUT), row(paid, movement=Movement.BACK), row(None)]
    assert kinds([deposit, paid], row(deposit), row(paid, movement=Movement.OUT), *by_staff) == [
        (ExceptionKind.EXTRA, deposit.id, REFERENCE),
        (ExceptionKind.EXTRA, paid.id, REFERENCE),
        (ExceptionKind.EXTRA, None, REFERENCE),
    ]


def test_refunds_of_one_deposit_on_two_days_count_each_on_its_own() -> None:
    deposit = moved(days=-3)
    first, second = [
        moved(days, amount, direction=Direction.REFUND, posted=Posted.TAKEN_BACK, of_payment=deposit.id)
        for days, amount in ((0, 300), (1, 200))
    ]
    rows = [row(first, 0, Movement.BACK, 300), row(second, 1, Movement.BACK, 200)]
    assert kinds([deposit, first, second], *rows) == []
    assert kinds([deposit, first, second], rows[1]) == [(ExceptionKind.MISSING, deposit.id, None)]


def test_what_a_report_of_another_day_has_is_not_missing() -> None:
    payment = moved()
    ours, lacking = compared([payment], [], DAY)
    assert lacking == [payment]
    theirs = row(payment, days=-1)
    assert match(ours, [], Side.PROVIDER, {}, DAY, [theirs]) == []
    # That it came late is said of the day on which it came.
    assert match(ours, [], Side.PROVIDER, {}, DAY, [theirs._replace(day=DAY + timedelta(days=1))]) == []
    differs = match(ours, [], Side.PROVIDER, {}, DAY, [theirs._replace(amount_minor=999)])
    assert [(each.kind, each.payment_id) for each in differs] == [(ExceptionKind.AMOUNT, payment.id)]
    assert [each.kind for each in match(ours, [], Side.PROVIDER, {}, DAY)] == [ExceptionKind.MISSING]


COLUMNS = "balance_transaction_id,reporting_category,currency,gross,fee,net,created_utc,source_id"
HEADER = f"{COLUMNS},payment_metadata[payment_id]"


def line(payment_id: str, amount: str = "25.00", category: str = "charge", currency: str = "usd") -> str:
    net = Decimal(amount) - Decimal("0.30")
    row_id = f"txn_{category}_{payment_id}"
    return f"{row_id},{category},{currency},{amount},0.30,{net},2026-11-24 10:00:00,ref,{payment_id}"


async def settled(payments: Setup, *lines: str) -> dict[str, Any]:
    body = {"provider": "sandbox", "currency": "USD", "day": "2026-11-24", "report": "\n".join([HEADER, *lines])}
    response = await payments.client().post("/settlement-batches", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


@pytest.mark.integration
async def test_a_day_that_agrees_three_ways_is_matched(payments: Setup) -> None:
    first, second = [(await deposit(payments, 2500))["id"] for _ in range(2)]
    out = (await payments.client().post("/payments/withdrawals", json=asked(1000))).json()[0]["id"]
    payments.provider.take_back(UUID(second), Outcome.CHARGED_BACK)
    await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
    await payments.later(seconds=1)
    await payments.heard()
    lines = [line(first), line(second), line(second, "-25.00", "dispute"), line(out, "-10.00", "transfer")]
    batch = await settled(payments, *lines)
    assert batch["status"] == "matched", await payments.exceptions()
    assert batch["totals"]["ours"]["in"] == batch["totals"]["provider"]["in"] == 5000


@pytest.mark.integration
async def test_a_part_that_was_refunded_and_a_dispute_that_was_won_agree_too(payments: Setup) -> None:
    found = (await deposit(payments, 2500))["id"]
    refund_id = str(uuid4())
    refund = {"actor": "ann", "refund_id": refund_id, "refund": {"amount": "5.00", "reason": "twice"}}
    assert (await payments.client().post(f"/payments/{found}/refund", json=refund)).status_code == 200
    for outcome in (Outcome.CHARGED_BACK, Outcome.REINSTATED):
        payments.provider.take_back(UUID(found), outcome)
        await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
        await payments.later(seconds=1)
    await payments.heard()
    lines = [line(found), line(refund_id, "-5.00", "refund")]
    lines += [line(found, "-20.00", "dispute"), line(found, "20.00", "dispute_reversal")]
    batch = await settled(payments, *lines)
    assert batch["status"] == "matched", await payments.exceptions()
    assert batch["totals"]["ours"]["back"] == batch["totals"]["provider"]["back"] == 500


@pytest.mark.integration
async def test_a_deposit_that_was_given_back_agrees_too(payments: Setup) -> None:
    payments.provider.at_once = 0
    found = await deposit(payments, 2500)
    payments.wallet.excluded.add(42)
    payments.provider.settle_some()
    payments.provider.at_once = 1
    await payments.later(minutes=1)
    await payments.heard()
    detail = (await payments.client().get(f"/payments/{found['id']}")).json()
    assert (detail["status"], detail["posted"]) == ("refunded", "refused")
    refund = next(payment for payment in await payments.all() if payment.direction is Direction.REFUND)
    batch = await settled(payments, line(found["id"]), line(str(refund.id), "-25.00", "refund"))
    assert batch["status"] == "matched", await payments.exceptions()


@pytest.mark.integration
async def test_what_does_not_agree_is_shown_by_kind_and_closed_with_a_reason(payments: Setup) -> None:
    missing, amount, currency = [(await deposit(payments, 2500))["id"] for _ in range(3)]
    await payments.heard()
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


@pytest.mark.integration
async def test_what_the_wallet_answered_is_not_in_the_ledger_before_the_journal_has_it(payments: Setup) -> None:
    found = await deposit(payments, 2500)
    await settled(payments, line(found["id"]))
    assert await payments.exceptions() == [("missing", "ledger")]
    await payments.heard()
    assert (await settled(payments, line(found["id"])))["status"] == "matched"


@pytest.mark.integration
async def test_a_report_that_is_not_there_is_waited_for_and_one_that_is_wrong_is_named(payments: Setup) -> None:
    await deposit(payments, 2500)
    client = payments.client()
    body = {"provider": "sandbox", "currency": "USD", "day": date(2026, 11, 24).isoformat()}
    waits = (await client.post("/settlement-batches", json=body)).json()
    assert (waits["status"], waits["attempts"]) == ("waiting", 1)
    wrong = {"report": "a,b\n1,2", "line 2": report(line("a").replace("ref", "\0")).decode()}
    for named, text in wrong.items():
        response = await client.post(f"/settlement-batches/{waits['id']}/retry", json={"report": text})
        assert (response.status_code, response.json()["errors"][0]["field"]) == (422, named)


@pytest.mark.integration
async def test_what_staff_reversed_in_the_ledger_is_shown_with_its_payment(payments: Setup) -> None:
    found = await deposit(payments, 2500)
    payments.wallet.cash[42] += 5000
    out = (await payments.client().post("/payments/withdrawals", json=asked(1000))).json()[0]["id"]
    for payment_id, step in ((found["id"], "credit"), (out, "capture")):
        await payments.by_staff(uuid5(UUID(payment_id), step), 400)
    await payments.heard()
    batch = await settled(payments, line(found["id"]), line(out, "-10.00", "transfer"))
    shown = (await payments.client().get("/settlement-exceptions", params={"batch_id": batch["id"]})).json()
    assert {(each["kind"], each["side"], each["payment_id"], each["found"]) for each in shown} == {
        ("extra", "ledger", found["id"], "4.00 USD"),
        ("extra", "ledger", out, "4.00 USD"),
    }


@pytest.mark.integration
async def test_what_was_paid_after_it_was_given_back_agrees(payments: Setup) -> None:
    payments.wallet.cash[42] = 5000
    payments.provider.fails = 1
    out = (await payments.client().post("/payments/withdrawals", json=asked(1000))).json()[0]["id"]
    payments.provider.take_back(UUID(out), Outcome.COMPLETED)
    await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
    await payments.later(seconds=1)
    await payments.heard()
    batch = await settled(payments, line(out, "-10.00", "transfer"))
    shown = (await payments.client().get("/settlement-exceptions", params={"batch_id": batch["id"]})).json()
    assert (batch["status"], shown) == ("matched", [])


def report(*lines: str) -> bytes:
    return "\n".join([HEADER, *lines]).encode()


async def settle_all(payments: Setup) -> dict[date, str]:
    """Settle whatever is due; returns how each day's batch stands."""
    settling = Settlement(payments.engine, {"sandbox": payments.provider}, lambda: payments.now)
    for _ in range(10):
        if not await settling.look():
            break
    batches = await as_administrator(payments.database, "SELECT day, status FROM payments.settlement_batches")
    return {row["day"]: row["status"] for row in batches}


NEXT = DAY + timedelta(days=1)
LATER = DAY + timedelta(days=3)


@pytest.mark.integration
async def test_what_moves_on_another_day_than_it_began_is_settled_with_that_day(payments: Setup) -> None:
    payments.provider.at_once = 0
    found = await deposit(payments, 2500)
    await payments.later(days=3)
    payments.provider.settle_some()
    await payments.later(days=1)
    await payments.heard()
    moved_on = payments.now.date()
    payments.provider.reports = {DAY: report(), moved_on: report(line(found["id"]))}
    payments.now += timedelta(days=2)
    assert await settle_all(payments) == {DAY: "matched", moved_on: "matched"}
    assert await payments.exceptions() == []


@pytest.mark.integration
async def test_what_the_provider_booked_before_midnight_and_we_after_it_comes_right_by_itself(
    payments: Setup,
) -> None:
    payments.provider.at_once = 0
    found = await deposit(payments, 2500)
    payments.provider.reports = {DAY: report(line(found["id"])), NEXT: report()}
    payments.now += timedelta(days=1)
    assert await settle_all(payments) == {DAY: "exceptions"}
    assert await payments.exceptions() == [("extra", "provider")]
    payments.provider.settle_some()
    await payments.later(minutes=1)
    await payments.heard()
    payments.now += timedelta(days=1)
    assert await settle_all(payments) == {DAY: "matched", NEXT: "matched"}
    assert await payments.exceptions() == []


@pytest.mark.integration
async def test_what_the_provider_booked_after_midnight_is_late_there_and_missing_no_more(payments: Setup) -> None:
    found = await deposit(payments, 2500)
    await payments.heard()
    payments.provider.reports = {DAY: report(), NEXT: report(line(found["id"]))}
    payments.now += timedelta(days=1)
    assert await settle_all(payments) == {DAY: "exceptions"}
    assert await payments.exceptions() == [("missing", "provider")]
    await payments.go(Direction.DEPOSIT, user_id=9)
    assert await payments.all() != []
    payments.provider.reports[NEXT] = report(line(found["id"]), *await lines_of(payments, user_id=9))
    await payments.heard()
    payments.now += timedelta(days=1)
    assert await settle_all(payments) == {DAY: "matched", NEXT: "exceptions"}
    assert await payments.exceptions() == [("late", "provider")]


async def lines_of(payments: Setup, user_id: int) -> list[str]:
    return [line(str(each.id), "10.00") for each in await payments.all() if each.user_id == user_id]


@pytest.mark.integration
async def test_what_a_provider_paid_although_it_is_held_for_failed_is_asked_after_and_comes_right(
    payments: Setup,
) -> None:
    payments.wallet.cash[1], payments.provider.at_once = 1000, 0
    paid = await payments.go(Direction.WITHDRAWAL)
    word = {"outcome": "failed", "reason": "never heard of", "evidence": "its list of the day"}
    for actor in ("ann", "bob"):
        await payments.client().post(f"/payments/{paid.id}/completion", json={"actor": actor, "completion": word})
    assert ((await payments.get(paid.id)).status, payments.wallet.cash[1]) == (State.FAILED, 1000)
    payments.provider.settle_some()
    payments.provider.outgoing.clear()
    payments.provider.reports = {DAY: report(line(str(paid.id), "-10.00", "transfer"))}
    payments.now += timedelta(days=1)
    assert await settle_all(payments) == {DAY: "exceptions"}
    assert await payments.exceptions() == [("extra", "provider")]
    await payments.later(seconds=1)
    assert ((await payments.get(paid.id)).status, payments.wallet.cash[1]) == (State.COMPLETED, 0)


@pytest.mark.integration
async def test_what_was_refused_before_it_was_sent_stands_when_it_is_asked_after(payments: Setup) -> None:
    payments.wallet.excluded.add(1)
    refused = await payments.go(Direction.DEPOSIT)
    payments.provider.reports = {DAY: report(line(str(refused.id)))}
    payments.now += timedelta(days=1)
    assert await settle_all(payments) == {DAY: "exceptions"}
    await payments.later(seconds=1)
    asked_after = await payments.get(refused.id)
    assert (asked_after.status, asked_after.due_at, payments.provider.calls["look_up"]) == (State.FAILED, None, 1)
    assert payments.provider.books == {}


@pytest.mark.integration
async def test_what_staff_reversed_on_a_day_without_payments_is_shown_too(payments: Setup) -> None:
    found = await deposit(payments, 2500)
    await payments.heard()
    payments.now += timedelta(days=3)
    await payments.by_staff(uuid5(UUID(found["id"]), "credit"), 400)
    payments.provider.reports = {DAY: report(line(found["id"])), LATER: report()}
    payments.now += timedelta(days=2)
    assert await settle_all(payments) == {DAY: "matched", LATER: "exceptions"}
    assert await payments.exceptions() == [("extra", "ledger")]


@pytest.mark.integration
async def test_what_the_ledger_moved_at_a_provider_without_payments_makes_no_batch(payments: Setup) -> None:
    await deposit(payments, 2500)
    _, event = next(iter(payments.wallet.decided.values()))
    await payments.heard([event.model_copy(update={"provider": "elsewhere", "position": 77})])
    batches = await as_administrator(payments.database, "SELECT provider FROM payments.settlement_batches")
    assert {row["provider"] for row in batches} == {"sandbox"}


@pytest.mark.integration
async def test_a_batch_with_exceptions_is_not_looked_at_for_ever(payments: Setup) -> None:
    await deposit(payments, 2500)
    await payments.heard()
    payments.provider.reports = {DAY: report()}
    for _ in range(MAX_ATTEMPTS + 3):
        payments.now += timedelta(days=1)
        await settle_all(payments)
    (batch,) = await as_administrator(payments.database, "SELECT attempts, status FROM payments.settlement_batches")
    assert (batch["attempts"], batch["status"]) == (MAX_ATTEMPTS, "exceptions")
    assert await payments.exceptions() == [("missing", "provider")]


@pytest.mark.integration
async def test_a_batch_that_waited_long_for_its_report_is_looked_at_again_as_often_as_any(payments: Setup) -> None:
    found = await deposit(payments, 2500)
    for _ in range(MAX_ATTEMPTS + 1):
        payments.now += timedelta(days=1)
        await settle_all(payments)
    assert await settle_all(payments) == {DAY: "delayed"}
    assert (await settled(payments, line(found["id"])))["status"] == "exceptions"
    await payments.heard()
    payments.now += timedelta(days=1)
    assert await settle_all(payments) == {DAY: "matched"}


@pytest.mark.integration
async def test_a_report_of_a_day_that_is_not_over_stands_in_for_the_days_own_until_then(payments: Setup) -> None:
    first = await deposit(payments, 2500)
    await payments.heard()
    batch = await settled(payments, line(first["id"]))
    assert (batch["status"], batch["reported"]) == ("matched", False)
    retry = f"/settlement-batches/{batch['id']}/retry"
    assert (await payments.client().post(retry, json={})).json()["status"] == "matched"
    await deposit(payments, 5000)
    await payments.heard()
    payments.provider.reports = {DAY: report(line(first["id"]))}
    payments.now += timedelta(days=1)
    assert await settle_all(payments) == {DAY: "exceptions"}
    assert await payments.exceptions() == [("missing", "provider")]


@pytest.mark.integration
async def test_a_day_of_which_only_an_early_report_came_waits_for_its_own(payments: Setup) -> None:
    found = await deposit(payments, 2500)
    await payments.heard()
    batch = await settled(payments, line(found["id"]))
    payments.now += timedelta(days=1)
    assert await settle_all(payments) == {DAY: "waiting"}
    whole = await settled(payments, line(found["id"]))
    assert (whole["id"], whole["status"], whole["reported"]) == (batch["id"], "matched", True)


UNREADABLE = {"too large": b" " * (MAX_REPORT_BYTES + 1), "a NUL": report(line("a").replace("ref", "\0"))}


@pytest.mark.integration
@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
async def test_a_report_that_cannot_be_read_is_waited_for(payments: Setup, body: bytes) -> None:
    found = await deposit(payments, 2500)
    await payments.heard()
    payments.provider.reports = {DAY: body}
    payments.now += timedelta(days=1)
    assert await settle_all(payments) == {DAY: "waiting"}
    assert (await settled(payments, line(found["id"])))["status"] == "matched"


@pytest.mark.integration
@pytest.mark.parametrize("has_report", [False, True])
async def test_what_goes_wrong_with_one_batch_does_not_stop_the_others(
    payments: Setup, monkeypatch: pytest.MonkeyPatch, has_report: bool
) -> None:
    await deposit(payments, 2500)
    if has_report:
        payments.provider.reports = {DAY: report()}
    payments.now += timedelta(days=1)
    await settle_all(payments)
    await payments.go(Direction.DEPOSIT)
    payments.now += timedelta(days=1)
    matched = settlement.bookable

    def breaks(moved: Any, day: date) -> Any:
        if day == DAY:
            raise ZeroDivisionError
        return matched(moved, day)

    monkeypatch.setattr(settlement, "bookable", breaks)
    payments.provider.reports = {DAY: report(), NEXT: report()}
    before = "exceptions" if has_report else "waiting"
    assert await settle_all(payments) == {DAY: before, NEXT: "exceptions"}
    (batch,) = await as_administrator(
        payments.database, "SELECT attempts, due_at FROM payments.settlement_batches ORDER BY day LIMIT 1"
    )
    assert (batch["attempts"], batch["due_at"] > payments.now) == (2, True)
