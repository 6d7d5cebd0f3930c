"""What does not agree, for staff: opened once, closed with a reason."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from payments_service.domain.settlement import ExceptionKind, Found, Side
from payments_service.tables import settlement_exceptions

_e = settlement_exceptions.c
_FOUND = [_e[name] for name in Found._fields]
_BY_ITSELF = {"closed_by": "payments_service", "closed_because": "it came right by itself"}


async def open_for(connection: AsyncConnection, found: Found, now: datetime, batch_id: UUID | None = None) -> None:
    """Open an exception, unless the same one is open."""
    same = (*_same(found), _e.closed_at.is_(None))
    if (await connection.execute(select(_e.id).where(*same).limit(1))).first() is None:
        values = {"id": uuid4(), "batch_id": batch_id, "opened_at": now, **found._asdict()}
        await connection.execute(insert(settlement_exceptions).values(values))


async def was_closed_by_people(connection: AsyncConnection, found: Found) -> bool:
    """Whether somebody closed the same exception."""
    closed = (*_same(found), _e.closed_by != _BY_ITSELF["closed_by"])
    return (await connection.execute(select(_e.id).where(*closed).limit(1))).first() is not None


async def close_for(connection: AsyncConnection, payment_id: UUID, kind: ExceptionKind, now: datetime) -> None:
    """Close what has come right by itself."""
    about = (_e.payment_id == payment_id, _e.kind == kind, _e.closed_at.is_(None))
    await connection.execute(update(settlement_exceptions).where(*about).values(closed_at=now, **_BY_ITSELF))


async def replace(connection: AsyncConnection, batch_id: UUID, found: Sequence[Found], now: datetime) -> None:
    """Make these a batch's open exceptions. What came right closes, and one that people closed is not opened again."""
    rows = await connection.execute(
        select(_e.id, _e.closed_by, *_FOUND).where(_e.batch_id == batch_id).order_by(_e.number)
    )
    known = {Found(ExceptionKind(row.kind), Side(row.side), *row[4:]): row for row in rows}
    wrong = set(found)
    right = [row.id for each, row in known.items() if row.closed_by is None and each not in wrong]
    await connection.execute(update(settlement_exceptions).where(_e.id.in_(right)).values(closed_at=now, **_BY_ITSELF))
    for each in found:
        if each not in known or known[each].closed_by == _BY_ITSELF["closed_by"]:
            values = {"id": uuid4(), "batch_id": batch_id, "opened_at": now, **each._asdict()}
            await connection.execute(insert(settlement_exceptions).values(values))


async def open_of_batch(connection: AsyncConnection, batch_id: UUID) -> int:
    """How many of a batch's are open."""
    query = select(func.count()).where(_e.batch_id == batch_id, _e.closed_at.is_(None))
    return (await connection.execute(query)).scalar_one()


async def close(connection: AsyncConnection, exception_id: UUID, actor: str, reason: str, now: datetime) -> bool:
    """Close one with a reason. False where there is none that is open."""
    values = {"closed_at": now, "closed_by": actor, "closed_because": reason}
    closed = update(settlement_exceptions).where(_e.id == exception_id, _e.closed_at.is_(None)).values(values)
    return (await connection.execute(closed.returning(_e.id))).first() is not None


async def find(connection: AsyncConnection, exception_id: UUID) -> Row[Any] | None:
    """An exception."""
    return (await connection.execute(select(settlement_exceptions).where(_e.id == exception_id))).first()


async def page(
    connection: AsyncConnection,
    *,
    batch_id: UUID | None,
    payment_id: UUID | None,
    only_open: bool,
    before: int | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """At most so many exceptions, the newest first."""
    query = select(settlement_exceptions).order_by(_e.number.desc()).limit(limit)
    for column, value in ((_e.batch_id, batch_id), (_e.payment_id, payment_id)):
        if value is not None:
            query = query.where(column == value)
    if only_open:
        query = query.where(_e.closed_at.is_(None))
    return (await connection.execute(query if before is None else query.where(_e.number < before))).all()


def _same(found: Found) -> tuple[ColumnElement[bool], ...]:
    return (
        _e.kind == found.kind,
        _e.side == found.side,
        _e.payment_id.is_not_distinct_from(found.payment_id),
        _e.reference.is_not_distinct_from(found.reference),
        _e.expected.is_not_distinct_from(found.expected),
        _e.found.is_not_distinct_from(found.found),
    )
