"""Closes days. What changes a closed day afterwards is told by a restatement."""

import asyncio
from datetime import timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncEngine

from metrics_service.domain.closing import to_close
from metrics_service.repository import days, totals
from metrics_service.settings import Settings
from shared import database, logs
from shared.clock import Clock
from shared.errors import ConfigurationError, TransientError
from shared.inbox import LedgerInbox
from shared.journal import Journal

log = logs.get(__name__)

LOOK_EVERY_S = 5.0


class Closing:
    """Closes the days that are over, once everything that the wallet decided on them is in the figures."""

    def __init__(
        self, settings: Settings, *, engine: AsyncEngine, inbox: LedgerInbox, journal: Journal, clock: Clock
    ) -> None:
        self._engine = engine
        self._inbox = inbox
        self._journal = journal
        self._zone = settings.figures_time_zone
        self._after = timedelta(seconds=settings.figures_close_after_s)
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled: close what is due."""
        while True:
            try:
                await self.look()
            except TransientError as error:
                log.info("closing_waits", error=str(error))
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> int:
        """Close what is due; returns how many days. Raises DatabaseUnavailable, ServiceUnavailable."""
        now = self._clock()
        async with database.reading(self._engine) as connection:
            start, last = await days.first_day(connection), await days.last_closed(connection)
        due = to_close(start, last, now, self._zone, self._after)
        if not due or not await self._is_caught_up():
            return 0
        async with database.transaction(self._engine) as connection:
            await days.close(connection, due, self._zone.key, now)
            await totals.merge(connection, due)
        log.info("days_closed", first=due[0].isoformat(), last=due[-1].isoformat())
        return len(due)

    async def _is_caught_up(self) -> bool:
        # The heads are asked for after the day's end: all that was decided on it stands below them.
        heads = await self._journal.heads()
        positions = await self._inbox.positions()
        return all(positions.get(head.lane, 0) >= head.position for head in heads)


async def check_time_zone(engine: AsyncEngine, zone: ZoneInfo) -> None:
    """Raises ConfigurationError where days were closed in another time zone: their figures would be mixed."""
    async with database.reading(engine) as connection:
        others = await days.time_zones(connection) - {zone.key}
    if others:
        raise ConfigurationError(f"FIGURES_TIME_ZONE: days were closed in {', '.join(others)}")
