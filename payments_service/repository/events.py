"""What providers say by themselves: kept before it is answered, each once."""

from uuid import UUID

from sqlalchemy import false, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payments_service.domain.ports import Direction, ProviderEvent
from payments_service.tables import payment_events, payments

_KEPT = (
    *("event_id", "reference", "direction", "outcome", "amount_minor", "currency", "fee_minor", "reason"),
    "occurred_at",
)


async def put(
    connection: AsyncConnection, provider: str, event: ProviderEvent, payment_id: UUID | None, became: str
) -> bool:
    """Keep an event. False where it was there already."""
    values = {name: getattr(event, name) for name in _KEPT}
    new = insert(payment_events).values(provider=provider, payment_id=payment_id, became=became, **values)
    put_now = new.on_conflict_do_nothing().returning(payment_events.c.event_id)
    return (await connection.execute(put_now)).first() is not None


async def is_known(connection: AsyncConnection, provider: str, event_id: str) -> bool:
    """Whether an event is there already."""
    e = payment_events.c
    query = select(e.event_id).where(e.provider == provider, e.event_id == event_id)
    return (await connection.execute(query)).first() is not None


async def payment_of(connection: AsyncConnection, provider: str, event: ProviderEvent) -> UUID | None:
    """Whose event it is: by our own id where it says that, else by the provider's."""
    if event.direction is Direction.REFUND:
        return await _refund_or_deposit(connection, provider, event)
    p = payments.c
    query = select(p.id).where(p.provider == provider)
    found: UUID | None = None
    if event.payment_id is not None:
        found = (await connection.execute(query.where(p.id == event.payment_id))).scalar_one_or_none()
    if found is None and event.reference is not None:
        by_reference = query.where(p.reference == event.reference).order_by(p.number).limit(1)
        found = (await connection.execute(by_reference)).scalar_one_or_none()
    return found


async def _refund_or_deposit(connection: AsyncConnection, provider: str, event: ProviderEvent) -> UUID | None:
    """Whose a refund's event is: that refund's, or a withdrawal's that went as one, else the deposit's it is of."""
    p = payments.c
    whose = ((p.of_payment.isnot(None), event.reference), (p.direction == Direction.DEPOSIT, event.of_reference))
    for which, reference in whose:
        # A name that the event does not have is nobody's.
        named = [
            column == value
            for column, value in ((p.id, event.payment_id), (p.reference, reference))
            if value is not None
        ]
        query = select(p.id).where(p.provider == provider, which, or_(false(), *named))
        found: UUID | None = (await connection.execute(query.order_by(p.number).limit(1))).scalar_one_or_none()
        if found is not None:
            return found
    return None
