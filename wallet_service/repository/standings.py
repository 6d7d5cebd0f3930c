"""What is read of a player without deciding anything. It locks nothing, and writes nothing."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import database
from shared.contracts.kinds import Kind
from wallet_service.domain.limits import Windows
from wallet_service.domain.needs import Loaded, Needs
from wallet_service.domain.standings import Activity, Played
from wallet_service.repository.loading import look

_GAME = "t.kind IN ('GAME_BET', 'GAME_PAYOUT')"
# What was taken back is counted under the reference of a bet or payout, and under the id of anything else.
_ACTIVITY = text(
    f"""WITH posted AS (
        SELECT t.currency, t.kind, t.amount, t.created_at,
            CASE WHEN {_GAME} THEN t.kind ELSE 'REVERSAL' END AS returned_as,
            CASE WHEN {_GAME} THEN t.reference_id ELSE t.id::text END AS reference_id,
            CASE WHEN {_GAME} THEN coalesce(t.round_id, '') ELSE '' END AS round_id
        FROM transactions t
        WHERE t.lane = :lane AND t.user_id = :user_id AND t.created_at >= :since AND t.status = 'posted'
            AND t.kind IN ('DEPOSIT', 'GAME_BET', 'GAME_PAYOUT', 'WITHDRAWAL', 'WITHDRAWAL_CAPTURE')
    ), kept AS (
        SELECT p.currency, p.kind, sum(p.amount) - coalesce(max(c.returned), 0) AS amount, count(*) AS rows,
            max(p.amount) AS largest
        FROM posted p LEFT JOIN cancellations c ON c.lane = :lane AND c.user_id = :user_id AND c.kind = p.returned_as
            AND c.reference_id = p.reference_id AND c.round_id = p.round_id
        GROUP BY p.currency, p.kind, p.returned_as, p.reference_id, p.round_id
    )
    SELECT currency, kind::text, sum(amount)::bigint AS amount,
        coalesce(sum(rows) FILTER (WHERE amount > 0), 0)::bigint AS times,
        greatest(max(least(largest, amount)), 0)::bigint AS largest,
        (SELECT count(DISTINCT (created_at AT TIME ZONE :zone)::date) FROM posted) AS days_active
    FROM kept GROUP BY currency, kind"""  # noqa: S608
)


class Standings:
    """Reads of how players stand."""

    def __init__(self, engine: AsyncEngine, windows: Windows) -> None:
        self._engine = engine
        self._windows = windows

    async def look(self, needed: Needs) -> Loaded:
        """What a batch would read now."""
        async with database.reading(self._engine) as connection:
            return await look(connection, needed, self._windows)

    async def played(self, needed: Needs, lane: int, user_id: int, days: int) -> tuple[Loaded, Played]:
        """What a batch would read now, and what a player did in the last so many days, today being one of them."""
        async with database.reading(self._engine) as connection:
            loaded = await look(connection, needed, self._windows)
            since = self._windows.days(days, loaded.now)
            asked = {"lane": lane, "user_id": user_id, "since": since, "zone": self._windows.zone.key}
            return loaded, await _played(connection, asked)


async def _played(connection: AsyncConnection, asked: dict[str, Any]) -> Played:
    rows = (await connection.execute(_ACTIVITY, asked)).all()
    activities = [Activity(row.currency, Kind(row.kind), row.amount, row.times, row.largest) for row in rows]
    return Played(asked["since"], activities, rows[0].days_active if rows else 0)
