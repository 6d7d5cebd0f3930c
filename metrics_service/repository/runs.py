"""Report runs: which were due, who makes one now, and how it was sent."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import cast, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from metrics_service.domain.schedule import Run
from metrics_service.tables import closed_days, report_runs
from shared.contracts.reports import Every

_c = report_runs.c


class Claimed(NamedTuple):
    """A run that this instance makes now, which try it is, and the ways that an earlier try has done."""

    run: Run
    attempts: int
    delivered: frozenset[str]


async def made(connection: AsyncConnection) -> Mapping[Every, datetime]:
    """When the last run of each kind was due."""
    query = select(_c.every, func.max(_c.due_at).label("due_at")).group_by(_c.every)
    return {row.every: row.due_at for row in await connection.execute(query)}


async def add(connection: AsyncConnection, some: Sequence[Run], now: datetime) -> None:
    """Keep what is due. What is there already stays."""
    rows = [{**run._asdict(), "claimed_until": now, "attempts": 0} for run in some]
    await connection.execute(insert(report_runs).on_conflict_do_nothing(), rows)


async def claim(
    connection: AsyncConnection, now: datetime, today: date, within: timedelta, most: int
) -> Claimed | None:
    """The longest due run that nobody makes: this instance has it for so long. A day that is over has to be closed."""
    is_closed = exists().where(closed_days.c.day == _c.last_day)
    free = (
        select(_c.id)
        .where(_c.finished_at.is_(None), _c.claimed_until <= now, _c.attempts < most)
        .where(or_(_c.last_day >= today, is_closed))
        .order_by(_c.due_at, _c.every)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    columns = [_c[name] for name in Run._fields]
    taken = (
        update(report_runs)
        .where(_c.id == free.scalar_subquery())
        .values(claimed_until=now + within, attempts=_c.attempts + 1)
        .returning(*columns, _c.attempts, _c.delivered)
    )
    row = (await connection.execute(taken)).first()
    return None if row is None else Claimed(Run(*row[:-2]), row.attempts, frozenset(row.delivered))


async def late(connection: AsyncConnection, since: datetime, first_day: date) -> Mapping[Every, datetime]:
    """Since when the oldest run of each kind is due that is not sent: of those that were due since, and of days on
    which there is something."""
    query = (
        select(_c.every, func.min(_c.due_at).label("due_at"))
        .where(_c.finished_at.is_(None), _c.due_at >= since, _c.last_day >= first_day)
        .group_by(_c.every)
    )
    return {row.every: row.due_at for row in await connection.execute(query)}


async def deliver(connection: AsyncConnection, run: Run, way: str) -> None:
    """One way is done, and is not done again by a later try."""
    done = _c.delivered.op("||")(cast([way], JSONB))
    await connection.execute(update(report_runs).where(_c.id == run.id).values(delivered=done))


async def try_again(connection: AsyncConnection, run: Run, at: datetime) -> None:
    """Give a run back, to be made not before this moment."""
    await connection.execute(update(report_runs).where(_c.id == run.id).values(claimed_until=at))


async def finish(connection: AsyncConnection, run: Run, now: datetime) -> bool:
    """All ways are done. False where another instance has finished it meanwhile."""
    done = update(report_runs).where(_c.id == run.id, _c.finished_at.is_(None)).values(finished_at=now)
    return (await connection.execute(done.returning(_c.id))).first() is not None
