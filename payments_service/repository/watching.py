"""What waits, and for how long, for those on call."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from payments_service.domain.payments import Waits
from payments_service.domain.settlement import report_due
from payments_service.domain.states import State
from payments_service.repository.days import ends_at
from payments_service.tables import payments, settlement_batches, settlement_exceptions
from shared.contracts.kinds import Reason

# Of so few, a share says nothing; that all of them failed says something of fewer.
FEWEST, FEWEST_OF_ALL = 20, 10
_ENDED = (State.COMPLETED, State.FAILED)
_RULES = sorted(Reason)


class Waiting(NamedTuple):
    """How many wait for what; of what ended lately, the share that failed, by direction and provider; how old
    the oldest unknown outcome is; how late the latest report; how old the oldest exception that is open."""

    counts: Mapping[str, int]
    failed: Mapping[tuple[str, str], float]
    oldest_unknown_s: float
    settlement_delay_s: float
    oldest_exception_s: float


async def waiting(connection: AsyncConnection, now: datetime, within: timedelta) -> Waiting:
    """What waits now. What ended `within` so long is lately."""
    p, b = payments.c, settlement_batches.c
    counts = {what.value: 0 for what in Waits}
    rows = await connection.execute(
        select(p.waits_for, func.count()).where(p.waits_for.isnot(None)).group_by(p.waits_for)
    )
    counts |= {row[0]: row[1] for row in rows}
    unknown = select(func.count(), func.min(p.changed_at)).where(p.status == State.UNKNOWN)
    counts["unknown"], since = (await connection.execute(unknown)).one()
    late = select(func.min(b.day)).where(~b.reported)
    day = (await connection.execute(late)).scalar_one()
    # Each question moves a batch's due_at on; what is late is late since the first.
    first = None if day is None else report_due(ends_at(day), 0)
    opened = select(func.min(settlement_exceptions.c.opened_at)).where(settlement_exceptions.c.closed_at.is_(None))
    oldest = (await connection.execute(opened)).scalar_one()
    failed = await _failed(connection, now - within)
    return Waiting(counts, failed, _age_s(since, now), _age_s(first, now), _age_s(oldest, now))


async def _failed(connection: AsyncConnection, since: datetime) -> Mapping[tuple[str, str], float]:
    """What the wallet's rules refuse was never asked of a provider, and is no failure. Of few, a share says nothing."""
    p = payments.c
    failed = func.count().filter(p.status == State.FAILED)
    ended = (
        select(p.direction, p.provider, failed, func.count())
        .where(p.changed_at >= since, p.status.in_(_ENDED), func.coalesce(p.reason, "").notin_(_RULES))
        .group_by(p.direction, p.provider)
    )
    rows = await connection.execute(ended)
    return {(direction, provider): _share(count, of) for direction, provider, count, of in rows}


def _share(failed: int, ended: int) -> float:
    """The share that failed, or 0 where there are too few to tell."""
    fewest = FEWEST_OF_ALL if failed == ended else FEWEST
    return failed / ended if ended >= fewest else 0.0


def _age_s(since: datetime | None, now: datetime) -> float:
    return 0 if since is None else max((now - since).total_seconds(), 0)
