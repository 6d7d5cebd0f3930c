"""A player's rows beside its balances."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import database
from shared.money import NO_CURRENCY
from shared.signing import CONTENT_SQL
from wallet_service.domain.auditing import AuditedRow
from wallet_service.repository.sql import MOVED_CASH, MOVED_RESERVED

PAGE_ROWS = 1000

_ROWS = f"""SELECT t.position, t.checksum, {CONTENT_SQL}, before.checksum, t.cash_after, t.reserved_after,
    (sum({MOVED_CASH}) OVER account)::bigint, (sum({MOVED_RESERVED}) OVER account)::bigint
    FROM transactions t LEFT JOIN transactions before ON before.lane = t.lane AND before.position = t.position - 1
    WHERE t.lane = $1 AND t.user_id = $2
    WINDOW account AS (PARTITION BY t.currency ORDER BY t.position) ORDER BY t.position"""  # noqa: S608
_BALANCES = text(
    f"""SELECT currency, coalesce(a.cash, 0) AS cash, coalesce(a.reserved, 0) AS reserved,
        coalesce(f.cash, 0) AS folded_cash, coalesce(f.reserved, 0) AS folded_reserved, coalesce(f.rows, 0) AS rows
    FROM (SELECT * FROM accounts WHERE lane = :lane AND user_id = :user_id) a FULL JOIN (
        SELECT t.currency, sum({MOVED_CASH})::bigint AS cash, sum({MOVED_RESERVED})::bigint AS reserved,
            count(*) AS rows FROM transactions t WHERE t.lane = :lane AND t.user_id = :user_id
            AND t.currency <> '{NO_CURRENCY}' GROUP BY t.currency
    ) f USING (currency) ORDER BY currency"""  # noqa: S608
)


class Audits:
    """Reads for audits."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """One snapshot for all reads of an audit. Raises DatabaseUnavailable."""
        async with database.reading(self._engine) as connection:
            yield connection


async def audited_rows(connection: AsyncConnection, lane: int, user_id: int) -> AsyncIterator[Sequence[AuditedRow]]:
    """A player's rows in order, a page at a time."""
    # The snapshot begins with its first statement.
    await connection.execute(text("SELECT 1"))
    raw = await database.driver(connection)
    cursor = await raw.cursor(_ROWS, lane, user_id)
    while page := await cursor.fetch(PAGE_ROWS):
        yield [AuditedRow(*row) for row in page]


async def audited_balances(connection: AsyncConnection, lane: int, user_id: int) -> Sequence[Row[Any]]:
    """A player's stored balances beside the fold of its rows, by currency."""
    return (await connection.execute(_BALANCES, {"lane": lane, "user_id": user_id})).all()
