"""Settlement batches: due, matched, looked at again; and what each side says of a batch's day."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Row,
    Text,
    Uuid,
    and_,
    any_,
    case,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from payments_service.domain.ledger import Posted
from payments_service.domain.ports import Direction
from payments_service.domain.settlement import (
    MAX_ATTEMPTS,
    BatchStatus,
    Found,
    Known,
    Line,
    Moved,
    Movement,
    report_due,
)
from payments_service.domain.states import MOVED, State
from payments_service.repository import exceptions, ledger
from payments_service.repository.days import ends_at
from payments_service.tables import ledger_movements, payments, settlement_batches, settlement_lines

_b = settlement_batches.c
_p = payments.c
# What came right by itself closes by itself: a batch with exceptions is looked at again each day, for a while.
AGAIN_AFTER = timedelta(days=1)
_AGAIN = and_(_b.status == BatchStatus.EXCEPTIONS, _b.attempts < MAX_ATTEMPTS)


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
    unreported = and_(~_b.reported, _b.status != BatchStatus.DELAYED)
    due = select(_b.id).where(_b.due_at <= now, or_(unreported, _AGAIN)).order_by(_b.due_at).limit(1)
    taken = update(settlement_batches).where(_b.id.in_(due.with_for_update(skip_locked=True)))
    rows = await connection.execute(taken.values(due_at=now + again_after).returning(_b.id))
    batch_id: UUID | None = rows.scalar_one_or_none()
    return batch_id


async def wait(
    connection: AsyncConnection, batch_id: UUID, attempts: int, due_at: datetime, status: BatchStatus
) -> None:
    """Keep that a batch could not be matched."""
    values = {"attempts": attempts, "due_at": due_at, "status": status}
    await connection.execute(update(settlement_batches).where(_b.id == batch_id).values(values))


async def put_lines(connection: AsyncConnection, batch_id: UUID, lines: Sequence[Line]) -> None:
    """Keep a report's lines in the place of those that there were."""
    await connection.execute(delete(settlement_lines).where(settlement_lines.c.batch_id == batch_id))
    if lines:
        rows = [{"batch_id": batch_id, **line._asdict()} for line in lines]
        await connection.execute(insert(settlement_lines), rows)


async def reported_elsewhere(
    connection: AsyncConnection, batch: Row[Any], ids: Collection[UUID], references: Collection[str]
) -> Sequence[Line]:
    """What a provider's reports of other days say of some payments: it may have booked them before or after midnight.

    Of what goes back of a deposit, which may do so on many days, the days beside the batch's alone; of a refund, which
    it books when that is asked for, whatever came before.
    """
    s = settlement_lines.c
    near = _b.day.in_([batch.day - timedelta(days=1), batch.day + timedelta(days=1)])
    about = or_(s.payment_id == any_(literal(list(ids), ARRAY(Uuid))), s.reference == any_(_texts(references)))
    refund = or_(_p.id == s.payment_id, and_(_p.provider == _b.provider, _p.reference == s.reference))
    earlier = and_(_b.day < batch.day, select(_p.id).where(refund, _p.of_payment.isnot(None)).exists())
    rows = await connection.execute(
        select(*(s[name] for name in Line._fields))
        .join_from(settlement_lines, settlement_batches, s.batch_id == _b.id)
        .where(_b.provider == batch.provider, _b.id != batch.id, about, or_(s.movement != Movement.BACK, near, earlier))
        .order_by(s.number)
    )
    return [_line(row) for row in rows]


async def reported(connection: AsyncConnection, batch_id: UUID) -> Sequence[Line]:
    """A report's lines."""
    s = settlement_lines.c
    columns = [s[name] for name in Line._fields]
    rows = await connection.execute(select(*columns).where(s.batch_id == batch_id).order_by(s.number))
    return [_line(row) for row in rows]


def _line(row: Row[*tuple[Any, ...]]) -> Line:
    return Line(**{**row._mapping, "movement": Movement(row.movement)})


def _texts(values: Collection[str]) -> ColumnElement[Any]:
    return literal(list(values), ARRAY(Text))


async def moved(connection: AsyncConnection, batch: Row[Any], about: Collection[UUID]) -> Sequence[Moved]:
    """What our payments moved on a batch's day, or took back on it; and those that the ledger's rows are about."""
    start, end = ends_at(batch.day) - timedelta(days=1), ends_at(batch.day)
    moments = (_p.taken_at, _p.settled_at, _p.charged_back_at, _p.changed_at)
    ids = any_(literal(list(about), ARRAY(Uuid)))
    query = select(*(_p[name] for name in Moved._fields)).where(
        _p.provider == batch.provider,
        _p.currency == batch.currency,
        or_(_p.status.in_(MOVED), _p.of_payment.isnot(None)),
        or_(*((moment >= start) & (moment < end) for moment in moments), _p.id == ids, _p.of_payment == ids),
    )
    return [_moved(row) for row in await connection.execute(query)]


def _moved(row: Row[*tuple[Any, ...]]) -> Moved:
    kinds = {"direction": Direction(row.direction), "status": State(row.status), "posted": Posted(row.posted)}
    return Moved(**{**row._mapping, **kinds})


async def of_ledger(connection: AsyncConnection, batch: Row[Any]) -> Sequence[Line]:
    """What the ledger moved for a provider on a batch's day and the two beside it."""
    m, start = ledger_movements.c, ends_at(batch.day) - timedelta(days=2)
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
        or_(_p.id == any_(literal(ids, ARRAY(Uuid))), _p.reference == any_(_texts(references))),
    )
    found: dict[UUID | str, Known] = {}
    for payment_id, reference, about, currency, settled_at in await connection.execute(query):
        found[payment_id] = Known(about, currency, None if settled_at is None else settled_at.date())
        if reference is not None:
            found[reference] = found[payment_id]
    return found


async def settle(
    connection: AsyncConnection,
    batch: Row[Any],
    found: Sequence[Found],
    totals: dict[str, Any],
    now: datetime,
    *,
    reported: bool,
    attempts: int,
) -> None:
    """Keep what matching a batch found: its open exceptions are these, and those that people closed stay closed.

    One that is not `reported` was matched before its day was over, and waits for the report of all of it.
    """
    await exceptions.replace(connection, batch.id, found, now)
    left = await exceptions.open_of_batch(connection, batch.id)
    values = {
        "status": BatchStatus.EXCEPTIONS if left else BatchStatus.MATCHED,
        "settled_at": now,
        "totals": totals,
        "reported": reported,
        "attempts": attempts if reported else 0,
        "due_at": now + AGAIN_AFTER if reported else report_due(ends_at(batch.day), 0),
    }
    await connection.execute(update(settlement_batches).where(_b.id == batch.id).values(values))


async def look_again_beside(connection: AsyncConnection, batch: Row[Any], now: datetime) -> None:
    """After the first report of a batch: it may have what the days beside it lack."""
    days = [batch.day - timedelta(days=1), batch.day + timedelta(days=1)]
    beside = (_b.provider == batch.provider, _b.currency == batch.currency, _b.day.in_(days), _AGAIN)
    await connection.execute(update(settlement_batches).where(*beside).values(due_at=now))


async def recount(connection: AsyncConnection, batch_id: UUID) -> None:
    """After an exception was closed: a batch that has none open is matched."""
    if not await exceptions.open_of_batch(connection, batch_id):
        matched = update(settlement_batches).where(_b.id == batch_id, _b.status == BatchStatus.EXCEPTIONS)
        await connection.execute(matched.values(status=BatchStatus.MATCHED))
