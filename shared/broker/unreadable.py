"""A consumer that a record without a readable form does not stop.

aiokafka decodes the names of a record's headers as UTF-8 and raises on one that is not, in the middle of a fetch: what
it had taken from other partitions by then is gone, and the next fetch comes back to the same record, for ever. Any
client that speaks Kafka's protocol can write such a record. What stands behind it in the same record batch is as
unreadable to aiokafka.
"""

import random
from collections import defaultdict
from functools import partial
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from faststream.kafka import KafkaBroker

from shared import logs

log = logs.get(__name__)

# How long one partition is given to show its next record.
LOOK_MS = 300

Fetched = dict[TopicPartition, list[ConsumerRecord]]


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's consumer. In place of an unreadable record it returns an empty one, for the handler to put aside."""

    async def getmany(self, *places: TopicPartition, timeout_ms: int = 0, max_records: int | None = None) -> Fetched:
        """As aiokafka's."""
        try:
            found: Fetched = await super().getmany(*places, timeout_ms=timeout_ms, max_records=max_records)
        except UnicodeDecodeError:
            await self._rewind()
            found = await self._one_by_one(max_records or 1)
        return found

    async def _rewind(self) -> None:
        """Back to what was acknowledged, so that nothing is passed over."""
        if self._group_id is not None:
            committed = await self.seek_to_committed()
            if untouched := [place for place, offset in committed.items() if not offset]:
                await self.seek_to_beginning(*untouched)

    async def _one_by_one(self, max_records: int) -> Fetched:
        found: Fetched = defaultdict(list)
        # Any order, so that a busy partition does not keep this from reaching the unreadable one.
        for place in random.sample(sorted(self.assignment()), len(self.assignment())):
            while len(found[place]) < max_records:
                try:
                    records = await super().getmany(place, timeout_ms=LOOK_MS, max_records=1)
                except UnicodeDecodeError:
                    offset = await self.position(place)
                    log.error("record_unreadable", topic=place.topic, lane=place.partition, offset=offset)
                    self.seek(place, offset + 1)
                    found[place].append(_empty(place, offset))
                    return found
                if not records:
                    break
                found[place] += records[place]
            if found[place]:
                return found
        return found


def _empty(place: TopicPartition, offset: int) -> ConsumerRecord:
    return ConsumerRecord(
        topic=place.topic,
        partition=place.partition,
        offset=offset,
        timestamp=0,
        timestamp_type=0,
        key=None,
        value=None,
        checksum=None,
        serialized_key_size=-1,
        serialized_value_size=-1,
        headers=(),
    )


class ConsumerBroker(KafkaBroker):
    """FastStream's broker, with this module's consumer beneath its subscribers."""

    async def _connect(self) -> Any:
        await super()._connect()
        config = self.config.broker_config
        config.builder = partial(Consumer, **cast(partial[Any], config.builder).keywords)
        return config.builder
