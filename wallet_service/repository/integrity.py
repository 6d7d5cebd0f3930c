"""How the ledger stands: its lanes beside their checkpoints, and what all its accounts sum to."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database
from shared.contracts.integrity import CurrencySum, LaneState, LastReconciliation, LedgerState
from wallet_service.domain.reconciling import is_consistent

_LANES = text(
    """SELECT l.lane, l.position, encode(l.head, 'hex') AS head, c.number AS checkpoint_number,
        c.last_position AS checkpoint_position, l.position - coalesce(c.last_position, 0) AS unsealed_rows,
        extract(epoch FROM clock_timestamp() - t.created_at)::float8 AS oldest_unsealed_s
    FROM lanes l
    LEFT JOIN LATERAL (
        SELECT number, last_position FROM checkpoints WHERE lane = l.lane ORDER BY number DESC LIMIT 1
    ) c ON true
    LEFT JOIN transactions t ON t.lane = l.lane AND t.position = coalesce(c.last_position, 0) + 1
    ORDER BY l.lane"""
)
_SUMS = text(
    """SELECT currency, sum(balance)::text AS sum FROM (
        SELECT currency, cash::numeric + reserved AS balance FROM accounts
        UNION ALL SELECT currency, balance FROM house_accounts
    ) b GROUP BY currency ORDER BY currency"""
)
_LAST = text(
    """SELECT id, period_from AS from, period_to AS to, finished_at, discrepancy_count FROM reconciliations
    WHERE status = 'finished' ORDER BY finished_at DESC LIMIT 1"""
)


class Integrity:
    """Reads of the whole ledger's state."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def state(self) -> LedgerState:
        """All of it, in one snapshot."""
        async with database.reading(self._engine) as connection:
            lanes = [LaneState.model_validate(row._mapping) for row in await connection.execute(_LANES)]
            sums = [CurrencySum.model_validate(row._mapping) for row in await connection.execute(_SUMS)]
            found = (await connection.execute(_LAST)).first()
        last = None if found is None else LastReconciliation.model_validate(found._mapping)
        return LedgerState(
            lanes=lanes,
            conservation=sums,
            last_reconciliation=last,
            consistent=is_consistent(lanes, sums, last),
        )
