"""HTTP in: payments asked for, read, completed and reviewed; the kill switch; providers' webhooks."""

from collections.abc import Mapping, Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from payments_service.domain.ports import Attendant, Direction, Inbound, Provider
from payments_service.endpoints.desk import PaymentDesk, view
from payments_service.repository import desk as switches
from payments_service.repository import payments as kept
from payments_service.settings import Settings
from shared import database
from shared.clock import Clock
from shared.contracts.fields import MAX_INT64
from shared.contracts.payments import (
    AskedAvailability,
    AskedCancellation,
    AskedCompletion,
    AskedPayment,
    AskedRefund,
    AskedReview,
    AvailabilityView,
    PaymentDetail,
    PaymentView,
    WebhookTaken,
)
from shared.errors import LangSenseError, NotFound
from shared.service import internal_only
from shared.telemetry import Metrics

MAX_PAGE_ROWS = 1000


def router(settings: Settings, desk: PaymentDesk) -> APIRouter:
    """The endpoints of payments."""
    api = APIRouter(prefix="/payments", dependencies=[Depends(internal_only(settings))])

    @api.post("/deposits", summary="Take money from a player")
    async def post_deposit(asked: AskedPayment) -> Sequence[PaymentView]:
        return await desk.begin(Direction.DEPOSIT, asked)

    @api.post("/withdrawals", summary="Send money to a player, back to where it came from first")
    async def post_withdrawal(asked: AskedPayment) -> Sequence[PaymentView]:
        return await desk.begin(Direction.WITHDRAWAL, asked)

    @api.get("/availability", summary="Every switch, as it was turned last")
    async def get_availability() -> Sequence[AvailabilityView]:
        async with database.reading(desk.engine) as connection:
            rows = await switches.all_switches(connection)
        return [AvailabilityView.model_validate(dict(row._mapping)) for row in rows]

    @api.put("/availability", summary="Turn a switch")
    async def put_availability(asked: AskedAvailability) -> Sequence[AvailabilityView]:
        await desk.switch(asked)
        return await get_availability()

    @api.get("/{payment_id}", summary="A payment, its parts, and how it came to stand where it stands")
    async def get_payment(payment_id: UUID) -> PaymentDetail:
        return await desk.detail(payment_id)

    @api.get("", summary="Payments, the newest first")
    async def get_payments(
        user_id: Annotated[int | None, Query(ge=1, le=MAX_INT64)] = None,
        status: str | None = None,
        waits_for: str | None = None,
        before: Annotated[int | None, Query(ge=1)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = 50,
    ) -> Sequence[PaymentView]:
        async with database.reading(desk.engine) as connection:
            found = await kept.page(
                connection, user_id=user_id, status=status, waits_for=waits_for, before=before, limit=limit
            )
        return [view(payment, number) for number, payment in found]

    return api


def acts(settings: Settings, desk: PaymentDesk) -> APIRouter:
    """What is done with a payment from outside, once it is there."""
    api = APIRouter(prefix="/payments", dependencies=[Depends(internal_only(settings))])

    @api.post("/{payment_id}/completion", summary="Say what became of a payment, in its provider's place")
    async def post_completion(payment_id: UUID, asked: AskedCompletion) -> PaymentDetail:
        await desk.complete(payment_id, asked)
        return await desk.detail(payment_id)

    @api.post("/{payment_id}/review", summary="Let a payment that waits for it go on, or not")
    async def post_review(payment_id: UUID, asked: AskedReview) -> PaymentDetail:
        await desk.review(payment_id, asked)
        return await desk.detail(payment_id)

    @api.post("/{payment_id}/cancellation", summary="Give up a deposit that waits in the queue")
    async def post_cancellation(payment_id: UUID, asked: AskedCancellation) -> PaymentDetail:
        await desk.cancel(payment_id, asked)
        return await desk.detail(payment_id)

    @api.post("/{payment_id}/refund", summary="Send some of a deposit back to where it came from, or all")
    async def post_refund(payment_id: UUID, asked: AskedRefund) -> Sequence[PaymentView]:
        return await desk.refund(payment_id, asked)

    return api


def webhooks(
    settings: Settings,
    providers: Mapping[str, Provider],
    inbound: Inbound,
    attendant: Attendant,
    metrics: Metrics,
    clock: Clock,
) -> APIRouter:
    """The endpoint of providers' webhooks."""
    api = APIRouter(dependencies=[Depends(internal_only(settings))])

    @api.post("/webhooks/{provider}", summary="What a provider says: kept before it is answered")
    async def post_webhook(provider: str, request: Request) -> WebhookTaken:
        source = providers.get(provider)
        if source is None:
            raise NotFound("there is no such provider")
        try:
            said = await source.read_webhook(request.headers, await request.body(), clock())
        except LangSenseError as error:
            metrics.webhooks.labels(provider, error.code).inc()
            raise
        became = await inbound.take(provider, said)
        for what in became:
            metrics.webhooks.labels(provider, what).inc()
        attendant.wake()
        duplicates = became.count("duplicate")
        return WebhookTaken(taken=len(became) - duplicates, duplicates=duplicates)

    return api
