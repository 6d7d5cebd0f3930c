"""The sandbox's composition root: `uvicorn --factory ops.sandbox.app:create_app`. For development and tests alone."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Any, Literal
from uuid import UUID

import httpx2
from fastapi import APIRouter, Depends, FastAPI, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel
from starlette.requests import Request as HttpRequest

from ops.sandbox import reports
from ops.sandbox.books import Books
from ops.sandbox.courier import Courier
from ops.sandbox.desk import Desk
from ops.sandbox.models import Direction, Faults, Outcome, Payment, Request
from ops.sandbox.settings import SandboxSettings
from ops.sandbox.signing import CERTIFICATE_PATH, Signer
from shared import logs, problems
from shared.errors import Unauthenticated

WEBHOOK_TIMEOUT_S = 10.0

_DISPUTED = (Outcome.CHARGED_BACK, Outcome.REINSTATED)


class Settlement(BaseModel):
    """How a payment is to end."""

    outcome: Outcome


def create_app(settings: SandboxSettings | None = None, clock: Callable[[], float] = time.time) -> FastAPI:
    """The application. Without settings they come from the environment; a wrong one raises ConfigurationError."""
    settings = settings or SandboxSettings.load()
    logs.configure("sandbox", "INFO", "json")
    books = Books(settings.sandbox_file)
    desk = Desk(books, clock)
    signer = Signer(
        settings.sandbox_webhook_secret.get_secret_value(),
        settings.sandbox_certificate_key.get_secret_value(),
        settings.sandbox_webhook_id,
        settings.sandbox_url,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with httpx2.AsyncClient(timeout=WEBHOOK_TIMEOUT_S, trust_env=False) as client:
            url, retry_s = settings.sandbox_webhook_url, settings.sandbox_retry_s
            courier = Courier(books, client, signer, url=url, retry_s=retry_s, clock=clock)
            running = asyncio.create_task(courier.run())
            try:
                yield
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
                books.close()

    app = FastAPI(title="sandbox", lifespan=lifespan, openapi_url=None)
    problems.install(app)
    checks = [Depends(_known_only(settings.sandbox_api_token.get_secret_value()))]
    app.include_router(_payments(desk, books), dependencies=checks)
    app.include_router(_control(desk, books), dependencies=checks)
    app.include_router(_reading(books), dependencies=checks)

    @app.get("/health/live")
    @app.get("/health/ready")
    async def health() -> dict[str, str]:
        return {"status": "alive"}

    @app.get(CERTIFICATE_PATH, response_class=PlainTextResponse)
    async def certificate() -> str:
        return settings.sandbox_certificate

    return app


def _known_only(token: str) -> Callable[[HttpRequest], Awaitable[None]]:
    expected = f"Bearer {token}".encode()

    async def check(request: HttpRequest) -> None:
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), expected):
            raise Unauthenticated("SANDBOX_API_TOKEN is needed")

    return check


def _payments(desk: Desk, books: Books) -> APIRouter:
    router = APIRouter(prefix="/v1")

    def carry_out(direction: Direction, request: Request) -> Response:
        faults = books.faults()
        # Anew for each try, so that one that is refused can be asked again.
        chance = desk.chance(faults, str(time.monotonic_ns()))
        if chance.random() < faults.refuse:
            return JSONResponse({"status": "not done"}, HTTPStatus.SERVICE_UNAVAILABLE)
        payment = desk.take(direction, request)
        if chance.random() < faults.no_answer:
            return JSONResponse({"status": "who knows"}, HTTPStatus.INTERNAL_SERVER_ERROR)
        return JSONResponse(_shown(payment), HTTPStatus.CREATED)

    @router.post("/deposits")
    async def deposit(request: Request) -> Response:
        return carry_out(Direction.DEPOSIT, request)

    @router.post("/payouts")
    async def payout(request: Request) -> Response:
        return carry_out(Direction.WITHDRAWAL, request)

    @router.post("/refunds")
    async def refund(request: Request) -> Response:
        return carry_out(Direction.REFUND, request)

    @router.get("/payments/{payment_id}")
    async def look_up(payment_id: UUID) -> dict[str, Any]:
        return _shown(desk.find(str(payment_id)))

    return router


def _control(desk: Desk, books: Books) -> APIRouter:
    router = APIRouter(prefix="/control")

    @router.get("/faults")
    async def faults() -> Faults:
        return books.faults()

    @router.put("/faults")
    async def plan(faults: Faults) -> Faults:
        books.plan(faults)
        return faults

    @router.post("/payments/{payment_id}")
    async def settle(payment_id: UUID, wanted: Settlement) -> dict[str, Any]:
        return _shown(desk.settle(str(payment_id), wanted.outcome))

    @router.post("/payments/{payment_id}/webhooks")
    async def tell_again(payment_id: UUID) -> dict[str, Any]:
        return _shown(desk.tell_again(str(payment_id)))

    @router.get("/webhooks")
    async def webhooks() -> dict[str, int]:
        return {"waiting": books.waiting()}

    return router


def _reading(books: Books) -> APIRouter:
    router = APIRouter()

    @router.get("/books")
    async def everything() -> list[dict[str, Any]]:
        return [_shown(payment) for payment in books.all(0, 2**40)]

    @router.get("/reports/{form}/{day}", response_class=PlainTextResponse)
    async def report(form: Literal["stripe", "paypal"], day: date, currency: str | None = None) -> PlainTextResponse:
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        end = start + timedelta(days=1)
        found = books.settled(start.timestamp(), end.timestamp())
        settled = [payment for payment in found if currency in (None, payment.currency)]
        later = books.moved(start.timestamp(), end.timestamp())
        moved = [each for each in later if currency in (None, each.payment.currency)]
        text = reports.as_stripe(settled, moved) if form == "stripe" else reports.as_paypal(settled, moved, start, end)
        return PlainTextResponse(text, media_type="text/csv")

    return router


def _shown(payment: Payment) -> dict[str, Any]:
    # Nothing of what is disputed has gone back: it is all of it.
    disputed_minor = payment.amount_minor if payment.outcome in _DISPUTED else None
    return payment._asdict() | {"disputed_minor": disputed_minor}
