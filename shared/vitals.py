"""How a process itself does: whether its event loop is on time."""

import asyncio
import time

from shared.telemetry import Metrics

LOOK_EVERY_S = 0.5


async def watch_loop(metrics: Metrics, every_s: float = LOOK_EVERY_S) -> None:
    """Until cancelled: measure how much later than asked the event loop comes back."""
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(every_s)
        metrics.loop_delay_s.observe(max(0.0, time.perf_counter() - asked - every_s))
