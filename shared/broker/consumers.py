"""Reading, with FastStream: batches of raw records, acknowledged after their handler."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError
from faststream import AckPolicy, BaseMiddleware
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaMessage
from faststream.kafka.subscriber.usecase import LogicSubscriber

from shared import logs
from shared.broker.options import (
    METADATA_MAX_AGE_MS,
    RECONNECT_PAUSE_S,
    REQUEST_TIMEOUT_MS,
    START_TIMEOUT_S,
    BrokerOptions,
)
from shared.broker.unreadable import ConsumerBroker
from shared.errors import BrokerUnavailable

log = logs.get(__name__)

# Above the longest batch, so that a rebalance waits for it rather than takes its lanes away in the middle.
REBALANCE_TIMEOUT_MS = 30_000
SESSION_TIMEOUT_MS = 6_000
HEARTBEAT_INTERVAL_MS = 2_000
MAX_POLL_INTERVAL_MS = 300_000
# FastStream sleeps this long after an empty fetch, and is deaf meanwhile; a player waits for it.
BATCH_TIMEOUT_MS = 5
GRACEFUL_TIMEOUT_S = 15.0
# While its broker is away aiokafka may wait without end for a group to be left.
STOP_WITHIN_S = GRACEFUL_TIMEOUT_S + 5
# A batch that failed comes again at once; the pause keeps its loop from spinning.
FAILED_BATCH_PAUSE_S = 1.0


class Consumers(ConsumerBroker):
    """FastStream's broker, for reading alone; its end has a bound."""

    async def stop(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """Let the batch under way end, and leave the group; what takes longer than STOP_WITHIN_S is left behind."""
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await super().stop(exc_type, exc_val, exc_tb)
        except TimeoutError:
            log.warning("consumers_left_behind", within_s=STOP_WITHIN_S)


def consumer_broker(options: BrokerOptions) -> KafkaBroker:
    """FastStream's broker, for reading alone. Start and stop it in the application's lifespan."""
    return Consumers(
        options.bootstrap_servers.split(","),
        client_id=options.client_id,
        request_timeout_ms=REQUEST_TIMEOUT_MS + SESSION_TIMEOUT_MS,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
        consumer_only=True,
        allow_auto_create_topics=False,
        graceful_timeout=GRACEFUL_TIMEOUT_S,
        middlewares=(FailedBatch,),
        logger=None,
    )


async def start_consumers(consumers: KafkaBroker, within_s: float = START_TIMEOUT_S) -> None:
    """Start a consumer broker. Tries again until `within_s` is over, then raises BrokerUnavailable."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                try:
                    await consumers.start()
                except (KafkaError, OSError) as error:
                    log.warning("consumers_wait_for_broker", error=repr(error))
                    await consumers.stop()
                    await asyncio.sleep(RECONNECT_PAUSE_S)
                else:
                    return
    except TimeoutError:
        raise BrokerUnavailable(f"no Kafka at KAFKA_BOOTSTRAP_SERVERS to read from within {within_s:.0f} s") from None


class FailedBatch(BaseMiddleware):
    """Makes a failed batch visible, for FastStream drops its error, and pauses before it comes again."""

    async def after_processed(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> bool:
        """Lets the error through, so that the batch is not acknowledged."""
        if isinstance(exc_val, Exception):
            with logs.about(cast(Sequence[ConsumerRecord], self.msg)):
                log.error("batch_failed", code=getattr(exc_val, "code", None), exc_info=exc_val)
            await asyncio.sleep(FAILED_BATCH_PAUSE_S)
        return False


def consumer_of(kafka: KafkaBroker) -> AIOKafkaConsumer | None:
    """The consumer beneath the one subscriber of a broker; None before it started and after it stopped."""
    (subscriber,) = kafka.subscribers
    return cast(LogicSubscriber[Any], subscriber).consumer


def batches(options: BrokerOptions, group: str, *, max_records: int) -> dict[str, Any]:
    """The options of a subscriber that takes batches of raw records, and acknowledges a batch after its handler.

    An error that escapes the handler rewinds every partition of the batch. One batch is in flight per consumer,
    because an acknowledgement commits the position of all partitions at once.
    """
    return {
        "group_id": options.group(group),
        "batch": True,
        "max_records": max_records,
        "batch_timeout_ms": BATCH_TIMEOUT_MS,
        "ack_policy": AckPolicy.NACK_ON_ERROR,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "fetch_max_wait_ms": options.fetch_max_wait_ms,
        "session_timeout_ms": SESSION_TIMEOUT_MS,
        "heartbeat_interval_ms": HEARTBEAT_INTERVAL_MS,
        "rebalance_timeout_ms": REBALANCE_TIMEOUT_MS,
        "max_poll_interval_ms": MAX_POLL_INTERVAL_MS,
        "parser": raw_batch,
        "decoder": undecoded,
    }


def tail(options: BrokerOptions, *, max_records: int) -> dict[str, Any]:
    """The options of a subscriber that reads chosen partitions from their end on, without a group.

    For records that mean nothing to a process that was not there when they were written. Nothing is acknowledged:
    no offset is ever committed, and a batch whose handler fails is not read again.
    """
    return {
        "group_id": None,
        "batch": True,
        "max_records": max_records,
        "batch_timeout_ms": BATCH_TIMEOUT_MS,
        # MANUAL, and nobody acknowledges; any other policy would commit, or rewind.
        "ack_policy": AckPolicy.MANUAL,
        "auto_offset_reset": "latest",
        "isolation_level": "read_committed",
        "fetch_max_wait_ms": options.fetch_max_wait_ms,
        "parser": raw_batch,
        "decoder": undecoded,
    }


async def positioned(kafka: KafkaBroker, within_s: float = REQUEST_TIMEOUT_MS / 1000) -> None:
    """Wait until a broker's subscriber knows from where it reads each of its partitions. Raises BrokerUnavailable.

    A subscriber that reads from the end misses what is written before that.
    """
    consumer = consumer_of(kafka)
    assert consumer is not None, "start the broker first"
    try:
        async with asyncio.timeout(within_s):
            for partition in consumer.assignment():
                await consumer.position(partition)
    except (TimeoutError, KafkaError) as error:
        raise BrokerUnavailable("Kafka did not say within the bound where its partitions end") from error


async def raw_batch(
    records: tuple[ConsumerRecord, ...],
    original: Callable[[tuple[ConsumerRecord, ...]], Awaitable[KafkaMessage]],
) -> KafkaMessage:
    """A batch as FastStream's message, without reading any record.

    FastStream's own parser decodes each header as UTF-8 and fails the whole batch on one that is not. Here the
    handler reads each record by itself, so that one bad record is parked and its neighbours go on.
    """
    message = await original((replace(records[0], value=b"", headers=()),))
    message.raw_message = records
    return message


async def undecoded(message: KafkaMessage) -> None:
    """Leaves the records as they are."""
