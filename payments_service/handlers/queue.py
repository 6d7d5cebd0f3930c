"""What is queued is let go when it is available again: in order, so many a second, and checked again on its way."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from payments_service.domain import payments
from payments_service.domain.availability import is_available
from payments_service.domain.ports import Attendant
from payments_service.repository import desk, watching
from payments_service.repository import payments as kept
from shared import database, logs
from shared.clock import Clock
from shared.errors import TransientError
from shared.telemetry import Metrics

log = logs.get(__name__)

LOOK_EVERY_S = 1.0


class Queue:
    """Releases what is queued."""

    def __init__(
        self,
        engine: AsyncEngine,
        attendant: Attendant,
        *,
        disabled: bool,
        release_per_s: int,
        window_s: float,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._engine = engine
        self._attendant = attendant
        self._disabled = disabled
        self._release_per_s = release_per_s
        self._window = timedelta(seconds=window_s)
        self._clock = clock
        self._metrics = metrics

    async def run(self) -> None:
        """Until cancelled: release some, every second."""
        while True:
            released = 0
            try:
                released = await self.release()
                await self._measure()
            except TransientError as error:
                log.warning("payments_queue_waits", code=error.code)
            if not released:
                await asyncio.sleep(LOOK_EVERY_S)

    async def release(self) -> int:
        """Release a second's worth, unless another instance does; returns how many, once that second is over."""
        async with database.transaction(self._engine) as turn:
            released = await self.look() if await desk.takes_turn(turn) else 0
            if released:
                # The turn is kept meanwhile: the limit is one for all instances.
                await asyncio.sleep(LOOK_EVERY_S)
        return released

    async def look(self) -> int:
        """Release the first of those that are available, a second's worth; returns how many."""
        now = self._clock()
        async with database.transaction(self._engine) as connection:
            switches = await desk.switches(connection)
            places = [
                place
                for place in await kept.queued_places(connection)
                if is_available(switches, *place, disabled=self._disabled)
            ]
            released = await kept.queued_at(connection, places, self._release_per_s)
            for payment in released:
                after = payments.scheduled(replace(payment, waits_for=None), now)
                await kept.save(connection, payment, after, now)
        if released:
            self._attendant.wake()
        return len(released)

    async def _measure(self) -> None:
        async with database.reading(self._engine) as connection:
            found = await watching.waiting(connection, self._clock(), self._window)
        for what, count in found.counts.items():
            self._metrics.payments_waiting.labels(what).set(count)
        self._metrics.payments_failed_ratio.clear()
        for labels, ratio in found.failed.items():
            self._metrics.payments_failed_ratio.labels(*labels).set(ratio)
        self._metrics.payments_unknown_age_s.set(found.oldest_unknown_s)
        self._metrics.settlement_delay_s.set(found.settlement_delay_s)
        self._metrics.exceptions_age_s.set(found.oldest_exception_s)
