"""How a process itself does: whether its event loop is on time, and what it counted lately."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import Counter, Gauge

from shared.telemetry import Metrics

LOOK_EVERY_S = 0.5
# How finely a window moves along.
STEPS = 60

Counts = Mapping[tuple[tuple[str, str], ...], float]


async def watch_loop(metrics: Metrics, every_s: float = LOOK_EVERY_S) -> None:
    """Until cancelled: measure how much later than asked the event loop comes back."""
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(every_s)
        metrics.loop_delay_s.observe(max(0.0, time.perf_counter() - asked - every_s))


async def watch_counts(metrics: Metrics, window_s: float) -> None:
    """Until cancelled: keep the gauges of what was counted within the last `window_s` seconds."""
    pairs = ((metrics.parked, metrics.parked_lately), (metrics.webhooks, metrics.webhooks_lately))
    followed = [Lately(counter, gauge, window_s) for counter, gauge in pairs]
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        for each in followed:
            each.look()


class Lately:
    """Shows how much a counter went up within a window, as a gauge with the same labels: one look at it is enough."""

    def __init__(
        self, counter: Counter, gauge: Gauge, window_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._counter = counter
        self._gauge = gauge
        self._window_s = window_s
        self._clock = clock
        # What was counted when; the first is the newest that is as old as the window. A process begins with nothing.
        self._seen: deque[tuple[float, Counts]] = deque([(clock(), {})])

    def look(self) -> None:
        """Set the gauge to what is so now."""
        now, counts = self._clock(), dict(self._counts())
        while len(self._seen) > 1 and self._seen[1][0] <= now - self._window_s:
            self._seen.popleft()
        before = self._seen[0][1]
        for labels, count in counts.items():
            self._gauge.labels(**dict(labels)).set(count - before.get(labels, 0))
        if now - self._seen[-1][0] >= self._window_s / STEPS:
            self._seen.append((now, counts))

    def _counts(self) -> Iterator[tuple[tuple[tuple[str, str], ...], float]]:
        for family in self._counter.collect():
            for sample in family.samples:
                if sample.name.endswith("_total"):
                    yield tuple(sample.labels.items()), sample.value
