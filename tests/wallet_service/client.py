"""A caller of the wallet: puts commands on Kafka, and reads what comes back and what is parked."""

import asyncio
import secrets
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from shared.broker import REQUEST_TIMEOUT_MS, BrokerOptions
from shared.contracts import headers, topics
from shared.contracts.commands import Command, encode
from shared.contracts.events import LedgerEvent
from shared.contracts.headers import Headers, ReplyTo
from shared.contracts.replies import Reply
from shared.lanes import key_of

WITHIN_S = 60.0


class Client:
    """Sends commands and gets their replies at an address of its own."""

    def __init__(self, options: BrokerOptions, partition: int = 0) -> None:
        self._options = options
        self._producer = AIOKafkaProducer(
            bootstrap_servers=options.bootstrap_servers, acks="all", request_timeout_ms=REQUEST_TIMEOUT_MS
        )
        self._replies = _reader(options)
        self._partition = partition
        self.address = f"test-{secrets.token_hex(4)}"

    async def __aenter__(self) -> Self:
        await self._producer.start()
        await self._replies.start()
        place = TopicPartition(self._options.topic(topics.WALLET_REPLIES), self._partition)
        self._replies.assign([place])
        await self._replies.seek_to_end(place)
        await self._replies.position(place)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._replies.stop()
        await self._producer.stop()

    def asking(self, correlation: str = "c-1") -> Headers:
        """The headers that ask for a reply."""
        to = ReplyTo(self._partition, self.address).to_text()
        return [(headers.REPLY_TO, to.encode()), (headers.CORRELATION_ID, correlation.encode())]

    async def put(
        self,
        body: bytes | None,
        *,
        key: bytes | None,
        partition: int | None = None,
        also: Sequence[tuple[str, bytes | None]] = (),
    ) -> None:
        """Put anything on the command topic, and wait until the broker has it."""
        topic = self._options.topic(topics.WALLET_COMMANDS)
        await self._producer.send_and_wait(topic, value=body, key=key, partition=partition, headers=list(also))

    async def put_with_a_header_name(self, name: bytes, body: bytes, *, partition: int) -> None:
        """Put a record on the command topic of which a header's name is any bytes: other clients' can be."""

        class Name(str):
            def encode(self, *_: object) -> bytes:
                return name

        batch = self._producer.create_batch()
        # The builder that is written in Python, for the other takes no subclass of str.
        batch._builder = _DefaultRecordBatchBuilderPy(
            2, 0, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=0, batch_size=64 * 1024
        )
        batch.append(timestamp=None, key=b"1", value=body, headers=[(Name("x"), b"")])
        topic = self._options.topic(topics.WALLET_COMMANDS)
        await (await self._producer.send_batch(batch, topic, partition=partition))

    async def send(self, *commands: Command, asking: bool = True) -> None:
        """Publish commands, in order, and wait until the broker has them."""
        futures = [
            await self._producer.send(
                self._options.topic(topics.WALLET_COMMANDS),
                key=key_of(each.user_id),
                value=encode(each),
                headers=self.asking(str(each.command_id)) if asking else [],
            )
            for each in commands
        ]
        await asyncio.gather(*futures)

    async def ask(self, *commands: Command) -> list[Reply]:
        """Publish commands, each with its own id, and return the reply to each, in the order of the commands."""
        await self.send(*commands)
        return await self.answers(*commands)

    async def answers(self, *commands: Command) -> list[Reply]:
        """The reply to each of commands that were sent: one may come twice while lanes move."""
        found: dict[UUID, Reply] = {}
        while left := {each.command_id for each in commands} - found.keys():
            found |= {reply.command_id: reply for reply in await self.replies(len(left))}
        return [found[each.command_id] for each in commands]

    async def replies(self, count: int) -> list[Reply]:
        """The next replies to this address, in the order in which they came."""
        return [Reply.model_validate_json(record.value or b"") for record in await self.reply_records(count)]

    async def reply_records(self, count: int) -> list[ConsumerRecord]:
        """The next replies to this address as they stand on the topic."""
        found: list[ConsumerRecord] = []
        async with asyncio.timeout(WITHIN_S):
            while len(found) < count:
                record = await self._replies.getone()
                if record.key == self.address.encode():
                    found.append(record)
        return found


async def read(options: BrokerOptions, topic: str, count: int) -> list[ConsumerRecord]:
    """The first records of a topic, in the order of each partition."""
    consumer = _reader(options, options.topic(topic))
    await consumer.start()
    try:
        async with asyncio.timeout(WITHIN_S):
            return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


async def events(options: BrokerOptions) -> dict[int, list[LedgerEvent]]:
    """All that is on `ledger.events.v1` now, by lane, in the order in which it stands there."""
    name = options.topic(topics.LEDGER_EVENTS)
    consumer = _reader(options, name)
    await consumer.start()
    found: dict[int, list[LedgerEvent]] = {}
    try:
        async with asyncio.timeout(WITHIN_S):
            places = [TopicPartition(name, each) for each in consumer.partitions_for_topic(name)]
            ends = await consumer.end_offsets(places)
            missing = sum(ends.values())
            while missing:
                for place, records in (await consumer.getmany(timeout_ms=200)).items():
                    missing -= len(records)
                    found.setdefault(place.partition, []).extend(
                        LedgerEvent.model_validate_json(record.value) for record in records
                    )
    finally:
        await consumer.stop()
    return found


def _reader(options: BrokerOptions, *names: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        *names,
        bootstrap_servers=options.bootstrap_servers,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        request_timeout_ms=REQUEST_TIMEOUT_MS,
    )
