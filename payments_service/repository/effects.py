"""What a change of one payment means beside it, in the same transaction: for its deposit, its instrument, and staff."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from payments_service.domain import amounts, payments
from payments_service.domain.ledger import Posted, Step
from payments_service.domain.payments import Action, Payment
from payments_service.domain.ports import Direction
from payments_service.domain.settlement import ExceptionKind, Found, Side
from payments_service.domain.states import State
from payments_service.repository import exceptions, ledger
from payments_service.repository import payments as kept
from shared.contracts.events import LedgerEvent


async def save(connection: AsyncConnection, before: Payment, after: Payment, now: datetime) -> None:
    """Save what a provider, or staff in its place, made of a locked payment."""
    await kept.save(connection, before, after, now)
    if payments.is_on_its_way(before) and payments.is_overdue(after, now):
        await overdue(connection, after, now)
    elif payments.is_overdue(before, now) or not payments.is_on_its_way(after):
        await exceptions.close_for(connection, after.id, ExceptionKind.OVERDUE, now)
    if after.of_payment is not None and after.status is not before.status:
        await _of_refund(connection, before, after, now)
    if (after.direction, after.status) == (Direction.DEPOSIT, State.CHARGED_BACK):
        await exceptions.close_for(connection, after.id, ExceptionKind.STRANDED, now)
    if (after.direction, after.status) == (Direction.DEPOSIT, State.REFUNDED) and before.status is not State.REFUNDED:
        await _gone_elsewhere(connection, after, now)


async def decided(
    connection: AsyncConnection, payment: Payment, step: Step, decision: LedgerEvent, now: datetime
) -> None:
    """What the wallet's decision on a step means: what its instrument has given, and what staff has to know."""
    await ledger.answered(connection, decision)
    if payment.posted is Posted.BLOCKED:
        found = Found(ExceptionKind.BLOCKED, Side.LEDGER, payment.id, payment.reference, step.value, payment.reason)
        await exceptions.open_for(connection, found, now)
    if step is Step.PAID_LATE:
        text = "paid out after it was given back to the player"
        found = Found(ExceptionKind.CONTRADICTION, Side.PROVIDER, payment.id, payment.reference, "failed", text)
        await exceptions.open_for(connection, found, now)


async def overdue(connection: AsyncConnection, payment: Payment, now: datetime) -> None:
    """Show staff a payment that is overdue, and what it waits for: its provider, or what is next for it here.

    What people closed is not opened again before something changes.
    """
    since, awaited = payment.changed_at or payment.created_at, payments.next_action(payment)
    side, expected = (Side.PROVIDER, None) if awaited is Action.ASK else (Side.LEDGER, awaited)
    text = f"{payment.status} since {since.isoformat()}"
    found = Found(ExceptionKind.OVERDUE, side, payment.id, payment.reference, expected, text)
    if not await exceptions.was_closed_by_people(connection, found):
        await exceptions.open_for(connection, found, now)


def contradiction(payment: Payment, said: str) -> Found:
    """That somebody said of a payment what cannot be."""
    return Found(ExceptionKind.CONTRADICTION, Side.PROVIDER, payment.id, payment.reference, payment.status, said)


def _is_gone(refund: Payment) -> bool:
    return refund.status is State.COMPLETED


async def _of_refund(connection: AsyncConnection, before: Payment, refund: Payment, now: datetime) -> None:
    """What a change of what goes back means for its deposit."""
    assert refund.of_payment is not None
    deposit = await kept.lock(connection, refund.of_payment)
    assert deposit is not None
    after = None
    if gone := _is_gone(refund) - _is_gone(before):
        withdrawn = refund.direction is Direction.WITHDRAWAL
        after = payments.after_refund(deposit, gone * refund.amount_minor, now, withdrawn=withdrawn)
    elif refund.status in payments.OVER:
        after = payments.in_doubt(deposit, now)
    if after is not None:
        await kept.save(connection, deposit, after, now)
        deposit = after
    if deposit.posted is not Posted.REFUSED:
        return
    # Staff has to know of money that nobody has: neither the player, nor whoever it came from.
    left = payments.left_of(deposit, await kept.refunds_of(connection, deposit.id))
    is_stranded = left > 0 and deposit.status in (State.COMPLETED, State.REINSTATED)
    if not is_stranded or refund.status in payments.OVER:
        await exceptions.close_for(connection, deposit.id, ExceptionKind.STRANDED, now)
    if is_stranded and refund.status in payments.OVER:
        expected = f"{amounts.told(left, deposit.currency)} back: {deposit.reason}"
        text = ": ".join(filter(None, (refund.status, refund.reason)))
        found = Found(ExceptionKind.STRANDED, Side.PROVIDER, deposit.id, deposit.reference, expected, text)
        await exceptions.open_for(connection, found, now)


async def _gone_elsewhere(connection: AsyncConnection, deposit: Payment, now: datetime) -> None:
    """The provider says that a deposit went back: what none of our refunds is about is one of its own."""
    refund = payments.gone_elsewhere(deposit, await kept.refunds_of(connection, deposit.id), now)
    if refund is not None:
        await kept.add(connection, refund)
        await exceptions.close_for(connection, deposit.id, ExceptionKind.STRANDED, now)
        # Read again: by its reference, just learned, there may be news of it.
        saved = await kept.lock(connection, deposit.id)
        assert saved is not None
        await kept.save(connection, saved, payments.after_refund(saved, refund.amount_minor, now), now)
