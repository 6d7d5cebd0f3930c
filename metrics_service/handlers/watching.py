"""Keeps the gauges of limits that are met and set aside."""

import asyncio
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncEngine

from metrics_service.repository import watching
from shared import database, logs
from shared.clock import Clock
from shared.errors import TransientError
from shared.telemetry import Metrics

log = logs.get(__name__)

LOOK_EVERY_S = 15.0


class Watching:
    """Looks every few seconds, so that scraping costs nothing."""

    def __init__(self, engine: AsyncEngine, zone: ZoneInfo, metrics: Metrics, clock: Clock) -> None:
        self._engine = engine
        self._zone = zone
        self._metrics = metrics
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled: look every so often."""
        while True:
            try:
                await self.look()
            except TransientError as error:
                log.info("watching_waits", error=str(error))
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Set the gauges. Raises DatabaseUnavailable."""
        now = self._clock()
        async with database.reading(self._engine) as connection:
            self._metrics.limit_refusals.set(await watching.limit_refusals(connection, now, self._zone))
            self._metrics.limit_overrides.set(await watching.limit_overrides(connection, now, self._zone))
