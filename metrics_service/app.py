"""The metrics service's composition root: `uvicorn --factory metrics_service.app:create_app`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from metrics_service import endpoints, handlers, tables
from metrics_service.repository import Reads
from metrics_service.settings import Settings
from shared import broker, database, journal, migrations, service
from shared.broker import BrokerOptions, Publisher
from shared.contracts.topics import LEDGER_EVENTS
from shared.inbox import LedgerInbox
from shared.progress import Progress
from shared.service import Health
from shared.tasks import BackgroundTasks
from shared.telemetry import Metrics

SERVICE = "metrics_service"


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Without settings they come from the environment; a wrong one raises ConfigurationError."""
    settings = settings or Settings.load()
    options = BrokerOptions.of(settings, SERVICE)
    metrics, health, tasks = Metrics(), Health(), BackgroundTasks()
    engine = database.create_engine(
        settings.metrics_database_url, application=SERVICE, schema=tables.SCHEMA, metrics=metrics
    )
    wallet = journal.internal_client(settings.wallet_service_url, settings.internal_api_token.get_secret_value())
    publisher = Publisher(options)
    inbox = LedgerInbox(
        engine=engine,
        table=tables.inbox,
        journal=journal.HttpJournal(wallet),
        publisher=publisher,
        apply=handlers.apply,
        metrics=metrics,
    )
    progress = Progress(options, LEDGER_EVENTS, stalled_after_s=settings.stalled_after_s, metrics=metrics)
    kafka = broker.consumer_broker(options)
    kafka.include_router(handlers.router(settings, options, inbox=inbox, progress=progress, metrics=metrics))

    health.alive_while("consumer", progress.problem)
    health.alive_while("tasks", tasks.problem)
    health.ready_when("database", lambda: migrations.check_at_head(engine, SERVICE, tables.SCHEMA))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(engine.dispose)
            stack.push_async_callback(wallet.aclose)
            await migrations.wait_until_at_head(engine, SERVICE, tables.SCHEMA)
            stack.push_async_callback(publisher.stop)
            await publisher.start()
            stack.push_async_callback(kafka.stop)
            await broker.start_consumers(kafka)
            stack.push_async_callback(tasks.stop)
            tasks.start("inbox", inbox.watch())
            tasks.start("progress", progress.watch(lambda: broker.consumer_of(kafka)))
            yield

    return service.application(
        SERVICE,
        settings,
        health=health,
        metrics=metrics,
        lifespan=lifespan,
        routers=(endpoints.router(settings, Reads(engine)),),
        openapi_url=None,
    )
