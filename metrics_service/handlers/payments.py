"""Kafka in: what providers ask for each payment. Told twice, or in another order, a fee counts once."""

from collections.abc import Mapping, Sequence
from datetime import date
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from aiokafka import ConsumerRecord
from faststream.kafka import KafkaRouter
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from metrics_service.handlers.restating import restating
from metrics_service.repository import fees
from metrics_service.repository.fees import ToldFee
from metrics_service.settings import Settings
from shared import database, delivery
from shared.broker import BrokerOptions, Publisher
from shared.clock import Clock
from shared.contracts import headers
from shared.contracts.commands import field_errors
from shared.contracts.fees import PaymentFee
from shared.contracts.topics import PAYMENTS_EVENTS
from shared.errors import FieldError, Undecodable
from shared.figures import rules
from shared.progress import Progress
from shared.subscriber import batch_router
from shared.telemetry import Metrics

GROUP = "metrics_service.payments"
ATTEMPTS = 6


def router(
    settings: Settings, options: BrokerOptions, taking: "ProviderFees", *, progress: Progress, metrics: Metrics
) -> KafkaRouter:
    """The subscriber of payments' events."""
    return batch_router(
        options,
        GROUP,
        PAYMENTS_EVENTS,
        max_records=settings.metrics_batch_records,
        take=taking.take,
        progress=progress,
        metrics=metrics,
    )


class ProviderFees:
    """Takes payments' events that name a fee. It counts on the day of its event, in the platform's time zone."""

    def __init__(
        self, engine: AsyncEngine, publisher: Publisher, zone: ZoneInfo, metrics: Metrics, clock: Clock
    ) -> None:
        self._engine = engine
        self._publisher = publisher
        self._zone = zone
        self._metrics = metrics
        self._clock = clock

    async def take(self, records: Sequence[ConsumerRecord]) -> None:
        """Apply a batch. Raises a TransientError when it has to come again."""
        told: list[ToldFee] = []
        for record in records:
            try:
                fee = _fee(record)
            except Undecodable as error:
                await delivery.park(self._publisher, PAYMENTS_EVENTS, record, error)
                self._metrics.parked.labels(PAYMENTS_EVENTS, error.code).inc()
            else:
                if fee is not None:
                    told.append(ToldFee(fee, _event_id(record), rules.hour_of(fee.occurred_at, self._zone)[0]))
        if told:
            await delivery.with_retries(lambda: self._save(told), attempts=ATTEMPTS, what="fees_batch")

    async def _save(self, told: Sequence[ToldFee]) -> None:
        async with database.transaction(self._engine) as connection:
            before = await fees.days_of(connection, [each.fee.payment_id for each in told])
            async with restating(connection, _causes(told, before), self._clock):
                await fees.save(connection, told)


def _causes(told: Sequence[ToldFee], before: Mapping[UUID, date]) -> Mapping[date, str]:
    """The days that change, and by which payment: a newer fee may leave the day of an older one."""
    causes: dict[date, str] = {}
    for each in told:
        for day in (each.day, before.get(each.fee.payment_id, each.day)):
            causes.setdefault(day, f"provider's fee: payment {each.fee.payment_id}")
    return causes


def _fee(record: ConsumerRecord) -> PaymentFee | None:
    """The fee that an event tells of, or None where it tells of none. Raises Undecodable."""
    try:
        body = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError as error:
        raise Undecodable([FieldError("", "is not JSON")]) from error
    if not isinstance(body, dict) or body.get("fee_minor") is None:
        return None
    try:
        return PaymentFee.model_validate({"occurred_at": headers.find(record.headers, "ce_time")} | body)
    except ValidationError as error:
        raise Undecodable(field_errors(error)) from error


def _event_id(record: ConsumerRecord) -> str:
    return headers.find(record.headers, "ce_id") or f"{record.partition}/{record.offset}"
