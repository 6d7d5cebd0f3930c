"""Writing, with aiokafka's producer: in order per partition, every wait bounded."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber, ProducerFenced
from aiokafka.structs import RecordMetadata, TopicPartition

from shared import logs
from shared.broker.options import (
    METADATA_MAX_AGE_MS,
    REQUEST_TIMEOUT_MS,
    START_TIMEOUT_S,
    BrokerOptions,
)
from shared.contracts.headers import Headers
from shared.errors import BrokerUnavailable
from shared.tracing import OFF, Tracing

log = logs.get(__name__)

# Enqueueing waits only where the producer's buffer is full or the topic's partitions are not known.
ENQUEUE_TIMEOUT_S = 2.0
PING_TIMEOUT_S = 2.0
STOP_TIMEOUT_S = 5.0


class Record(NamedTuple):
    """What is written to Kafka, wherever it goes."""

    key: bytes
    value: bytes
    headers: Headers


class Delivery(NamedTuple):
    """The future of a batch's delivery, and how many records are in it."""

    future: "asyncio.Future[RecordMetadata]"
    records: int


class Publisher:
    """Writes to Kafka, in order per partition. Every wait is bounded; a broken producer is replaced."""

    # aiokafka cannot bump its epoch, so after one of these its producer refuses everything until it is replaced.
    _BEYOND_REPAIR: Final = (OutOfOrderSequenceNumber, ProducerFenced)

    def __init__(self, options: BrokerOptions, *, linger_ms: int = 0, tracing: Tracing = OFF) -> None:
        self._options = options
        self._tracing = tracing
        self._linger_ms = linger_ms
        self._producer: AIOKafkaProducer | None = None
        self._replacing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailable."""
        self._producer = await self._connected(START_TIMEOUT_S)

    async def stop(self) -> None:
        """Flush and close, within a bound."""
        if self._replacing is not None:
            self._replacing.cancel()
            await asyncio.gather(self._replacing, return_exceptions=True)
        if self._producer is not None:
            await _close(self._producer)
            self._producer = None

    async def send(
        self, topic: str, *, key: bytes, value: bytes, headers: Headers, partition: int | None = None
    ) -> "asyncio.Future[RecordMetadata]":
        """Enqueue one record and return the future of its delivery. Raises BrokerUnavailable."""
        if not self._tracing.on:
            return await self._enqueue(topic, key, value, headers, partition)
        with self._tracing.sending(topic, headers) as sending:
            future = await self._enqueue(topic, key, value, sending.headers, partition)
            sending.follow(future)
            return future

    async def _enqueue(
        self, topic: str, key: bytes, value: bytes, headers: Headers, partition: int | None
    ) -> "asyncio.Future[RecordMetadata]":
        producer = self._producer
        if producer is None:
            raise BrokerUnavailable("the producer is being replaced; try again")
        try:
            async with asyncio.timeout(ENQUEUE_TIMEOUT_S):
                future: asyncio.Future[RecordMetadata] = await producer.send(
                    self._options.topic(topic), value=value, key=key, partition=partition, headers=headers
                )
        except (TimeoutError, KafkaError) as error:
            self.repair(error)
            raise BrokerUnavailable("Kafka did not take the record within the bound") from error
        return future

    async def send_all(self, topic: str, partition: int, records: Sequence[Record]) -> list[Delivery]:
        """Enqueue records for one partition, in order and in as few batches as they fit into. Raises BrokerUnavailable.

        Much cheaper for each record than `send`. Whatever was enqueued before an error is still delivered.
        """
        producer = self._producer
        if producer is None:
            raise BrokerUnavailable("the producer is being replaced; try again")
        name, timestamp_ms = self._options.topic(topic), int(time.time() * 1000)
        deliveries: list[Delivery] = []
        try:
            async with asyncio.timeout(ENQUEUE_TIMEOUT_S):
                builder, count = producer.create_batch(), 0
                for key, value, headers in records:
                    if builder.append(timestamp=timestamp_ms, key=key, value=value, headers=headers) is None:
                        deliveries.append(
                            Delivery(await producer.send_batch(builder, name, partition=partition), count)
                        )
                        builder, count = producer.create_batch(), 0
                        # A batch takes its first record whatever its size.
                        builder.append(timestamp=timestamp_ms, key=key, value=value, headers=headers)
                    count += 1
                if count:
                    deliveries.append(Delivery(await producer.send_batch(builder, name, partition=partition), count))
        except (TimeoutError, KafkaError) as error:
            for delivery in deliveries:
                delivery.future.add_done_callback(self.delivered)
            self.repair(error)
            raise BrokerUnavailable("Kafka did not take the records within the bound") from error
        return deliveries

    async def publish(
        self,
        topic: str,
        *,
        key: bytes,
        value: bytes,
        headers: Headers,
        partition: int | None = None,
        timeout_s: float = REQUEST_TIMEOUT_MS / 1000,
    ) -> None:
        """Write one record and wait until it is acknowledged by all replicas in sync. Raises BrokerUnavailable.

        After a timeout the outcome is unknown: the record may still arrive.
        """
        future = await self.send(topic, key=key, value=value, headers=headers, partition=partition)
        try:
            await asyncio.wait_for(asyncio.shield(future), timeout_s)
        except (TimeoutError, KafkaError) as error:
            # Nobody waits for it any more; its outcome is looked at so that it is not reported as forgotten.
            future.add_done_callback(self.delivered)
            self.repair(error)
            raise BrokerUnavailable("Kafka did not acknowledge the record within the bound") from error

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has. Raises BrokerUnavailable where there is no answer, or no such topic."""
        name = self._options.topic(topic)
        if self._producer is None:
            raise BrokerUnavailable("the producer is being replaced; try again")
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_MS / 1000):
                found = await self._producer.partitions_for(name)
        except (TimeoutError, OSError, KafkaError) as error:
            raise BrokerUnavailable(f"no topic {name} at the broker; `langsense migrate` declares it") from error
        return len(found)

    def delivered(self, future: "asyncio.Future[RecordMetadata]") -> None:
        """A callback for the future of a record that nobody waits for: looks at how it ended."""
        error = None if future.cancelled() else future.exception()
        if error is not None:
            self.repair(error)

    async def ping(self, topic: str) -> None:
        """Ask the cluster whether every partition of a topic has a leader to write to. Raises BrokerUnavailable."""
        producer = self._producer
        if producer is None:
            raise BrokerUnavailable("the producer is being replaced")
        name = self._options.topic(topic)
        try:
            async with asyncio.timeout(PING_TIMEOUT_S):
                cluster = await producer.client.fetch_all_metadata()
        except (TimeoutError, KafkaError, OSError) as error:
            raise BrokerUnavailable("no broker answers") from error
        numbers = cluster.partitions_for_topic(name)
        if not numbers:
            raise BrokerUnavailable(f"there is no topic {name}")
        # None: not known. -1: nobody leads it now.
        if any(cluster.leader_for_partition(TopicPartition(name, number)) in (None, -1) for number in numbers):
            raise BrokerUnavailable(f"a partition of {name} has no leader")

    def repair(self, error: BaseException) -> None:
        """Tell the publisher how a delivery failed. Replaces the producer where it is beyond repair."""
        if isinstance(error, self._BEYOND_REPAIR) and self._replacing is None:
            self._replacing = asyncio.create_task(self._replace(), name="replace-producer")

    async def _replace(self) -> None:
        broken, self._producer = self._producer, None
        log.warning("producer_replaced")
        try:
            if broken is not None:
                await _close(broken)
            while self._producer is None:
                try:
                    self._producer = await self._connected(START_TIMEOUT_S)
                except BrokerUnavailable:
                    log.warning("producer_waits_for_broker")
        finally:
            self._replacing = None

    async def _connected(self, within_s: float) -> AIOKafkaProducer:
        """A started producer. Tries again until `within_s` is over, then raises BrokerUnavailable."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    producer = AIOKafkaProducer(
                        bootstrap_servers=self._options.bootstrap_servers.split(","),
                        client_id=self._options.client_id,
                        acks="all",
                        enable_idempotence=self._options.idempotent_producer,
                        linger_ms=self._linger_ms,
                        max_batch_size=64 * 1024,
                        request_timeout_ms=REQUEST_TIMEOUT_MS,
                        metadata_max_age_ms=METADATA_MAX_AGE_MS,
                    )
                    try:
                        await producer.start()
                    except (KafkaError, OSError):
                        await _close(producer)
                        await asyncio.sleep(0.5)
                    except BaseException:
                        await _close(producer)
                        raise
                    else:
                        return producer
        except TimeoutError:
            raise BrokerUnavailable(
                f"no Kafka at KAFKA_BOOTSTRAP_SERVERS={self._options.bootstrap_servers} within {within_s:.0f} s"
            ) from None


async def _close(producer: AIOKafkaProducer) -> None:
    # stop() flushes, and hangs when the broker is away (aio-libs/aiokafka#1101).
    with contextlib.suppress(TimeoutError, KafkaError, OSError):
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await producer.stop()
