"""Reading from Kafka: a batch is acknowledged after its handler, and comes again when the handler fails."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber

from shared import broker
from shared.broker import BrokerOptions, Publisher
from shared.contracts.topics import LEDGER_EVENTS
from shared.errors import BrokerUnavailable
from tests.support import eventually

Handle = Callable[[Sequence[ConsumerRecord]], Awaitable[None]]

GROUP = "test-group"
NOBODY = BrokerOptions("127.0.0.1:1", "test", "", idempotent_producer=True)


def reading(options: BrokerOptions, handle: Handle) -> KafkaBroker:
    consumers = broker.consumer_broker(options)
    subscriber: BatchSubscriber = consumers.subscriber(
        options.topic(LEDGER_EVENTS), **broker.batches(options, GROUP, max_records=100)
    )

    @subscriber
    async def on_batch(message: KafkaMessage) -> None:
        await handle(message.raw_message)

    return consumers


async def committed(options: BrokerOptions, partition: int) -> int | None:
    """Where the group goes on after a restart."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=options.bootstrap_servers, group_id=options.group(GROUP), enable_auto_commit=False
    )
    await consumer.start()
    try:
        found: int | None = await consumer.committed(TopicPartition(options.topic(LEDGER_EVENTS), partition))
        return found
    finally:
        await consumer.stop()


@pytest.mark.integration
async def test_a_batch_that_fails_comes_again_whole_and_is_acknowledged_when_it_succeeds(
    kafka: BrokerOptions, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.broker.consumers.FAILED_BATCH_PAUSE_S", 0.01)
    sent = {bytes([value]) for value in range(10)}
    for value in sorted(sent):
        await publisher.publish(LEDGER_EVENTS, key=value, value=value, headers=[], partition=value[0] % 2)
    failed: list[set[bytes | None]] = []
    done: set[bytes | None] = set()

    async def handle(records: Sequence[ConsumerRecord]) -> None:
        values = {record.value for record in records}
        if len(failed) < 3:
            failed.append(values)
            raise ZeroDivisionError
        done.update(values)

    consumers = reading(kafka, handle)
    await broker.start_consumers(consumers)

    async def all_done() -> bool:
        return done == sent

    await eventually(all_done)
    await consumers.stop()
    assert all(values <= sent for values in failed)
    assert [await committed(kafka, partition) for partition in (0, 1)] == [5, 5]


@pytest.mark.integration
async def test_a_batch_that_never_succeeds_is_never_acknowledged(
    kafka: BrokerOptions, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.broker.consumers.FAILED_BATCH_PAUSE_S", 0.01)
    await publisher.publish(LEDGER_EVENTS, key=b"1", value=b"1", headers=[], partition=0)
    tries: list[int] = []

    async def handle(records: Sequence[ConsumerRecord]) -> None:
        tries.append(len(records))
        raise ZeroDivisionError

    consumers = reading(kafka, handle)
    await broker.start_consumers(consumers)

    async def tried_often() -> bool:
        return len(tries) > 5

    await eventually(tried_often)
    await consumers.stop()
    assert await committed(kafka, 0) is None


@pytest.mark.integration
async def test_records_come_as_they_were_sent_whatever_is_in_them(kafka: BrokerOptions, publisher: Publisher) -> None:
    headers = [("binary", b"\xff\xfe"), ("", b""), ("content-type", b"\xff"), ("correlation-id", b"\xfe")]
    await publisher.publish(LEDGER_EVENTS, key=b"\xff", value=b"\xff{", headers=headers, partition=0)
    came: list[ConsumerRecord] = []

    async def handle(records: Sequence[ConsumerRecord]) -> None:
        came.extend(records)

    consumers = reading(kafka, handle)
    await broker.start_consumers(consumers)

    async def there() -> bool:
        return bool(came)

    await eventually(there)
    await consumers.stop()
    (record,) = came
    assert (record.key, record.value, list(record.headers)) == (b"\xff", b"\xff{", headers)


async def test_a_broker_that_does_not_come_is_given_up_by_name() -> None:
    async def handle(records: Sequence[ConsumerRecord]) -> None: ...

    consumers = reading(NOBODY, handle)
    with pytest.raises(BrokerUnavailable, match="KAFKA_BOOTSTRAP_SERVERS"):
        await broker.start_consumers(consumers, 0.3)
    await consumers.stop()


def test_every_option_that_is_wrong_by_default_is_said() -> None:
    said = broker.batches(NOBODY, "group", max_records=7)
    assert said["ack_policy"] is AckPolicy.NACK_ON_ERROR
    assert said["auto_offset_reset"] == "earliest"
    assert said["isolation_level"] == "read_committed"
    assert said["max_records"] == 7
    assert said["rebalance_timeout_ms"] > said["session_timeout_ms"]


async def test_a_consumer_that_does_not_let_itself_be_stopped_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    async def endless(*_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    monkeypatch.setattr("shared.broker.consumers.STOP_WITHIN_S", 0.01)
    monkeypatch.setattr(KafkaBroker, "stop", endless)
    await broker.consumer_broker(NOBODY).stop()
    assert ended == ["cancelled"]
