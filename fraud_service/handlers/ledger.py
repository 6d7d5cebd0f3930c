"""Kafka in: every ledger row, each once, in lane order."""

from collections.abc import Sequence

from aiokafka import ConsumerRecord
from faststream.kafka import KafkaRouter
from sqlalchemy.ext.asyncio import AsyncConnection

from fraud_service.domain import observations
from fraud_service.domain import velocity as pace
from fraud_service.handlers import blocking
from fraud_service.handlers.scorer import Scorer
from fraud_service.repository import velocity
from fraud_service.settings import Settings
from shared.broker import BrokerOptions
from shared.clock import Clock
from shared.contracts.events import LedgerEvent
from shared.contracts.topics import LEDGER_EVENTS
from shared.inbox import Apply, LedgerInbox
from shared.progress import Progress
from shared.subscriber import batch_router
from shared.telemetry import Metrics

GROUP = "fraud_service"


def router(
    settings: Settings,
    options: BrokerOptions,
    *,
    inbox: LedgerInbox,
    scorer: Scorer,
    progress: Progress,
    metrics: Metrics,
) -> KafkaRouter:
    """The subscriber of the ledger's events."""

    async def take(records: Sequence[ConsumerRecord]) -> None:
        await inbox.take(records)
        await scorer.settle()

    return batch_router(
        options,
        GROUP,
        LEDGER_EVENTS,
        max_records=settings.fraud_batch_records,
        take=take,
        progress=progress,
        metrics=metrics,
    )


def applying(settings: Settings, scorer: Scorer, metrics: Metrics, clock: Clock) -> Apply:
    """How rows change this service's tables, in the transaction that moves its inbox."""

    async def apply(connection: AsyncConnection, events: Sequence[LedgerEvent]) -> None:
        increments = pace.fold(events)
        await velocity.save(connection, increments, keep_since=increments.latest - settings.retention)
        await scorer.apply(connection, observations.of_ledger(events))
        await blocking.apply(connection, events, clock)
        now = clock()
        for event in events:
            metrics.detection_s.observe(max((now - event.created_at).total_seconds(), 0))

    return apply
