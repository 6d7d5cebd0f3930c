"""`langsense parked`: what could not be processed, and another try for it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from ops.places import Places
from shared.broker import BrokerOptions, Publisher
from shared.contracts import headers
from shared.contracts.topics import PARKED_SUFFIX, TOPICS
from shared.errors import BrokerUnavailable, NotFound

ANSWER_WITHIN_S = 15.0
# The headers that parking added; a replay takes them off again.
_OURS = "parked-"


@dataclass(frozen=True, slots=True)
class Parked:
    """One record that was put aside. `source` is its topic, partition and offset when it came."""

    topic: str
    offset: int
    code: str
    reason: str
    source: str
    parked_at: str
    key: str
    value: str


async def listed(places: Places) -> list[Parked]:
    """Everything that is parked, topic by topic, the oldest first. Raises BrokerUnavailable."""
    names = [topic.name for topic in TOPICS if topic.name.endswith(PARKED_SUFFIX)]
    async with _consumer(places) as consumer:
        return [_parked(name, record) for name in names for record in await _read(consumer, places, name)]


async def replayed(places: Places, topic: str, offsets: Sequence[int]) -> int:
    """Publish parked records again where they came from; returns how many.

    They stay parked as well, until the topic's retention ends: a record that was applied once is not applied again.
    Raises NotFound for an offset that is not there, BrokerUnavailable.
    """
    async with _consumer(places) as consumer:
        found = {record.offset: record for record in await _read(consumer, places, topic)}
    missing = [offset for offset in offsets if offset not in found]
    if missing:
        raise NotFound(f"{topic} has no record at offset {', '.join(map(str, missing))}")
    publisher = Publisher(_options(places))
    await publisher.start()
    try:
        for offset in offsets or found:
            record = found[offset]
            await publisher.publish(
                topic.removesuffix(PARKED_SUFFIX),
                key=record.key or b"",
                value=record.value or b"",
                headers=[(name, value) for name, value in record.headers if not name.startswith(_OURS)],
            )
    finally:
        await publisher.stop()
    return len(offsets or found)


def _options(places: Places) -> BrokerOptions:
    return BrokerOptions(
        places.kafka_bootstrap_servers, "langsense-parked", places.kafka_topic_prefix, places.kafka_idempotent_producer
    )


@asynccontextmanager
async def _consumer(places: Places) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=places.kafka_bootstrap_servers.split(","),
        client_id="langsense-parked",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=places.kafka_fetch_max_wait_ms,
    )
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await consumer.start()
    except (TimeoutError, KafkaError, OSError) as error:
        await consumer.stop()
        raise BrokerUnavailable(f"no Kafka at {places.kafka_bootstrap_servers}") from error
    try:
        yield consumer
    finally:
        await consumer.stop()


async def _read(consumer: AIOKafkaConsumer, places: Places, topic: str) -> list[ConsumerRecord]:
    """The records of a parked topic from its beginning to its end as it is now."""
    partition = TopicPartition(places.kafka_topic_prefix + topic, 0)
    records: list[ConsumerRecord] = []
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            consumer.assign([partition])
            await consumer.seek_to_beginning(partition)
            end = (await consumer.end_offsets([partition]))[partition]
            while await consumer.position(partition) < end:
                for batch in (await consumer.getmany(partition, timeout_ms=500)).values():
                    records += batch
    except (TimeoutError, KafkaError, OSError) as error:
        raise BrokerUnavailable(f"{topic} cannot be read from {places.kafka_bootstrap_servers}") from error
    return records


def _parked(topic: str, record: ConsumerRecord) -> Parked:
    def header(name: str) -> str:
        return headers.find(record.headers, name) or ""

    return Parked(
        topic=topic,
        offset=record.offset,
        code=header("parked-code"),
        reason=header("parked-reason"),
        source=header("parked-from"),
        parked_at=header("parked-at"),
        key=(record.key or b"").decode(errors="replace"),
        value=(record.value or b"").decode(errors="replace"),
    )
