"""Carries out reconciliations: those that were asked for, and by itself the one of each month that is over.

Any instance may take a record up. A record is locked for as long as its work takes, so that each is done by one; the
lock of an instance that died is gone, and another takes the record up again.
"""

import asyncio
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database, logs
from shared.contracts.integrity import Period
from shared.errors import TransientError
from shared.telemetry import Metrics
from wallet_service.domain.reconciling import Cause, State, last_month
from wallet_service.repository import Reconciliations, lock_taken, reconcile, save_outcome

log = logs.get(__name__)

LOOK_EVERY_S = 0.5
# One check over one period.
STATEMENT_TIMEOUT_S = 900.0


class Reconciler:
    """Works on one record at a time. Its engine is its own: a long check takes no connection from a batch."""

    def __init__(self, engine: AsyncEngine, *, zone: ZoneInfo, metrics: Metrics) -> None:
        self._records = Reconciliations(engine)
        self._snapshots = engine.execution_options(isolation_level="REPEATABLE READ")
        self._zone = zone
        self._metrics = metrics
        # The last month that is known to be requested.
        self._month: Period | None = None

    async def run(self) -> None:
        """Until cancelled: carry out what was requested."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except TransientError as error:
                log.info("reconciler_waits", error=str(error))

    async def look(self) -> None:
        """Request the month that is over, and carry out all that is requested. Raises DatabaseUnavailable."""
        standing = await self._records.standing()
        self._metrics.discrepancies.set(standing.discrepancies or 0)
        await self._request_month(standing.now)
        while (taken := await self._records.take()) is not None:
            if taken.status == State.FAILED:
                log.error("reconciliation_given_up", id=str(taken.id))
            else:
                await self._carry_out(taken.id, taken.cause)

    async def _request_month(self, now: datetime) -> None:
        month = last_month(now, self._zone)
        if month != self._month:
            await self._records.request(month, Cause.MONTHLY, None)
            self._month = month

    async def _carry_out(self, record_id: UUID, cause: str) -> None:
        async with database.transaction(self._snapshots) as connection:
            period = await lock_taken(connection, record_id)
            if period is None:
                return
            outcome = await reconcile(connection, period)
            await save_outcome(connection, record_id, outcome)
        self._metrics.reconciliations.labels(cause).inc()
        self._metrics.discrepancies.set(outcome.discrepancy_count)
        if outcome.discrepancy_count:
            log.error("ledger_does_not_reconcile", id=str(record_id), discrepancies=outcome.discrepancy_count)
