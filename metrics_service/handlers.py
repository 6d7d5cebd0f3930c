"""Kafka in: every ledger row, each once, in lane order."""

from collections.abc import Sequence

from aiokafka import ConsumerRecord
from faststream.kafka import KafkaRouter
from faststream.kafka.annotations import KafkaMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber
from sqlalchemy.ext.asyncio import AsyncConnection

from metrics_service import domain, repository
from metrics_service.settings import Settings
from shared.broker import BrokerOptions, batches
from shared.contracts.events import LedgerEvent
from shared.contracts.topics import LEDGER_EVENTS
from shared.inbox import LedgerInbox
from shared.progress import Progress
from shared.telemetry import Metrics

GROUP = "metrics_service"


def router(
    settings: Settings, options: BrokerOptions, *, inbox: LedgerInbox, progress: Progress, metrics: Metrics
) -> KafkaRouter:
    """The subscriber of the ledger's events."""
    kafka = KafkaRouter()

    subscriber: BatchSubscriber = kafka.subscriber(
        options.topic(LEDGER_EVENTS), **batches(options, GROUP, max_records=settings.metrics_batch_records)
    )

    @subscriber
    async def ledger_events(message: KafkaMessage) -> None:
        batch: tuple[ConsumerRecord, ...] = message.raw_message
        metrics.batch_records.labels(LEDGER_EVENTS).observe(len(batch))
        with progress.batch(), metrics.batch_s.labels(LEDGER_EVENTS).time():
            await inbox.take(batch)

    return kafka


async def apply(connection: AsyncConnection, events: Sequence[LedgerEvent]) -> None:
    """How rows change this service's tables, in the transaction that moves its inbox."""
    await repository.save(connection, domain.fold(events))
