"""Keeps the gauges of how well fraud detection does."""

import asyncio
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.domain.monitoring import noisy, silent
from fraud_service.repository.monitoring import Watched
from shared import logs
from shared.clock import Clock
from shared.errors import TransientError
from shared.telemetry import Metrics

log = logs.get(__name__)

DAYS = 7
NOISY_PERMILLE = 200


class Monitoring:
    """Looks every so often, so that scraping costs nothing."""

    def __init__(self, engine: AsyncEngine, metrics: Metrics, clock: Clock, *, every_s: float) -> None:
        self._watched = Watched(engine)
        self._every_s = every_s
        self._metrics = metrics
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.look()
            except TransientError as error:
                log.info("monitoring_waits", code=error.code)
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Set the gauges. Raises DatabaseUnavailable."""
        now, metrics = self._clock(), self._metrics
        rules = await self._watched.counted(now.date() - timedelta(days=DAYS - 1))
        precision = await self._watched.precision(now - timedelta(days=DAYS))
        metrics.fraud_unresolved.set(await self._watched.unresolved())
        metrics.fraud_flags_of_day.set(await self._watched.raised(now - timedelta(days=1)))
        for level, players in (await self._watched.players(now - timedelta(days=DAYS))).items():
            metrics.fraud_players.labels(level).set(players)
        metrics.fraud_playing.set(len(await self._watched.playing()))
        metrics.fraud_failed_rules.set(await self._watched.failed_rules())
        metrics.fraud_silent_rules.set(len(silent(rules)))
        metrics.fraud_noisy_rules.set(len(noisy(rules, NOISY_PERMILLE)))
        metrics.fraud_precision.clear()
        for found in precision:
            metrics.fraud_precision.labels(found.rule).set(found.permille / 1000)
