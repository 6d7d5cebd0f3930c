"""Kafka in: every ledger row, each once, in lane order: into the audit log, the audits' figures, exclusions."""

from collections.abc import Sequence

from faststream.kafka import KafkaRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_service.domain import audit, watching
from compliance_service.handlers import exclusions, play
from compliance_service.repository import figures
from compliance_service.repository.audit import record
from compliance_service.settings import Settings
from shared.broker import BrokerOptions
from shared.clock import Clock
from shared.contracts.events import LedgerEvent
from shared.contracts.topics import LEDGER_EVENTS
from shared.inbox import Apply, LedgerInbox
from shared.progress import Progress
from shared.subscriber import batch_router
from shared.telemetry import Metrics

GROUP = "compliance_service"


def router(
    settings: Settings, options: BrokerOptions, *, inbox: LedgerInbox, progress: Progress, metrics: Metrics
) -> KafkaRouter:
    """The subscriber of the ledger's events."""
    return batch_router(
        options,
        GROUP,
        LEDGER_EVENTS,
        max_records=settings.compliance_batch_records,
        take=inbox.take,
        progress=progress,
        metrics=metrics,
    )


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
