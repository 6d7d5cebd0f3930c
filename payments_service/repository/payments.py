"""Payments: found, locked, saved with how they came there, taken when they are due, listed."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, fields, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Select, Uuid, any_, insert, literal, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from payments_service.domain.ledger import Posted
from payments_service.domain.payments import Payment, Waits
from payments_service.domain.ports import Direction
from payments_service.domain.states import MOVED, State
from payments_service.repository import days
from payments_service.repository.days import Day
from payments_service.tables import payment_events, payment_moves, payments
from shared import outbox
from shared.contracts.payments import PaymentEvent
from shared.outbox import OutboxEvent

_c = payments.c
_COLUMNS = [_c[field.name] for field in fields(Payment)]
# What never changes after a payment is there.
_FIXED = frozenset(
    {
        *("id", "group_id", "group_minor", "user_id", "direction", "provider", "method", "amount_minor", "currency"),
        *("created_at", "of_payment", "requested_by", "batch_id"),
    }
)


def _day(payment: Payment, moment: datetime) -> Day:
    return Day(payment.provider, payment.currency, moment.date())


def _payment(row: Row[Any]) -> Payment:
    return _of(dict(row._mapping))


def _select() -> Select[Any]:
    return select(*_COLUMNS)


async def add(connection: AsyncConnection, payment: Payment) -> bool:
    """Keep a new payment in its day's batch. False where it was there already."""
    batch_id = await days.batch_of(connection, _day(payment, payment.created_at), payment.created_at)
    kept = replace(payment, batch_id=batch_id, changed_at=payment.created_at)
    new = postgresql.insert(payments).values(asdict(kept)).on_conflict_do_nothing(index_elements=["id"])
    if (await connection.execute(new.returning(_c.id))).first() is None:
        return False
    await _tell(connection, kept, kept.created_at)
    return True


async def find(connection: AsyncConnection, payment_id: UUID) -> Payment | None:
    """A payment, as it stands."""
    row = (await connection.execute(_select().where(_c.id == payment_id))).first()
    return None if row is None else _payment(row)


async def lock(connection: AsyncConnection, payment_id: UUID) -> Payment | None:
    """A payment, locked until the transaction ends."""
    row = (await connection.execute(_select().where(_c.id == payment_id).with_for_update())).first()
    return None if row is None else _payment(row)


async def group(connection: AsyncConnection, group_id: UUID) -> Sequence[Payment]:
    """Those of one withdrawal, in order."""
    rows = await connection.execute(_select().where(_c.group_id == group_id).order_by(_c.number))
    return [_payment(row) for row in rows]


async def refunds_of(connection: AsyncConnection, deposit_id: UUID) -> Sequence[Payment]:
    """The refunds of a deposit, in order."""
    rows = await connection.execute(_select().where(_c.of_payment == deposit_id).order_by(_c.number))
    return [_payment(row) for row in rows]


async def save(connection: AsyncConnection, before: Payment, after: Payment, now: datetime) -> None:
    """Write what changed of a locked payment, and tell of it where that is seen outside."""
    values = {name: value for name, value in asdict(after).items() if name not in _FIXED}
    await connection.execute(update(payments).where(_c.id == after.id).values(values))
    if after.status in MOVED and after.status is not before.status:
        # It is settled with the day on which it moves, which may be long after the one on which it began.
        await days.batch_of(connection, _day(after, now), now)
    if (before.status, before.posted, before.waits_for) != (after.status, after.posted, after.waits_for):
        await _tell(connection, after, now, silent=before.status is after.status)
    if before.reference is None and after.reference is not None:
        await _events_of(connection, after)


async def note(connection: AsyncConnection, payment: Payment, illegal: str, now: datetime) -> None:
    """Keep that something was said of a payment that is not applied."""
    await _move(connection, payment, now, illegal)


async def ask_again(connection: AsyncConnection, about: Collection[UUID], now: datetime) -> None:
    """Have a payment's provider asked how that and its refunds stand: those that have ended, one way or the other."""
    ids = any_(literal(list(about), ARRAY(Uuid)))
    whose = or_(_c.id == ids, _c.of_payment == ids)
    waits = (_c.waits_for.is_(None), _c.due_at.is_(None), _c.status.in_((*MOVED, State.FAILED, State.CANCELLED)))
    await connection.execute(update(payments).where(whose, *waits).values(news=True, asks=0, due_at=now))


async def take_due(
    connection: AsyncConnection,
    now: datetime,
    again_after: timedelta,
    limit: int,
    *,
    of: str | None,
    none_of: Collection[str],
) -> Sequence[UUID]:
    """At most so many payments that are due, of one provider or `none_of` some, the longest due first.

    Whoever takes one has that long for it.
    """
    whose = _c.provider.notin_(none_of) if of is None else _c.provider == of
    due = select(_c.id).where(_c.due_at <= now, whose).order_by(_c.due_at, _c.number).limit(limit)
    locked = due.with_for_update(skip_locked=True).cte("due").prefix_with("MATERIALIZED")
    taken = update(payments).where(_c.id == locked.c.id).values(due_at=now + again_after)
    rows = await connection.execute(taken.returning(_c.id, _c.number))
    return [row.id for row in sorted(rows, key=lambda row: row.number)]


async def queued_places(connection: AsyncConnection) -> Sequence[tuple[str, Direction, str]]:
    """The providers, directions and methods that payments wait for."""
    query = select(_c.provider, _c.direction, _c.method).where(_c.waits_for == Waits.QUEUE).distinct()
    return [(row.provider, Direction(row.direction), row.method) for row in await connection.execute(query)]


async def queued_at(
    connection: AsyncConnection, places: Sequence[tuple[str, Direction, str]], limit: int
) -> Sequence[Payment]:
    """The first of those that wait at these places, in order; locked."""
    if not places:
        return []
    there = tuple_(_c.provider, _c.direction, _c.method).in_(list(places))
    query = _select().where(_c.waits_for == Waits.QUEUE, there).order_by(_c.number).limit(limit)
    return [_payment(row) for row in await connection.execute(query.with_for_update(skip_locked=True))]


async def page(
    connection: AsyncConnection,
    *,
    user_id: int | None,
    status: str | None,
    waits_for: str | None,
    before: int | None,
    limit: int,
) -> Sequence[tuple[int, Payment]]:
    """At most so many payments with their numbers, the newest first."""
    query = select(_c.number, *_COLUMNS).order_by(_c.number.desc()).limit(limit)
    for column, value in ((_c.user_id, user_id), (_c.status, status), (_c.waits_for, waits_for)):
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(_c.number < before)
    found = []
    for row in await connection.execute(query):
        values = dict(row._mapping)
        found.append((values.pop("number"), _of(values)))
    return found


async def moves(connection: AsyncConnection, payment_id: UUID) -> Sequence[Row[*tuple[Any, ...]]]:
    """How a payment came to stand where it stands, the oldest first."""
    m = payment_moves.c
    query = select(m.at, m.status, m.posted, m.waits_for, m.reason, m.illegal)
    return (await connection.execute(query.where(m.payment_id == payment_id).order_by(m.number))).all()


def _of(values: dict[str, Any]) -> Payment:
    waits_for = values["waits_for"]
    return Payment(
        **{
            **values,
            "direction": Direction(values["direction"]),
            "status": State(values["status"]),
            "posted": Posted(values["posted"]),
            "waits_for": None if waits_for is None else Waits(waits_for),
        }
    )


async def _tell(connection: AsyncConnection, payment: Payment, now: datetime, *, silent: bool = False) -> None:
    await _move(connection, payment, now, None)
    if silent:
        return
    told = PaymentEvent.model_validate(
        {"payment_id": payment.id}
        | {name: getattr(payment, name) for name in PaymentEvent.model_fields if name != "payment_id"}
    )
    await outbox.put(connection, OutboxEvent(payment.user_id, told.type, told.model_dump(mode="json")))


async def _move(connection: AsyncConnection, payment: Payment, now: datetime, illegal: str | None) -> None:
    await connection.execute(
        insert(payment_moves).values(
            at=now,
            payment_id=payment.id,
            status=payment.status,
            posted=payment.posted,
            waits_for=payment.waits_for,
            reason=payment.reason,
            illegal=illegal,
        )
    )


async def _events_of(connection: AsyncConnection, payment: Payment) -> None:
    """Events that named only the provider's id, before it was known whose that is: they are news now."""
    e = payment_events.c
    whose = (e.provider == payment.provider, e.reference == payment.reference, e.payment_id.is_(None))
    found = update(payment_events).where(*whose).values(payment_id=payment.id, became="news").returning(e.event_id)
    if (await connection.execute(found)).first() is not None:
        news = update(payments).where(_c.id == payment.id).values(news=True, asks=0, due_at=payment.changed_at)
        await connection.execute(news)
