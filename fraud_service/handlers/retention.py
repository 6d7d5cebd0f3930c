"""Deletes what is past its time, a bounded part with every look."""

import asyncio
from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.repository import retention
from fraud_service.settings import Settings
from shared import database, logs
from shared.clock import Clock
from shared.errors import TransientError

log = logs.get(__name__)

LOOK_EVERY_S = 10.0
# Of each table: 1,000 a second, which is more than comes in for long.
AT_ONCE = 10_000


class Retention:
    """Keeps events and records as long as the settings say."""

    def __init__(self, settings: Settings, engine: AsyncEngine, clock: Clock) -> None:
        self._events = settings.events_kept
        self._records = settings.records_kept
        self._engine = engine
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled: look every so often."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                gone = await self.look()
            except TransientError as error:
                log.info("retention_waits", error=str(error))
            else:
                if any(gone.values()):
                    log.info("expired", **gone)

    async def look(self) -> Mapping[str, int]:
        """Delete some of what is past its time; returns how many rows of which table. Raises DatabaseUnavailable."""
        now = self._clock()
        async with database.transaction(self._engine) as connection:
            events = await retention.delete_events(connection, now - self._events, AT_ONCE)
        async with database.transaction(self._engine) as connection:
            records = await retention.delete_records(connection, now - self._records, AT_ONCE)
        return {**events, **records}
