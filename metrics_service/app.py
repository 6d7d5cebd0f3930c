"""The metrics service's composition root: `uvicorn --factory metrics_service.app:create_app`."""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import FastAPI
from faststream.kafka import KafkaBroker
from sqlalchemy.ext.asyncio import AsyncEngine

from metrics_service import tables
from metrics_service.endpoints import figures
from metrics_service.endpoints import reports as report_endpoints
from metrics_service.handlers import ledger, payments
from metrics_service.handlers.closing import Closing, check_time_zone
from metrics_service.handlers.payments import ProviderFees
from metrics_service.handlers.schedule import Schedule, Way
from metrics_service.handlers.sending import Bucket, Folder, Mail
from metrics_service.handlers.watching import Watching
from metrics_service.repository.reports import ReportKeys, Reports
from metrics_service.settings import Settings
from shared import broker, clock, database, journal, keyring, migrations, service, tracing
from shared.broker import BrokerOptions, Publisher
from shared.contracts.topics import LEDGER_EVENTS, METRICS_EVENTS, PAYMENTS_EVENTS
from shared.inbox import LedgerInbox
from shared.journal import HttpJournal
from shared.keyring import REPORT_KEYS
from shared.outbox import Outbox
from shared.progress import Progress
from shared.service import Health
from shared.tasks import BackgroundTasks
from shared.telemetry import Metrics

SERVICE = "metrics_service"
SOURCE = f"/langsense/{SERVICE}"
Loop = Callable[[], Coroutine[Any, Any, None]]


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Without settings they come from the environment; a wrong one raises ConfigurationError."""
    settings = settings or Settings.load()
    key_source = keyring.source_of(settings, REPORT_KEYS)
    keys = ReportKeys(*key_source.read())
    options, zone = BrokerOptions.of(settings, SERVICE), settings.figures_time_zone
    metrics, health, tasks = Metrics(tracing.of(settings, SERVICE)), Health(), BackgroundTasks()
    dsn = settings.metrics_database_url
    engine = database.create_engine(dsn, application=SERVICE, schema=tables.SCHEMA, metrics=metrics)
    wallet = journal.service_client(settings, settings.wallet_service_url, metrics.tracing)
    publisher = Publisher(options, tracing=metrics.tracing)
    inbox = _inbox(engine, HttpJournal(wallet), publisher, zone, metrics)
    reports = Reports(engine, zone, keys, clock.utc_now)
    progress = {
        topic: Progress(options, topic, stalled_after_s=settings.stalled_after_s, metrics=metrics)
        for topic in (LEDGER_EVENTS, PAYMENTS_EVENTS)
    }
    consumers = _consumers(settings, options, engine, inbox, publisher, progress, metrics)
    closing = Closing(settings, engine=engine, inbox=inbox, journal=HttpJournal(wallet), clock=clock.utc_now)
    loops: Mapping[str, Loop] = {
        "inbox": inbox.watch,
        "closing": closing.run,
        "reports": _schedule(settings, engine, reports, metrics).run,
        "outbox": Outbox(engine, publisher, topic=METRICS_EVENTS, source=SOURCE, metrics=metrics).run,
        "watching": Watching(settings, engine, metrics, clock.utc_now).run,
        "keys": partial(keyring.follow, key_source, settings.keys_look_every_s, keys.take),
    }
    health.alive_while("consumer", progress[LEDGER_EVENTS].problem)
    health.alive_while("payments", progress[PAYMENTS_EVENTS].problem)
    health.alive_while("tasks", tasks.problem)
    health.ready_when("database", lambda: migrations.check_at_head(engine, SERVICE, tables.SCHEMA))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(engine.dispose)
            stack.push_async_callback(wallet.aclose)
            await migrations.wait_until_at_head(engine, SERVICE, tables.SCHEMA)
            await check_time_zone(engine, zone)
            stack.push_async_callback(publisher.stop)
            await publisher.start()
            for kafka in consumers.values():
                stack.push_async_callback(kafka.stop)
                await broker.start_consumers(kafka)
            stack.push_async_callback(tasks.stop)
            for name, loop in loops.items():
                tasks.start(name, loop())
            for topic, kafka in consumers.items():
                tasks.start(f"progress of {topic}", progress[topic].watch(partial(broker.consumer_of, kafka)))
            yield

    return service.application(
        SERVICE,
        settings,
        health=health,
        metrics=metrics,
        lifespan=lifespan,
        routers=(figures.router(settings, engine), report_endpoints.router(settings, reports)),
        openapi_url=None,
    )


def _inbox(
    engine: AsyncEngine, wallet: HttpJournal, publisher: Publisher, zone: ZoneInfo, metrics: Metrics
) -> LedgerInbox:
    apply = ledger.applying(zone, clock.utc_now)
    return LedgerInbox(
        engine=engine, table=tables.inbox, journal=wallet, publisher=publisher, apply=apply, metrics=metrics
    )


def _schedule(settings: Settings, engine: AsyncEngine, reports: Reports, metrics: Metrics) -> Schedule:
    return Schedule(
        settings, engine=engine, reports=reports, ways=_ways(settings), clock=clock.utc_now, metrics=metrics
    )


def _ways(settings: Settings) -> Mapping[str, Way]:
    """The ways that the settings name."""
    ways: dict[str, Way] = {}
    if settings.smtp_host is not None:
        ways["email"] = Mail(settings, settings.report_formats)
    if settings.report_folder is not None:
        ways["folder"] = Folder(settings.report_folder, settings.report_formats)
    if settings.report_bucket is not None:
        ways["bucket"] = Bucket(settings, settings.report_formats)
    return ways


def _consumers(
    settings: Settings,
    options: BrokerOptions,
    engine: AsyncEngine,
    inbox: LedgerInbox,
    publisher: Publisher,
    progress: Mapping[str, Progress],
    metrics: Metrics,
) -> Mapping[str, KafkaBroker]:
    """The ledger's consumer, and one of payments, so that the ledger waits for nothing."""
    fees = ProviderFees(engine, publisher, settings.figures_time_zone, metrics, clock.utc_now)
    routers = {
        LEDGER_EVENTS: ledger.router(settings, options, inbox=inbox, progress=progress[LEDGER_EVENTS], metrics=metrics),
        PAYMENTS_EVENTS: payments.router(settings, options, fees, progress=progress[PAYMENTS_EVENTS], metrics=metrics),
    }
    consumers = {topic: broker.consumer_broker(options) for topic in routers}
    for topic, kafka in consumers.items():
        kafka.include_router(routers[topic])
    return consumers
