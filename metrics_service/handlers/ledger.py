"""Kafka in: every ledger row, each once, in lane order."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from faststream.kafka import KafkaRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from metrics_service.domain.fold import fold
from metrics_service.handlers.restating import restating
from metrics_service.repository import totals
from metrics_service.settings import Settings
from shared.broker import BrokerOptions
from shared.clock import Clock
from shared.contracts.events import LedgerEvent
from shared.contracts.topics import LEDGER_EVENTS
from shared.inbox import Apply, LedgerInbox
from shared.progress import Progress
from shared.subscriber import batch_router
from shared.telemetry import Metrics

GROUP = "metrics_service"


def router(
    settings: Settings, options: BrokerOptions, *, inbox: LedgerInbox, progress: Progress, metrics: Metrics
) -> KafkaRouter:
    """The subscriber of the ledger's events."""
    return batch_router(
        options,
        GROUP,
        LEDGER_EVENTS,
        max_records=settings.metrics_batch_records,
        take=inbox.take,
        progress=progress,
        metrics=metrics,
    )


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
