"""Closed days, and what was restated of them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from sqlalchemy import insert, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from metrics_service.domain.restating import Difference
from metrics_service.tables import closed_days, daily_totals, inbox, restatements
from shared.figures.report import Corrected

_RESTATING = text("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.restatements', 0))")
_APPLYING = text("SELECT pg_advisory_xact_lock_shared(hashtextextended(current_schema() || '.closed_days', 0))")
_CLOSING = text("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.closed_days', 0))")


async def closed_since(connection: AsyncConnection, first: date) -> set[date]:
    """The closed days from this one on. None is closed until the transaction ends."""
    await connection.execute(_APPLYING)
    return set((await connection.execute(select(closed_days.c.day).where(closed_days.c.day >= first))).scalars())


async def lock_restating(connection: AsyncConnection) -> None:
    """Restate alone, until the transaction ends."""
    await connection.execute(_RESTATING)


async def restate(
    connection: AsyncConnection, found: Sequence[Difference], causes: Mapping[date, str], now: datetime
) -> None:
    """Keep what changed. A day that changed only by one before it has that one's cause."""
    first_cause = next(iter(causes.values()))
    if found:
        rows = [{**each._asdict(), "restated_at": now, "cause": causes.get(each.day, first_cause)} for each in found]
        await connection.execute(insert(restatements), rows)


async def restated(connection: AsyncConnection, first: date, last: date) -> Sequence[Corrected]:
    """The restatements of some days, in the order in which they came."""
    columns = [restatements.c[name] for name in Corrected._fields]
    query = select(*columns).where(restatements.c.day.between(first, last)).order_by(restatements.c.number)
    return [Corrected(*row) for row in await connection.execute(query)]


async def closed(connection: AsyncConnection, first: date, last: date) -> Mapping[date, datetime]:
    """Which of some days are closed, and since when."""
    query = select(closed_days.c.day, closed_days.c.closed_at).where(closed_days.c.day.between(first, last))
    return {row.day: row.closed_at for row in await connection.execute(query)}


async def last_closed(connection: AsyncConnection) -> date | None:
    """The last closed day."""
    query = select(closed_days.c.day).order_by(closed_days.c.day.desc()).limit(1)
    return (await connection.execute(query)).scalar_one_or_none()


async def first_day(connection: AsyncConnection) -> date | None:
    """The first day of which there is something."""
    query = select(daily_totals.c.day).order_by(daily_totals.c.day).limit(1)
    return (await connection.execute(query)).scalar_one_or_none()


async def time_zones(connection: AsyncConnection) -> set[str]:
    """The time zones in which days were closed: one, or none where no day is closed."""
    return set((await connection.execute(select(closed_days.c.time_zone).distinct())).scalars())


async def close(connection: AsyncConnection, some: Sequence[date], time_zone: str, now: datetime) -> None:
    """Close days, at the positions that the inbox has. Rows that are applied from here on find them closed."""
    # Whoever applies rows has seen which days are closed, and goes first.
    await connection.execute(_CLOSING)
    positions = select(inbox.c.lane, inbox.c.position).order_by(inbox.c.lane)
    cut = {str(row.lane): row.position for row in await connection.execute(positions)}
    rows = [{"day": day, "closed_at": now, "time_zone": time_zone, "cut": cut} for day in some]
    await connection.execute(postgresql.insert(closed_days).on_conflict_do_nothing(), rows)
