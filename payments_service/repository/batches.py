"""Settlement batches: one a provider, currency and day, made with its first payment; the queue's order too."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import ARRAY, Row, Text, Uuid, any_, case, delete, func, insert, literal, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from payments_service.domain.ledger import Posted
from payments_service.domain.ports import Direction
from payments_service.domain.settlement import BatchStatus, Found, Known, Line, Moved, Movement, report_due
from payments_service.domain.states import MOVED, State
from payments_service.repository import exceptions, ledger
from payments_service.tables import ledger_movements, payments, settlement_batches, settlement_lines

_b = settlement_batches.c
_p = payments.c
_NAMESPACE = UUID("c2c0a9de-6a0c-5a3e-9a55-7a1f6d0d2b41")
_MATCHABLE = ("open", "waiting")


def day_ends_at(day: date) -> datetime:
    """The end of a UTC day."""
    return datetime.combine(day, time(), UTC) + timedelta(days=1)


async def of_day(connection: AsyncConnection, provider: str, currency: str, day: date, now: datetime) -> UUID:
    """The batch of a provider, currency and day; a new one where there is none."""
    batch_id = uuid5(_NAMESPACE, f"{provider}/{currency}/{day.isoformat()}")
    new = postgresql.insert(settlement_batches).values(
        id=batch_id,
        provider=provider,
        currency=currency,
        day=day,
        created_at=now,
        due_at=report_due(day_ends_at(day), 0),
        attempts=0,
        status=BatchStatus.OPEN,
        reported=False,
    )
    # Two that make a day's first batch at once conflict in its id or in its day, whichever is looked at first.
    await connection.execute(new.on_conflict_do_nothing())
    return batch_id


async def find(connection: AsyncConnection, batch_id: UUID, *, lock: bool = False) -> Row[Any] | None:
    """A batch."""
    query = select(settlement_batches).where(_b.id == batch_id)
    return (await connection.execute(query.with_for_update() if lock else query)).first()


async def page(connection: AsyncConnection, before: int | None, limit: int) -> Sequence[Row[Any]]:
    """At most so many batches, the newest first."""
    query = select(settlement_batches).order_by(_b.number.desc()).limit(limit)
    return (await connection.execute(query if before is None else query.where(_b.number < before))).all()


async def take_due(connection: AsyncConnection, now: datetime, again_after: timedelta) -> UUID | None:
    """A batch whose report is due. Whoever takes it has that long."""
    due = select(_b.id).where(_b.due_at <= now, _b.status.in_(_MATCHABLE)).order_by(_b.due_at).limit(1)
    taken = update(settlement_batches).where(_b.id.in_(due.with_for_update(skip_locked=True)))
    rows = await connection.execute(taken.values(due_at=now + again_after).returning(_b.id))
    batch_id: UUID | None = rows.scalar_one_or_none()
    return batch_id


async def wait(connection: AsyncConnection, batch_id: UUID, attempts: int, due_at: datetime, *, over: bool) -> None:
    """Keep that a batch's report is not there yet."""
    status = BatchStatus.DELAYED if over else BatchStatus.WAITING
    values = {"attempts": attempts, "due_at": due_at, "status": status}
    await connection.execute(update(settlement_batches).where(_b.id == batch_id).values(values))


async def put_lines(connection: AsyncConnection, batch_id: UUID, lines: Sequence[Line]) -> None:
    """Keep a report's lines in the place of those that there were."""
    await connection.execute(delete(settlement_lines).where(settlement_lines.c.batch_id == batch_id))
    if lines:
        rows = [{"batch_id": batch_id, **line._asdict()} for line in lines]
        await connection.execute(insert(settlement_lines), rows)


async def reported(connection: AsyncConnection, batch_id: UUID) -> Sequence[Line]:
    """A report's lines."""
    s = settlement_lines.c
    columns = [s[name] for name in Line._fields]
    rows = await connection.execute(select(*columns).where(s.batch_id == batch_id).order_by(s.number))
    return [Line(**{**row._mapping, "movement": Movement(row.movement)}) for row in rows]


async def moved(connection: AsyncConnection, batch: Row[Any], about: Collection[UUID]) -> Sequence[Moved]:
    """What our payments moved on a batch's day, or took back on it; and those that the ledger's rows are about."""
    start, end = day_ends_at(batch.day) - timedelta(days=1), day_ends_at(batch.day)
    moments = (_p.settled_at, _p.charged_back_at, _p.changed_at)
    ids = any_(literal(list(about), ARRAY(Uuid)))
    query = select(*(_p[name] for name in Moved._fields)).where(
        _p.provider == batch.provider,
        _p.currency == batch.currency,
        _p.status.in_(MOVED),
        or_(*((moment >= start) & (moment < end) for moment in moments), _p.id == ids, _p.of_payment == ids),
    )
    return [_moved(row) for row in await connection.execute(query)]


def _moved(row: Row[*tuple[Any, ...]]) -> Moved:
    kinds = {"direction": Direction(row.direction), "status": State(row.status), "posted": Posted(row.posted)}
    return Moved(**{**row._mapping, **kinds})


async def of_ledger(connection: AsyncConnection, batch: Row[Any]) -> Sequence[Line]:
    """What the ledger moved for a provider on a batch's day and the two beside it."""
    m, start = ledger_movements.c, day_ends_at(batch.day) - timedelta(days=2)
    movements, of_payment = ledger.attributed()
    back, paid_out = m.movement == Movement.BACK, of_payment("direction") == Direction.WITHDRAWAL
    # What takes back what went back brings money: a dispute that was won, a refund that staff reversed.
    sign = case((back & ~paid_out & (m.net_minor > 0), -1), else_=1)
    # What was paid out after it was given back was taken from the player anew, and has gone out.
    movement = case((back & paid_out & (m.net_minor < 0), Movement.OUT), else_=m.movement)
    about = func.coalesce(of_payment("of_payment"), of_payment("id"))
    query = (
        select(about, movement, m.amount_minor * sign, m.currency, m.command_id, m.at)
        .select_from(movements)
        .where(m.provider == batch.provider, m.currency == batch.currency)
        .where(m.in_journal, m.at >= start, m.at < start + timedelta(days=3))
    )
    return [
        Line(row[0], Movement(row[1]), row[2], row[3], reference=str(row[4]), day=row[5].date())
        for row in await connection.execute(query)
    ]


async def known(connection: AsyncConnection, provider: str, lines: Sequence[Line]) -> Mapping[UUID | str, Known]:
    """The payments that lines are about, by their ids and by the provider's references."""
    ids = [line.payment_id for line in lines if line.payment_id is not None]
    references = [line.reference for line in lines if line.reference is not None]
    query = select(_p.id, _p.reference, func.coalesce(_p.of_payment, _p.id), _p.currency, _p.settled_at).where(
        _p.provider == provider,
        or_(_p.id == any_(literal(ids, ARRAY(Uuid))), _p.reference == any_(literal(references, ARRAY(Text)))),
    )
    found: dict[UUID | str, Known] = {}
    for payment_id, reference, about, currency, settled_at in await connection.execute(query):
        found[payment_id] = Known(about, currency, None if settled_at is None else settled_at.date())
        if reference is not None:
            found[reference] = found[payment_id]
    return found


async def settle(
    connection: AsyncConnection, batch: Row[Any], found: Sequence[Found], totals: dict[str, Any], now: datetime
) -> None:
    """Keep what matching a batch found: its open exceptions are these, and those that people closed stay closed."""
    await exceptions.replace(connection, batch.id, found, now)
    left = await exceptions.open_of_batch(connection, batch.id)
    status = BatchStatus.EXCEPTIONS if left else BatchStatus.MATCHED
    values = {"status": status, "settled_at": now, "totals": totals, "attempts": batch.attempts + 1, "reported": True}
    await connection.execute(update(settlement_batches).where(_b.id == batch.id).values(values))


async def recount(connection: AsyncConnection, batch_id: UUID) -> None:
    """After an exception was closed: a batch that has none open is matched."""
    if not await exceptions.open_of_batch(connection, batch_id):
        matched = update(settlement_batches).where(_b.id == batch_id, _b.status == BatchStatus.EXCEPTIONS)
        await connection.execute(matched.values(status=BatchStatus.MATCHED))
