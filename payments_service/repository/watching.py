"""What waits, and for how long, for those on call."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from payments_service.domain.payments import Waits
from payments_service.domain.states import State
from payments_service.tables import payments, settlement_batches


class Waiting(NamedTuple):
    """How many wait for what; how old the oldest unknown outcome is; how late the latest report."""

    counts: Mapping[str, int]
    oldest_unknown_s: float
    settlement_delay_s: float


async def waiting(connection: AsyncConnection, now: datetime) -> Waiting:
    """What waits now."""
    p, b = payments.c, settlement_batches.c
    counts = {what.value: 0 for what in Waits}
    rows = await connection.execute(
        select(p.waits_for, func.count()).where(p.waits_for.isnot(None)).group_by(p.waits_for)
    )
    counts |= {row[0]: row[1] for row in rows}
    unknown = select(func.count(), func.min(p.changed_at)).where(p.status == State.UNKNOWN)
    counts["unknown"], since = (await connection.execute(unknown)).one()
    late = select(func.min(b.due_at)).where(b.status.in_(("waiting", "delayed")))
    first = (await connection.execute(late)).scalar_one()
    return Waiting(counts, _age_s(since, now), _age_s(first, now))


def _age_s(since: datetime | None, now: datetime) -> float:
    return 0 if since is None else max((now - since).total_seconds(), 0)
