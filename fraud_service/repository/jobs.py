"""Jobs: taken by one instance at a time, and by another where that one has died."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from fraud_service.tables import features, jobs
from shared.errors import NotFound

_c = jobs.c


class JobKind(StrEnum):
    """What a job does."""

    REPROCESSING = "reprocessing"
    BACKTEST = "backtest"


async def put(
    connection: AsyncConnection, kind: JobKind, by: str, request: Mapping[str, Any], total: int = 0
) -> Row[Any]:
    """Add a job."""
    made = insert(jobs).values(id=uuid4(), kind=kind.value, requested_by=by, request=dict(request), total=total)
    row: Row[Any] = (await connection.execute(made.returning(jobs))).one()
    return row


async def get(connection: AsyncConnection, job_id: UUID, kind: JobKind) -> Row[Any]:
    """A job. Raises NotFound."""
    row = (await connection.execute(select(jobs).where(_c.id == job_id, _c.kind == kind.value))).first()
    if row is None:
        raise NotFound(f"there is no {kind} {job_id}")
    return row


async def take(connection: AsyncConnection, kind: JobKind, owner: UUID, lease: timedelta) -> Row[Any] | None:
    """The oldest job that is due, taken for a while; locked until the transaction ends. None where there is none."""
    due = select(_c.id).where(_c.kind == kind.value, _c.finished_at.is_(None), _c.due_at <= func.clock_timestamp())
    mine = due.order_by(_c.created_at).limit(1).with_for_update(skip_locked=True).scalar_subquery()
    taken = update(jobs).where(_c.id == mine)
    now = func.clock_timestamp()
    values = {"owner": owner, "due_at": now + lease, "started_at": func.coalesce(_c.started_at, now)}
    row: Row[Any] | None = (await connection.execute(taken.values(**values).returning(jobs))).first()
    return row


async def go_on(connection: AsyncConnection, job_id: UUID, owner: UUID, due_in: timedelta, **values: Any) -> bool:
    """Write progress, and when others may take it. False where another has taken it already."""
    mine = update(jobs).where(_c.id == job_id, _c.owner == owner, _c.finished_at.is_(None))
    moved = await connection.execute(mine.values(due_at=func.clock_timestamp() + due_in, **values).returning(_c.id))
    return moved.first() is not None


async def finish(connection: AsyncConnection, job_id: UUID, owner: UUID, **values: Any) -> bool:
    """End a job. False where another has taken it."""
    return await go_on(connection, job_id, owner, timedelta(), finished_at=func.clock_timestamp(), **values)


async def players_after(connection: AsyncConnection, user_id: int, limit: int) -> Sequence[int]:
    """The next players, by id."""
    query = select(features.c.user_id).where(features.c.user_id > user_id).order_by(features.c.user_id).limit(limit)
    return (await connection.execute(query)).scalars().all()


async def count_players(connection: AsyncConnection, user_id: int | None) -> int:
    """How many players there are: all, or of one id."""
    query = select(func.count()).select_from(features)
    if user_id is not None:
        query = query.where(features.c.user_id == user_id)
    found: int = (await connection.execute(query)).scalar_one()
    return found
