"""What providers say by themselves, brought to the payments that it is about."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from payments_service.domain import amounts, payments
from payments_service.domain.payments import Payment, Waits
from payments_service.domain.ports import Direction, Outcome, ProviderEvent
from payments_service.domain.settlement import ExceptionKind, Found, Side
from payments_service.domain.states import OPEN
from payments_service.repository import effects, events, exceptions
from payments_service.repository import payments as kept
from shared import database
from shared.clock import Clock


class EventsTaken:
    """As `Inbound`: keeps events, and marks the payments that they are about as having news."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def take(self, provider: str, said: Sequence[ProviderEvent]) -> list[str]:
        """As `Inbound.take`."""
        async with database.transaction(self._engine) as connection:
            return [await self._take(connection, provider, event, self._clock()) for event in said]

    async def _take(self, connection: AsyncConnection, provider: str, event: ProviderEvent, now: datetime) -> str:
        if await events.is_known(connection, provider, event.event_id):
            return "duplicate"
        payment_id = await events.payment_of(connection, provider, event)
        payment = None if payment_id is None else await kept.lock(connection, payment_id)
        if payment is not None and _is_refund_of(payment, event):
            payment = await self._begun_elsewhere(connection, payment, event, now)
            payment_id = payment.id
        became, after = _became(payment, event, now)
        if not await events.put(connection, provider, event, payment_id, became):
            return "duplicate"
        if payment is None:
            await self._unmatched(connection, event, now)
        elif after is not None:
            await effects.save(connection, payment, after, now)
        if payment is not None and became == "contradicts":
            await exceptions.open_for(connection, _differs(payment, event), now)
        return became

    async def _begun_elsewhere(
        self, connection: AsyncConnection, deposit: Payment, event: ProviderEvent, now: datetime
    ) -> Payment:
        """A refund that somebody began at the provider, as a payment; the deposit, where it cannot be one of it."""
        assert event.reference is not None
        assert event.amount_minor is not None
        refunds = await kept.refunds_of(connection, deposit.id)
        begun = next((refund for refund in refunds if refund.reference == event.reference), None)
        if begun is not None:
            return await kept.lock(connection, begun.id) or begun
        left = payments.left_of(deposit, refunds)
        if event.amount_minor > left or event.currency != deposit.currency:
            return deposit
        refund = payments.begun_elsewhere(deposit, event.reference, event.amount_minor, now)
        await kept.add(connection, refund)
        return await kept.lock(connection, refund.id) or refund

    async def _unmatched(self, connection: AsyncConnection, event: ProviderEvent, now: datetime) -> None:
        # An event with the provider's id alone may be ahead of the answer that tells whose it is.
        about: UUID | None = event.payment_id
        text = f"{event.outcome.value} {event.amount_minor} {event.currency}"
        found = Found(ExceptionKind.EXTRA, Side.PROVIDER, about, event.reference, None, text)
        if about is not None:
            await exceptions.open_for(connection, found, now)


def _became(payment: Payment | None, event: ProviderEvent, now: datetime) -> tuple[str, Payment | None]:
    if payment is None:
        return "unmatched", None
    if _is_refund_of(payment, event):
        return "contradicts", None
    if event.outcome is Outcome.COMPLETED and _differs_in_money(payment, event):
        # Whatever arrived is not what was asked for: somebody has to say what it is.
        if payment.status in OPEN:
            return "contradicts", replace(payment, waits_for=Waits.COMPLETION, due_at=None)
        return "contradicts", None
    known = replace(
        payment,
        reference=payment.reference or event.reference,
        instrument=payment.instrument or event.instrument,
        last4=payment.last4 or event.last4,
        fee_minor=event.fee_minor if event.fee_minor is not None else payment.fee_minor,
    )
    after = payments.heard(known, event.outcome, now)
    if after is not None:
        return "news", after
    return "repeated" if event.outcome.value == payment.status.value else "ignored", known


def _is_refund_of(payment: Payment, event: ProviderEvent) -> bool:
    """Whether an event tells of a refund of a deposit, and it is none of ours."""
    return (payment.direction, event.direction) == (Direction.DEPOSIT, Direction.REFUND)


def _differs_in_money(payment: Payment, event: ProviderEvent) -> bool:
    amount = event.amount_minor is not None and event.amount_minor != payment.amount_minor
    return amount or (event.currency is not None and event.currency != payment.currency)


def _differs(payment: Payment, event: ProviderEvent) -> Found:
    kind = ExceptionKind.AMOUNT if event.currency in (None, payment.currency) else ExceptionKind.CURRENCY
    expected = amounts.told(payment.amount_minor, payment.currency)
    said = amounts.told(event.amount_minor, event.currency or payment.currency)
    return Found(kind, Side.PROVIDER, payment.id, payment.reference, expected, said)
