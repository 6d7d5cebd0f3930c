"""Kafka in: every ledger row, each once, in lane order; those that moved a provider's clearing account are kept."""

from faststream.kafka import KafkaRouter

from shared.broker import BrokerOptions
from shared.contracts.topics import LEDGER_EVENTS
from shared.inbox import LedgerInbox
from shared.progress import Progress
from shared.subscriber import batch_router
from shared.telemetry import Metrics

GROUP = "payments_service"
MAX_RECORDS = 500


def router(options: BrokerOptions, *, inbox: LedgerInbox, progress: Progress, metrics: Metrics) -> KafkaRouter:
    """The subscriber of the ledger's events."""
    return batch_router(
        options,
        GROUP,
        LEDGER_EVENTS,
        max_records=MAX_RECORDS,
        take=inbox.take,
        progress=progress,
        metrics=metrics,
    )
