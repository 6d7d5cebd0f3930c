"""Kafka in: every ledger row, each once, in lane order."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from aiokafka import ConsumerRecord
from faststream.kafka import KafkaRouter
from faststream.kafka.annotations import KafkaMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber
from sqlalchemy.ext.asyncio import AsyncConnection

from metrics_service.domain.fold import fold
from metrics_service.handlers.restating import restating
from metrics_service.repository import totals
from metrics_service.settings import Settings
from shared.broker import BrokerOptions, batches
from shared.clock import Clock
from shared.contracts.events import LedgerEvent
from shared.contracts.topics import LEDGER_EVENTS
from shared.inbox import Apply, LedgerInbox
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


def applying(zone: ZoneInfo, clock: Clock) -> Apply:
    """How rows change this service's tables, in the transaction that moves its inbox."""

    async def apply(connection: AsyncConnection, events: Sequence[LedgerEvent]) -> None:
        increments = fold(events, zone)
        causes = {
            day: f"ledger row: lane {at.lane}, position {at.position}" for day, at in sorted(increments.named.items())
        }
        async with restating(connection, causes, clock):
            await totals.save(connection, increments)

    return apply
