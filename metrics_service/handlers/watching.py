"""Keeps the gauges of limits that are met and set aside, and of reports that are late."""

import asyncio
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from metrics_service.repository import days, runs, watching
from metrics_service.settings import Settings
from shared import database, logs
from shared.clock import Clock
from shared.errors import TransientError
from shared.telemetry import Metrics

log = logs.get(__name__)

# A scheduled report that is given up is asked for by hand, or no longer missed.
MISSED_FOR = timedelta(days=3)


class Watching:
    """Looks every so often, so that scraping costs nothing."""

    def __init__(self, settings: Settings, engine: AsyncEngine, metrics: Metrics, clock: Clock) -> None:
        self._engine = engine
        self._zone = settings.figures_time_zone
        self._reports_every = settings.reports_every
        self._every_s = settings.gauges_every_s
        self._metrics = metrics
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except TransientError as error:
                log.info("watching_waits", error=str(error))
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Set the gauges. Raises DatabaseUnavailable."""
        now = self._clock()
        async with database.reading(self._engine) as connection:
            self._metrics.limit_refusals.set(await watching.limit_refusals(connection, now, self._zone))
            self._metrics.limit_overrides.set(await watching.limit_overrides(connection, now, self._zone))
            first_day = await days.first_day(connection)
            late = await runs.late(connection, now - MISSED_FOR, first_day) if first_day is not None else {}
        for every in self._reports_every:
            self._metrics.reports_late_s.labels(every).set((now - late.get(every, now)).total_seconds())
