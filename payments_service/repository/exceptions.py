"""What does not agree, for staff: opened once, closed with a reason."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from payments_service.domain.settlement import ExceptionKind, Found
from payments_service.tables import settlement_exceptions

_e = settlement_exceptions.c


async def open_for(connection: AsyncConnection, found: Found, now: datetime, batch_id: UUID | None = None) -> None:
    """Open an exception, unless the same one is open."""
    same = (*_same(found), _e.closed_at.is_(None))
    if (await connection.execute(select(_e.id).where(*same).limit(1))).first() is None:
        values = {"id": uuid4(), "batch_id": batch_id, "opened_at": now, **found._asdict()}
        await connection.execute(insert(settlement_exceptions).values(values))


async def close_for(connection: AsyncConnection, payment_id: UUID, kind: ExceptionKind, now: datetime) -> None:
    """Close what has come right by itself."""
    about = (_e.payment_id == payment_id, _e.kind == kind, _e.closed_at.is_(None))
    values = {"closed_at": now, "closed_by": "payments_service", "closed_because": "it came right by itself"}
    await connection.execute(update(settlement_exceptions).where(*about).values(values))


async def replace(connection: AsyncConnection, batch_id: UUID, found: Sequence[Found], now: datetime) -> None:
    """Make these a batch's open exceptions. One that people closed is not opened again."""
    await connection.execute(delete(settlement_exceptions).where(_e.batch_id == batch_id, _e.closed_at.is_(None)))
    for each in found:
        known = select(_e.id).where(_e.batch_id == batch_id, *_same(each)).limit(1)
        if (await connection.execute(known)).first() is None:
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
