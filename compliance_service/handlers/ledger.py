"""Kafka in: every ledger row, each once, in lane order: into the audit log, the audits' figures, exclusions."""

from collections.abc import Sequence

from aiokafka import ConsumerRecord
from faststream.kafka import KafkaRouter
from faststream.kafka.annotations import KafkaMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_service.domain import audit, watching
from compliance_service.handlers import exclusions, play
from compliance_service.repository import figures
from compliance_service.repository.audit import record
from compliance_service.settings import Settings
from shared.broker import BrokerOptions, batches
from shared.clock import Clock
from shared.contracts.events import LedgerEvent
from shared.contracts.topics import LEDGER_EVENTS
from shared.inbox import Apply, LedgerInbox
from shared.progress import Progress
from shared.telemetry import Metrics

GROUP = "compliance_service"


def router(
    settings: Settings, options: BrokerOptions, *, inbox: LedgerInbox, progress: Progress, metrics: Metrics
) -> KafkaRouter:
    """The subscriber of the ledger's events."""
    kafka = KafkaRouter()

    subscriber: BatchSubscriber = kafka.subscriber(
        options.topic(LEDGER_EVENTS), **batches(options, GROUP, max_records=settings.compliance_batch_records)
    )

    @subscriber
    async def ledger_events(message: KafkaMessage) -> None:
        batch: tuple[ConsumerRecord, ...] = message.raw_message
        metrics.batch_records.labels(LEDGER_EVENTS).observe(len(batch))
        with progress.batch(), metrics.batch_s.labels(LEDGER_EVENTS).time():
            await inbox.take(batch)

    return kafka


def applying(settings: Settings, clock: Clock) -> Apply:
    """How rows change this service's tables, in the transaction that moves its inbox."""
    thresholds, rules = settings.thresholds(), settings.play_rules()

    async def apply(connection: AsyncConnection, events: Sequence[LedgerEvent]) -> None:
        await figures.save(connection, watching.watched(events, thresholds))
        await exclusions.apply(connection, events)
        await play.apply(connection, events, rules, clock())
        # The log's head is locked last, for the shortest time.
        await record(connection, *audit.of_ledger(events))

    return apply
