"""Kafka in, as most services have it: one topic in batches, each taken whole, timed and watched."""

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from faststream.kafka import KafkaRouter
from faststream.kafka.annotations import KafkaMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber

from shared import logs
from shared.broker import BrokerOptions, batches
from shared.progress import Progress
from shared.telemetry import Metrics

# Nobody waits for an answer from a reader of events. A broker that looks for records only when a fetch's time is over
# is asked by many of them, and asking is most of what an idle platform does.
EVENTS_MAX_WAIT_MS = 250

Take = Callable[[Sequence[ConsumerRecord]], Awaitable[None]]


class Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]
    """Counts how often partitions are shared out."""

    def __init__(self, topic: str, metrics: Metrics) -> None:
        self._count = metrics.rebalances.labels(topic)

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Nothing: a batch in hand is waited for."""

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Count it."""
        self._count.inc()


@contextmanager
def handling(topic: str, records: Sequence[ConsumerRecord], metrics: Metrics) -> Iterator[None]:
    """Around the handling of records of one topic: measured, traced, and named in what is logged meanwhile."""
    metrics.batch_records.labels(topic).observe(len(records))
    with metrics.batch_s.labels(topic).time(), metrics.tracing.batch(topic, records), logs.about(records):
        yield


def batch_router(
    options: BrokerOptions,
    group: str,
    topic: str,
    *,
    max_records: int,
    take: Take,
    progress: Progress,
    metrics: Metrics,
) -> KafkaRouter:
    """The subscriber of one topic, acknowledged after `take`; what it raises brings the batch again."""
    kafka = KafkaRouter()
    subscriber: BatchSubscriber = kafka.subscriber(
        options.topic(topic),
        listener=Rebalances(topic, metrics),
        **batches(patient(options), group, max_records=max_records),
    )

    @subscriber
    async def records(message: KafkaMessage) -> None:
        batch: tuple[ConsumerRecord, ...] = message.raw_message
        with progress.batch(), handling(topic, batch, metrics):
            await take(batch)

    return kafka


def patient(options: BrokerOptions) -> BrokerOptions:
    """For a reader of events: an empty fetch may be held back longer."""
    return replace(options, fetch_max_wait_ms=max(options.fetch_max_wait_ms, EVENTS_MAX_WAIT_MS))
