"""Kafka in: every ledger row, each once, in lane order; those that moved a provider's clearing account are kept."""

from aiokafka import ConsumerRecord
from faststream.kafka import KafkaRouter
from faststream.kafka.annotations import KafkaMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber

from shared.broker import BrokerOptions, batches
from shared.contracts.topics import LEDGER_EVENTS
from shared.inbox import LedgerInbox
from shared.progress import Progress
from shared.telemetry import Metrics

GROUP = "payments_service"
MAX_RECORDS = 500


def router(options: BrokerOptions, *, inbox: LedgerInbox, progress: Progress, metrics: Metrics) -> KafkaRouter:
    """The subscriber of the ledger's events."""
    kafka = KafkaRouter()

    subscriber: BatchSubscriber = kafka.subscriber(
        options.topic(LEDGER_EVENTS), **batches(options, GROUP, max_records=MAX_RECORDS)
    )

    @subscriber
    async def ledger_events(message: KafkaMessage) -> None:
        batch: tuple[ConsumerRecord, ...] = message.raw_message
        metrics.batch_records.labels(LEDGER_EVENTS).observe(len(batch))
        with progress.batch(), metrics.batch_s.labels(LEDGER_EVENTS).time():
            await inbox.take(batch)

    return kafka
