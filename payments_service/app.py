"""The payments service's composition root: `uvicorn --factory payments_service.app:create_app`."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import httpx2
from fastapi import APIRouter, FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from payments_service import tables
from payments_service.domain.ports import ReportSource
from payments_service.endpoints import payments as payment_endpoints
from payments_service.endpoints import settlement as settlement_endpoints
from payments_service.endpoints.desk import PaymentDesk
from payments_service.handlers import ledger
from payments_service.handlers.prompt import PromptAttendant
from payments_service.handlers.providers import choice
from payments_service.handlers.queue import Queue
from payments_service.handlers.settlement import Settlement
from payments_service.handlers.wallet import FraudScores, KafkaWallet
from payments_service.handlers.webhooks import EventsTaken
from payments_service.handlers.worker import PaymentWorker
from payments_service.repository.ledger import apply
from payments_service.settings import Settings
from shared import broker, clock, database, journal, migrations, service, tracing
from shared.asking import WalletAsker
from shared.broker import BrokerOptions, Publisher
from shared.contracts.topics import LEDGER_EVENTS, PAYMENTS_EVENTS
from shared.inbox import LedgerInbox
from shared.outbox import Outbox
from shared.progress import Progress
from shared.service import Health
from shared.tasks import BackgroundTasks
from shared.telemetry import Metrics

SERVICE = "payments_service"
SOURCE = f"/langsense/{SERVICE}"


class Others(NamedTuple):
    """Who is asked over HTTP, each as it is asked."""

    wallet: httpx2.AsyncClient
    fraud: httpx2.AsyncClient
    providers: httpx2.AsyncClient


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Without settings they come from the environment; a wrong one raises ConfigurationError."""
    settings = settings or Settings.load()
    options = BrokerOptions.of(settings, SERVICE)
    metrics, health, tasks = Metrics(tracing.of(settings, SERVICE)), Health(), BackgroundTasks()
    engine = database.create_engine(
        settings.payments_database_url, application=SERVICE, schema=tables.SCHEMA, metrics=metrics
    )
    token = settings.internal_api_token.get_secret_value()
    others = Others(
        journal.internal_client(settings.wallet_service_url, token, metrics.tracing),
        journal.internal_client(settings.fraud_service_url, token, metrics.tracing),
        httpx2.AsyncClient(timeout=choice.TIMEOUT_S),
    )
    publisher = Publisher(options, linger_ms=0, tracing=metrics.tracing)
    inbox = LedgerInbox(
        engine=engine,
        table=tables.inbox,
        journal=journal.HttpJournal(others.wallet),
        publisher=publisher,
        apply=apply,
        metrics=metrics,
    )
    progress = Progress(options, LEDGER_EVENTS, stalled_after_s=settings.stalled_after_s, metrics=metrics)
    kafka = broker.consumer_broker(options)
    kafka.include_router(ledger.router(options, inbox=inbox, progress=progress, metrics=metrics))
    routers, work = _payments(settings, engine, others, publisher, metrics)
    loops = {
        "inbox": inbox.watch,
        "progress": lambda: progress.watch(lambda: broker.consumer_of(kafka)),
        "outbox": Outbox(engine, publisher, topic=PAYMENTS_EVENTS, source=SOURCE, metrics=metrics).run,
        **work,
    }
    health.alive_while("consumer", progress.problem)
    health.alive_while("tasks", tasks.problem)
    health.ready_when("database", lambda: migrations.check_at_head(engine, SERVICE, tables.SCHEMA))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for close in (engine.dispose, *(other.aclose for other in others)):
                stack.push_async_callback(close)
            await migrations.wait_until_at_head(engine, SERVICE, tables.SCHEMA)
            stack.push_async_callback(publisher.stop)
            await publisher.start()
            stack.push_async_callback(kafka.stop)
            await broker.start_consumers(kafka)
            stack.push_async_callback(tasks.stop)
            for name, loop in loops.items():
                tasks.start(name, loop())
            yield

    return service.application(
        SERVICE, settings, health=health, metrics=metrics, lifespan=lifespan, routers=routers, openapi_url=None
    )


def _payments(
    settings: Settings,
    engine: AsyncEngine,
    others: Others,
    publisher: Publisher,
    metrics: Metrics,
) -> tuple[tuple[APIRouter, ...], dict[str, Callable[[], Coroutine[Any, Any, None]]]]:
    """What is asked of payments over HTTP, and what they do by themselves, by name."""
    by_name = choice.providers(settings, others.providers, clock.utc_now)
    reporting: dict[str, ReportSource] = {
        name: provider for name, provider in by_name.items() if isinstance(provider, ReportSource)
    }
    worker = PaymentWorker(
        engine,
        by_name,
        wallet=KafkaWallet(WalletAsker(publisher, others.wallet, source=SOURCE), others.wallet),
        risk=FraudScores(others.fraud),
        review_from=settings.review_from(),
        disabled=settings.payment_service_disabled,
        clock=clock.utc_now,
        metrics=metrics,
    )
    queue = Queue(
        engine,
        worker,
        disabled=settings.payment_service_disabled,
        release_per_s=settings.payment_release_per_s,
        window_s=settings.alarm_window_s,
        clock=clock.utc_now,
        metrics=metrics,
    )
    settlement = Settlement(engine, reporting, clock.utc_now)
    prompt = PromptAttendant(worker)
    desk = PaymentDesk(engine, by_name, prompt, clock.utc_now, settings.payment_completers, settings.payment_reviewers)
    inbound = EventsTaken(engine, clock.utc_now)
    routers = (
        payment_endpoints.router(settings, desk),
        payment_endpoints.acts(settings, desk),
        payment_endpoints.webhooks(settings, by_name, inbound, worker, metrics, clock.utc_now),
        settlement_endpoints.router(settings, engine, settlement, clock.utc_now),
    )
    return routers, {
        "payments": worker.run,
        "payments_begun": prompt.run,
        "payments_queue": queue.run,
        "settlement": settlement.run,
    }
