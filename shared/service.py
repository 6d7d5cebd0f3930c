"""What every service's application has: health, metrics, problem documents, a bound on bodies, an id per request."""

import hmac
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from typing import Any
from uuid import uuid4

import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.telemetry import TelemetryConfig
from starlette.requests import Request as StarletteRequest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import logs, problems, vitals
from shared.contracts.headers import TRACEPARENT
from shared.contracts.headers import trace_id as trace_id_of
from shared.errors import LangSenseError, OversizedWebhook, TooLarge, Unauthenticated
from shared.settings import ServiceSettings
from shared.tasks import BackgroundTasks
from shared.telemetry import Metrics

log = logs.get(__name__)

MAX_BODY_BYTES = 1024 * 1024
_WEBHOOKS = "/webhooks/"
_REQUEST_ID = b"x-request-id"
_TRACEPARENT = TRACEPARENT.encode()
_HEADERS = "headers_of_answer"
_REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._-]{1,64}")

_NO_TELEMETRY = TelemetryConfig(tracing=False, metrics=False, logs=False, auto_configure=False)

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
LiveCheck = Callable[[], str | None]
ReadyCheck = Callable[[], Awaitable[None]]


class Health:
    """What the application needs to be alive and to be ready.

    Alive: its own loops make progress; a check returns what is wrong, or None. Not alive means: restart it.
    Ready: what it depends on answers; a check raises one of our errors otherwise. Not ready means: send no traffic.
    """

    def __init__(self) -> None:
        self._live: dict[str, LiveCheck] = {}
        self._ready: dict[str, ReadyCheck] = {}

    def alive_while(self, name: str, check: LiveCheck) -> None:
        """Add a check of liveness."""
        self._live[name] = check

    def ready_when(self, name: str, check: ReadyCheck) -> None:
        """Add a check of readiness."""
        self._ready[name] = check

    def live(self) -> Mapping[str, str | None]:
        """Each check of liveness: None where it holds, else what is wrong."""
        return {name: check() for name, check in self._live.items()}

    async def ready(self) -> Mapping[str, str | None]:
        """Each check of readiness: None where it holds, else what is wrong."""
        found: dict[str, str | None] = {}
        for name, check in self._ready.items():
            try:
                await check()
            except LangSenseError as error:
                found[name] = str(error)
            else:
                found[name] = None
        return found


def application(
    service: str,
    settings: ServiceSettings,
    *,
    health: Health,
    metrics: Metrics,
    lifespan: Lifespan,
    routers: tuple[APIRouter, ...] = (),
    health_prefix: str = "",
    title: str | None = None,
    **fastapi_options: Any,
) -> FastAPI:
    """A FastAPI application with what every service has. `lifespan` starts and stops what this one has of its own."""
    logs.configure(service, settings.log_level, settings.log_format)
    # FastAPI's own traces tell of URLs and of what was wrong in bodies.
    app = FastAPI(
        title=title or service,
        lifespan=_watched(lifespan, metrics, settings.alarm_window_s),
        telemetry=_NO_TELEMETRY,
        **fastapi_options,
    )
    problems.install(app)
    app.add_middleware(Envelope, metrics=metrics, body_bounds=settings.body_bounds)
    # Routes are looked through in this order, and a service's own are asked for more often.
    for router in routers:
        app.include_router(router)
    app.include_router(_health_router(health, metrics, health_prefix))
    return app


def _watched(lifespan: Lifespan, metrics: Metrics, window_s: float) -> Lifespan:
    """The lifespan, with an eye on the event loop and on counts, and the last traces sent off at its end."""

    @asynccontextmanager
    async def watched(app: FastAPI) -> AsyncIterator[None]:
        tasks = BackgroundTasks()
        tasks.start("vitals", vitals.watch_loop(metrics))
        tasks.start("counts", vitals.watch_counts(metrics, window_s))
        try:
            async with lifespan(app):
                yield
        finally:
            await tasks.stop()
            await metrics.tracing.stop()

    return watched


def internal_only(settings: ServiceSettings) -> Callable[[StarletteRequest], Awaitable[None]]:
    """A dependency that lets in only who shows INTERNAL_API_TOKEN: the other services, never the public."""
    expected = f"Bearer {settings.internal_api_token.get_secret_value()}".encode()

    async def check(request: StarletteRequest) -> None:
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), expected):
            raise Unauthenticated("this endpoint is for the platform's own services")

    return check


def _health_router(health: Health, metrics: Metrics, prefix: str) -> APIRouter:
    router = APIRouter(tags=["health"])

    def answer(good: str, bad: str, found: Mapping[str, str | None]) -> JSONResponse:
        failed = any(found.values())
        body = {"status": bad if failed else good, "checks": {name: wrong or "ok" for name, wrong in found.items()}}
        return JSONResponse(body, status_code=503 if failed else 200)

    @router.get(f"{prefix}/health/live", summary="Alive: its loops make progress")
    async def live() -> Response:
        return answer("alive", "stalled", health.live())

    @router.get(f"{prefix}/health/ready", summary="Ready: what it depends on answers")
    async def ready() -> Response:
        return answer("ready", "not ready", await health.ready())

    @router.get("/metrics", include_in_schema=False)
    async def exposition() -> Response:
        return Response(metrics.exposition(), media_type="text/plain; version=0.0.4")

    return router


class Envelope:
    """Around every request: an id (the client's, where it has the form of one), a bound on the body, a duration."""

    def __init__(self, app: ASGIApp, metrics: Metrics, body_bounds: Mapping[str, int] | None = None) -> None:
        self._app = app
        self._metrics = metrics
        self._body_bounds = body_bounds or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(_REQUEST_ID, b"").decode("latin-1")
        request_id = given if _REQUEST_ID_FORM.fullmatch(given) else uuid4().hex
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        started = time.perf_counter()
        status = 500
        received, most = 0, self._most(scope["path"])

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise self._too_large(scope, most)
            return message

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                more = {**state.get(_HEADERS, {}), _REQUEST_ID: request_id.encode()}
                message["headers"] = [*message["headers"], *more.items()]
            await send(message)

        with _logged(request_id, headers), self._metrics.tracing.request(scope) as answered:
            state["logged"] = structlog.contextvars.get_contextvars()
            try:
                announced = headers.get(b"content-length", b"0")
                if announced.isdigit() and int(announced) > most:
                    await problems.of(self._too_large(scope, most))(scope, receive, marked)
                else:
                    await self._app(scope, bounded, marked)
            finally:
                # A client may send any method; an unknown route says nothing about it.
                route = getattr(scope.get("route"), "path", None)
                method = "unmatched" if route is None else scope["method"]
                duration_s = time.perf_counter() - started
                self._metrics.http_requests_s.labels(method, route or "unmatched", status).observe(duration_s)
                answered(method, route or "unmatched", status)

    def _most(self, path: str) -> int:
        bounds = (most for above, most in self._body_bounds.items() if path.startswith(above))
        return next(bounds, MAX_BODY_BYTES)

    def _too_large(self, scope: Scope, most: int) -> TooLarge:
        text = f"the body must be at most {most} bytes"
        if _WEBHOOKS not in scope["path"]:
            return TooLarge(text)
        # A stranger chooses the provider's name, so it is no label.
        self._metrics.webhooks.labels("any", OversizedWebhook.code).inc()
        return OversizedWebhook(text)


def _logged(request_id: str, headers: Mapping[bytes, bytes]) -> AbstractContextManager[Any]:
    """Lines that are logged meanwhile carry the request's id, and that of the trace that it belongs to, if it says so.

    What follows from the request carries its id as the correlation id.
    """
    found = {"correlation_id": request_id}
    if (trace_id := trace_id_of(headers.get(_TRACEPARENT, b"").decode("latin-1"))) is not None:
        found["trace_id"] = trace_id
    return structlog.contextvars.bound_contextvars(**found)


def set_header(request: Request, name: str, value: str) -> None:
    """Put a header on whatever answer this request gets, a problem included."""
    request.scope["state"].setdefault(_HEADERS, {})[name.lower().encode()] = value.encode()


def request_id_of(request: Request) -> str:
    """The id of the request in hand."""
    request_id: str = request.state.request_id
    return request_id
