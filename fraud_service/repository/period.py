"""What this service holds of a period, for a backtest."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from fraud_service.domain import observations
from fraud_service.domain.flags import RESOLVED
from fraud_service.domain.observations import Link, Observation, What, milliseconds
from fraud_service.tables import fraud_flags, games, links
from shared.contracts.fraud import FlagStatus
from shared.contracts.rounds import GameRound


async def rounds(connection: AsyncConnection, since: datetime, until: datetime, limit: int) -> Sequence[Observation]:
    """What the rounds of a period say; at most `limit` rounds."""
    c = games.c
    query = select(games, c.created_at.label("occurred_at")).where(c.created_at >= since, c.created_at < until)
    rows = await connection.execute(query.order_by(c.created_at, c.round_id, c.user_id).limit(limit))
    # Its time was not held to its record's: that is not kept.
    return [o for row in rows for o in observations.of_round(GameRound.model_validate(dict(row._mapping)), 0)]


async def shared(connection: AsyncConnection, since: datetime, until: datetime, limit: int) -> Sequence[Observation]:
    """What instruments and devices, last used in a period, tie players to; at most `limit` uses."""
    c = links.c
    accounts = func.count().over(partition_by=(c.what, c.key)).label("accounts")
    used = select(links, accounts).where(c.at < milliseconds(until)).subquery()
    query = select(used).where(used.c.at >= milliseconds(since)).order_by(used.c.what, used.c.key, used.c.user_id)
    rows = await connection.execute(query.limit(limit))
    return [observations.shared(Link(What(r.what), r.key, r.user_id, r.at), r.accounts) for r in rows]


async def resolved(connection: AsyncConnection) -> Iterator[tuple[int, FlagStatus]]:
    """Each player's latest resolved flag."""
    c = fraud_flags.c
    query = select(c.user_id, c.status).where(c.status.in_(sorted(status.value for status in RESOLVED)))
    rows = await connection.execute(query.order_by(c.user_id, c.created_at.desc(), c.id).ext(distinct_on(c.user_id)))
    return ((row.user_id, FlagStatus(row.status)) for row in rows.all())
