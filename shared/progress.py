"""Progress of a consumer: how far behind it is, and whether it still moves.

A healthy cluster says nothing about a consumer whose loop died, and a consumer that waits for an empty topic is
well. So liveness asks one thing: is there something to do, and is nothing being done?
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from shared import logs
from shared.broker import REQUEST_TIMEOUT_MS, BrokerOptions
from shared.errors import TransientError
from shared.telemetry import Metrics

log = logs.get(__name__)

TICK_S = 5.0
ASK_TIMEOUT_S = 4.0
# To see how old the next record is, the observer fetches it; a broker gives a whole record or batch all the same.
PEEK_BYTES = 4096


class Progress:
    """Watches one consumer from beside it, with a connection of its own."""

    def __init__(self, options: BrokerOptions, topic: str, *, stalled_after_s: float, metrics: Metrics) -> None:
        self._options = options
        self._topic = topic
        self._stalled_after_s = stalled_after_s
        self._metrics = metrics
        self._moved = True
        self._idle_since: float | None = None
        self._batch_since: float | None = None
        self._failing_since: float | None = None

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Around the handling of one batch."""
        self._batch_since = time.monotonic()
        try:
            yield
            self._moved = True
            self._failing_since = None
        except TransientError:
            # What it depends on is away, which readiness shows; to restart the consumer would not bring it back.
            raise
        except BaseException:
            if self._failing_since is None:
                self._failing_since = self._batch_since
            raise
        finally:
            self._batch_since = None

    def problem(self) -> str | None:
        """What is wrong, or None."""
        now = time.monotonic()
        if self._batch_since is not None and now - self._batch_since >= self._stalled_after_s:
            return f"one batch of {self._topic} has been in hand for {now - self._batch_since:.0f} s"
        if self._failing_since is not None and now - self._failing_since >= self._stalled_after_s:
            return f"every batch of {self._topic} has failed for {now - self._failing_since:.0f} s; the log says why"
        if self._idle_since is not None and now - self._idle_since >= self._stalled_after_s:
            return f"records wait on {self._topic} and none was processed for {now - self._idle_since:.0f} s"
        return None

    async def watch(self, consumer: Callable[[], AIOKafkaConsumer | None]) -> None:
        """Look every few seconds, until cancelled. A cluster that does not answer says nothing about the consumer."""
        observer: AIOKafkaConsumer | None = None
        try:
            while True:
                await asyncio.sleep(TICK_S)
                watched = consumer()
                if watched is None:
                    continue
                try:
                    if observer is None:
                        observer = await self._observer()
                    async with asyncio.timeout(ASK_TIMEOUT_S):
                        ends = await observer.end_offsets(list(watched.assignment()))
                        positions = {partition: await watched.position(partition) for partition in ends}
                        waiting = {each: at for each, at in positions.items() if at < ends[each]}
                        oldest_ms = await _oldest_ms(observer, waiting)
                except (TimeoutError, OSError, KafkaError) as error:
                    log.info("lag_unknown", topic=self._topic, error=repr(error))
                    if observer is not None:
                        await _stop(observer)
                        observer = None
                    self._idle_since = None
                else:
                    self.observe(sum(max(0, end - positions[partition]) for partition, end in ends.items()))
                    lag_s = 0.0 if oldest_ms is None else max(0.0, time.time() - oldest_ms / 1000)
                    self._metrics.lag_s.labels(self._topic).set(lag_s)
        finally:
            if observer is not None:
                await _stop(observer)

    def observe(self, behind: int) -> None:
        """Take in how many records wait."""
        self._metrics.lag_records.labels(self._topic).set(behind)
        if behind == 0 or self._moved:
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = time.monotonic()
        self._moved = False

    async def _observer(self) -> AIOKafkaConsumer:
        observer = AIOKafkaConsumer(
            bootstrap_servers=self._options.bootstrap_servers.split(","),
            client_id=f"{self._options.client_id}-observer",
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            enable_auto_commit=False,
            max_partition_fetch_bytes=PEEK_BYTES,
        )
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                await observer.start()
        except BaseException:
            await _stop(observer)
            raise
        return observer


async def _oldest_ms(observer: AIOKafkaConsumer, waiting: Mapping[TopicPartition, int]) -> int | None:
    """When the oldest of the records at these positions was written, in milliseconds since 1970; None for none."""
    if not waiting:
        return None
    observer.assign(list(waiting))
    for partition, position in waiting.items():
        observer.seek(partition, position)
    stamps: list[int] = [(await observer.getone(partition)).timestamp for partition in waiting]
    return min(stamps)


async def _stop(observer: AIOKafkaConsumer) -> None:
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            await observer.stop()
    except (TimeoutError, OSError, KafkaError) as error:
        log.info("observer_not_closed", error=repr(error))
