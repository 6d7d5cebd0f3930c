"""What this service holds of a period, for a backtest."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from fraud_service.domain import observations
from fraud_service.domain.flags import RESOLVED
from fraud_service.domain.observations import Link, Observation, What, milliseconds
from fraud_service.repository.players import moment
from fraud_service.tables import fraud_flags, games, signals
from shared.contracts.fraud import FlagStatus
from shared.contracts.rounds import GameRound
from shared.contracts.signals import PlayerSignal

# A link has its last use alone; the signals that are kept have those before it.
_SHARED = text("""
    WITH uses AS (
        SELECT what, key, user_id, at FROM links WHERE at < :until
        UNION ALL SELECT 'instrument', instrument_id, user_id, at FROM signals
        WHERE instrument_id IS NOT NULL AND at < :until
        UNION ALL SELECT 'device', device_id, user_id, at FROM signals WHERE device_id IS NOT NULL AND at < :until
    ), used AS (
        SELECT what, key, user_id, max(at) AS at FROM uses GROUP BY what, key, user_id
    ), counted AS (
        SELECT what, key, user_id, at, count(*) OVER (PARTITION BY what, key) AS accounts FROM used
    )
    SELECT * FROM counted WHERE at >= :since ORDER BY what, key, user_id LIMIT :limit
""")


async def rounds(connection: AsyncConnection, since: datetime, until: datetime, limit: int) -> Sequence[Observation]:
    """What the rounds of a period say; at most `limit` rounds."""
    c = games.c
    query = select(games, c.created_at.label("occurred_at")).where(c.created_at >= since, c.created_at < until)
    rows = await connection.execute(query.order_by(c.created_at, c.round_id, c.user_id).limit(limit))
    # Its time was not held to its record's: that is not kept.
    return [o for row in rows for o in observations.of_round(GameRound.model_validate(dict(row._mapping)), 0)]


async def told(connection: AsyncConnection, since: datetime, until: datetime, limit: int) -> Sequence[Observation]:
    """What the signals of a period say; at most `limit` signals."""
    c = signals.c
    query = select(signals).where(c.at >= milliseconds(since), c.at < milliseconds(until))
    rows = await connection.execute(query.order_by(c.at, c.source, c.event_id).limit(limit))
    # Its time is as it counted when it was taken.
    found = ((row.event_id, PlayerSignal.model_validate(_said(row))) for row in rows)
    return [o for ref, signal in found for o in observations.of_signal(signal, ref, 0)]


def _said(row: Row[Any]) -> dict[str, Any]:
    return dict(row._mapping) | {"occurred_at": moment(row.at)}


async def shared(connection: AsyncConnection, since: datetime, until: datetime, limit: int) -> Sequence[Observation]:
    """What instruments and devices, used in a period, tie players to; at most `limit` uses, each player's last."""
    asked = {"since": milliseconds(since), "until": milliseconds(until), "limit": limit}
    rows = await connection.execute(_SHARED, asked)
    return [observations.shared(Link(What(r.what), r.key, r.user_id, r.at), r.accounts) for r in rows]


async def resolved(connection: AsyncConnection) -> Iterator[tuple[int, FlagStatus]]:
    """Each player's latest resolved flag."""
    c = fraud_flags.c
    query = select(c.user_id, c.status).where(c.status.in_(sorted(status.value for status in RESOLVED)))
    rows = await connection.execute(query.order_by(c.user_id, c.created_at.desc(), c.id).ext(distinct_on(c.user_id)))
    return ((row.user_id, FlagStatus(row.status)) for row in rows.all())
