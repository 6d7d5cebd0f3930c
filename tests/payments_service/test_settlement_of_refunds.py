"""The settlement of what goes back: taken first, booked by its provider on another day, or heard of from its report."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from payments_service.domain.ledger import Posted
from payments_service.domain.ports import Direction, Outcome
from payments_service.domain.settlement import ExceptionKind, Moved, Movement, at_provider, bookable, match_ledger
from payments_service.domain.states import State
from payments_service.handlers.settlement import Settlement
from shared.testing import MOMENT
from tests.payments_service.support import Setup
from tests.payments_service.test_refunds import asked, refund
from tests.payments_service.test_settlement import DAY, HEADER, kinds, line, moved, row


def sent(**more: Any) -> Moved:
    """A refund that was taken from its player four days before the day that is looked at."""
    of_payment, taken_at = uuid4(), MOMENT - timedelta(days=4)
    taken: dict[str, Any] = {"posted": Posted.TAKEN_BACK, "taken_at": taken_at, "taken_by": uuid4()}
    taken["created_at"] = taken_at
    return moved(**taken | {"direction": Direction.REFUND, "of_payment": of_payment, "amount_minor": 300} | more)


def test_a_refund_is_in_the_ledger_when_it_is_taken_and_at_its_provider_when_it_goes() -> None:
    refund = sent()
    assert refund.of_payment is not None
    assert kinds([refund], row(refund, -4, Movement.BACK, 300)) == []
    assert match_ledger([refund], [row(refund, -4, Movement.BACK, 300)], DAY - timedelta(days=4)) == []
    assert [line.kind for line in match_ledger([refund], [], DAY - timedelta(days=4))] == [ExceptionKind.MISSING]
    (line,) = at_provider([refund], DAY)
    assert (line.payment_id, line.movement, line.amount_minor) == (refund.of_payment, Movement.BACK, 300)
    assert at_provider([refund], DAY - timedelta(days=4)) == []


def test_a_refund_that_failed_was_in_the_ledger_and_never_at_its_provider() -> None:
    refund = sent(status=State.FAILED, posted=Posted.RELEASED, settled_at=None)
    there, back = row(refund, -4, Movement.BACK, 300), row(refund, 0, Movement.BACK, -300)
    assert kinds([refund], there, back) == []
    assert match_ledger([refund], [there, back], DAY - timedelta(days=4)) == []
    assert kinds([refund], there) == [(ExceptionKind.MISSING, refund.of_payment, None)]
    assert [at_provider([refund], DAY - timedelta(days=ago)) for ago in (0, 4)] == [[], []]


def test_a_refund_that_came_back_went_and_came_at_its_provider_too() -> None:
    gone_at = MOMENT - timedelta(days=4)
    refund = sent(status=State.REFUNDED, posted=Posted.RELEASED, settled_at=gone_at)
    for ago, amount_minor in ((0, -300), (4, 300)):
        (line,) = at_provider([refund], DAY - timedelta(days=ago))
        assert line.amount_minor == amount_minor


def test_a_reversal_beside_midnight_counts_with_the_day_on_which_the_refund_failed() -> None:
    refund = sent(status=State.FAILED, posted=Posted.RELEASED, settled_at=None)
    assert kinds([refund], row(refund, 1, Movement.BACK, -300)) == []


def test_what_was_taken_twice_agrees_on_the_day_on_which_it_was_taken_again() -> None:
    refund = sent(posted=Posted.CAPTURED, taken_at=MOMENT)
    assert kinds([refund], row(refund, -1, Movement.BACK, -300), row(refund, 0, Movement.BACK, 300)) == []


def days_of(payment: Moved, amount_minor: int) -> list[int]:
    """The days, counted from the one that is looked at, on which a provider may have booked so much of a payment."""
    about = (payment.of_payment or payment.id, Movement.BACK)
    around = range(-10, 11)
    return [days for days in around if (about, amount_minor) in bookable([payment], DAY + timedelta(days=days))]


def test_a_refund_may_be_booked_from_the_day_before_it_is_asked_for_to_the_day_after_it_is_known_to_be_done() -> None:
    assert days_of(sent(), 300) == list(range(-5, 2))
    assert days_of(sent(status=State.PROCESSING, settled_at=None, reference="re_1"), 300) == list(range(-5, 11))
    # Of what was begun at its provider, we heard on the day that is looked at, and it was whenever.
    assert days_of(sent(requested_by="sandbox", created_at=MOMENT), 300) == list(range(-10, 2))


def test_what_failed_may_have_gone_and_come_until_that_was_known() -> None:
    failed = sent(status=State.FAILED, posted=Posted.RELEASED, settled_at=None, reference="re_1")
    assert days_of(failed, 300) == days_of(failed, -300) == list(range(-5, 2))
    came_back = sent(status=State.REFUNDED, posted=Posted.RELEASED, settled_at=MOMENT - timedelta(days=2))
    assert (days_of(came_back, 300), days_of(came_back, -300)) == (list(range(-5, 0)), list(range(-5, 2)))


def test_a_dispute_is_booked_until_it_is_known_and_what_was_won_of_it_too() -> None:
    won = moved(charged_back_minor=1000, charged_back_at=MOMENT, status=State.REINSTATED)
    won = won._replace(created_at=MOMENT - timedelta(days=3), changed_at=MOMENT + timedelta(days=2))
    assert (days_of(won, 1000), days_of(won, -1000)) == (list(range(-4, 2)), list(range(-4, 4)))


async def settle(payments: Setup, *lines: str) -> tuple[str, list[tuple[str, str]]]:
    """Settle the day that it is with a report, which comes on the next; how its batch stands, and what is open."""
    day = payments.now.date().isoformat()
    payments.now += timedelta(days=1)
    report = "\n".join([HEADER, *(each.replace(DAY.isoformat(), day) for each in lines)])
    body = {"provider": "sandbox", "currency": "USD", "day": day, "report": report}
    response = await payments.client().post("/settlement-batches", json=body)
    assert response.status_code == 200, response.text
    return response.json()["status"], await payments.exceptions()


async def again(payments: Setup, day: Any) -> tuple[str, list[tuple[str, str]]]:
    """Settle a day once more, with the report that there is."""
    body = {"provider": "sandbox", "currency": "USD", "day": day.isoformat()}
    batch = (await payments.client().post("/settlement-batches", json=body)).json()
    await Settlement(payments.engine, {"sandbox": payments.provider}, lambda: payments.now).settle(
        UUID(batch["id"]), None
    )
    found = (await payments.client().get(f"/settlement-batches/{batch['id']}")).json()
    return found["status"], await payments.exceptions()


@pytest.mark.integration
async def test_a_refund_that_is_on_its_way_agrees_on_whichever_day_its_provider_books_it(payments: Setup) -> None:
    deposit = await payments.go(Direction.DEPOSIT)
    payments.provider.at_once = 0
    found = (await refund(payments, deposit, asked("5.00"))).json()[0]
    assert (found["status"], found["posted"]) == ("processing", "taken_back")
    await payments.heard()
    day = payments.now.date()
    went = line(found["id"], "-5.00", "refund")
    assert await settle(payments, line(str(deposit.id), "10.00"), went) == ("matched", [])
    payments.now += timedelta(days=2)
    payments.provider.settle_some()
    await payments.later(days=2)
    assert (await payments.get(UUID(found["id"]))).status is State.COMPLETED
    assert await settle(payments) == ("matched", [])
    assert await again(payments, day) == ("matched", [])


@pytest.mark.integration
async def test_a_refund_that_its_provider_booked_and_took_back_agrees(payments: Setup) -> None:
    deposit = await payments.go(Direction.DEPOSIT)
    payments.provider.at_once, payments.provider.refunds_fail = 0, 1
    found = (await refund(payments, deposit, asked("5.00"))).json()[0]
    await payments.heard()
    went, came = line(found["id"], "-5.00", "refund"), line(found["id"], "5.00", "refund_failure")
    assert await settle(payments, line(str(deposit.id), "10.00"), went, came) == ("matched", [])
    went_on = payments.now.date()
    assert await settle(payments, went) == ("matched", [])
    payments.provider.settle_some()
    await payments.later(days=1)
    failed = await payments.get(UUID(found["id"]))
    assert (failed.status, failed.posted) == (State.FAILED, Posted.RELEASED)
    await payments.heard()
    assert await settle(payments, came) == ("matched", [])
    assert await again(payments, went_on) == ("matched", [])


@pytest.mark.integration
@pytest.mark.parametrize("amount", ["10.00", "9.00"])
async def test_what_somebody_else_refunds_of_a_deposit_is_not_taken_for_an_earlier_refund(
    payments: Setup, amount: str
) -> None:
    deposit = await payments.go(Direction.DEPOSIT, 3000)
    refunded = (await refund(payments, deposit, asked("10.00"))).json()[0]["id"]
    await payments.heard()
    went = line(refunded, "-10.00", "refund")
    assert await settle(payments, line(str(deposit.id), "30.00"), went) == ("matched", [])
    payments.now += timedelta(days=4)
    assert await settle(payments, line(str(deposit.id), f"-{amount}", "refund")) == (
        "exceptions",
        [("extra", "provider")],
    )


@pytest.mark.integration
async def test_a_dispute_that_is_lost_after_one_was_won_is_not_taken_for_that(payments: Setup) -> None:
    deposit = await payments.go(Direction.DEPOSIT)
    for outcome in (Outcome.CHARGED_BACK, Outcome.REINSTATED):
        payments.provider.take_back(deposit.id, outcome)
        await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
        await payments.later(seconds=1)
    await payments.heard()
    disputed = line(str(deposit.id), "-10.00", "dispute")
    lines = [line(str(deposit.id), "10.00"), disputed, line(str(deposit.id), "10.00", "dispute_reversal")]
    assert await settle(payments, *lines) == ("matched", [])
    payments.now += timedelta(days=20)
    assert await settle(payments, disputed) == ("exceptions", [("extra", "provider")])


@pytest.mark.integration
async def test_what_went_out_and_came_back_agrees_too(payments: Setup) -> None:
    deposit = await payments.go(Direction.DEPOSIT)
    refunded = (await refund(payments, deposit, asked("5.00"))).json()[0]["id"]
    paid = str((await payments.go(Direction.WITHDRAWAL, 300)).id)
    for each in (refunded, paid):
        payments.provider.take_back(UUID(each), Outcome.FAILED)
        await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
    await payments.later(seconds=1)
    assert payments.wallet.cash[1] == 1000
    await payments.heard()
    lines = [line(refunded, "-5.00", "refund"), line(refunded, "5.00", "refund_failure")]
    lines += [line(paid, "-3.00", "transfer"), line(paid, "3.00", "transfer_reversal")]
    assert await settle(payments, line(str(deposit.id), "10.00"), *lines) == ("matched", [])


@pytest.mark.integration
async def test_what_nobody_told_of_is_found_by_the_report_asked_after_and_comes_right(payments: Setup) -> None:
    deposit, disputed = await payments.go(Direction.DEPOSIT), await payments.go(Direction.DEPOSIT)
    refunded = (await refund(payments, deposit, asked("5.00"))).json()[0]["id"]
    paid = await payments.go(Direction.WITHDRAWAL, 300)
    await payments.heard()
    went = [line(str(each.id), "10.00") for each in (deposit, disputed)]
    went += [line(refunded, "-5.00", "refund"), line(str(paid.id), "-3.00", "transfer")]
    assert await settle(payments, *went) == ("matched", [])
    payments.now += timedelta(days=3)
    for payment_id, outcome in (
        (UUID(refunded), Outcome.FAILED),
        (paid.id, Outcome.FAILED),
        (disputed.id, Outcome.CHARGED_BACK),
    ):
        payments.provider.take_back(payment_id, outcome)
    payments.provider.outgoing.clear()
    day = payments.now.date()
    later = [line(refunded, "5.00", "refund_failure"), line(str(paid.id), "3.00", "transfer_reversal")]
    status, found = await settle(payments, *later, line(str(disputed.id), "-10.00", "dispute"))
    assert (status, found) == ("exceptions", [("extra", "provider")] * 3)
    await payments.later(seconds=1)
    await payments.heard()
    assert payments.wallet.cash[1] == 1000
    assert await again(payments, day) == ("matched", [])
