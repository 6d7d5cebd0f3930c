"""The fraud service's composition root: `uvicorn --factory fraud_service.app:create_app`."""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import httpx2
from fastapi import APIRouter, FastAPI
from faststream.kafka import KafkaBroker
from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service import tables
from fraud_service.endpoints import flags as flag_endpoints
from fraud_service.endpoints import jobs as job_endpoints
from fraud_service.endpoints import monitoring as monitoring_endpoints
from fraud_service.endpoints import rules as rule_endpoints
from fraud_service.endpoints import scores as score_endpoints
from fraud_service.endpoints import snoozes as snooze_endpoints
from fraud_service.endpoints import velocity as velocity_endpoints
from fraud_service.handlers import intake, ledger, waking
from fraud_service.handlers.backtesting import Backtester
from fraud_service.handlers.blocking import Blocking, BlockWorker
from fraud_service.handlers.monitoring import Monitoring
from fraud_service.handlers.reprocessing import Reprocessor
from fraud_service.handlers.retention import Retention
from fraud_service.handlers.rulebook import RuleBook
from fraud_service.handlers.scorer import Scorer
from fraud_service.repository.monitoring import Watched
from fraud_service.repository.players import Players
from fraud_service.repository.velocity import Reads
from fraud_service.settings import Settings
from shared import broker, clock, database, journal, migrations, service, tracing
from shared.asking import WalletAsker
from shared.broker import BrokerOptions, Publisher
from shared.contracts.topics import (
    COMPLIANCE_EVENTS,
    FRAUD_EVENTS,
    GAME_ROUNDS,
    LEDGER_EVENTS,
    PAYMENTS_EVENTS,
    WALLET_COMMANDS,
)
from shared.inbox import LedgerInbox
from shared.outbox import Outbox
from shared.progress import Progress
from shared.service import Health
from shared.subscriber import Take
from shared.tasks import BackgroundTasks
from shared.telemetry import Metrics

SERVICE = "fraud_service"
SOURCE = f"/langsense/{SERVICE}"
# Rounds and signals, as one consumer.
INTAKE = "intake"


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Without settings they come from the environment; a wrong one raises ConfigurationError."""
    settings = settings or Settings.load()
    options = BrokerOptions.of(settings, SERVICE)
    metrics, health, tasks = Metrics(tracing.of(settings, SERVICE)), Health(), BackgroundTasks()
    dsn = settings.fraud_database_url
    engine = database.create_engine(dsn, application=SERVICE, schema=tables.SCHEMA, pool_size=10, metrics=metrics)
    wallet = journal.service_client(settings, settings.wallet_service_url, metrics.tracing)
    publisher = Publisher(options, tracing=metrics.tracing)
    book = RuleBook(engine, metrics, look_every_s=settings.fraud_rules_look_every_s)
    blocking = Blocking(settings.fraud_block_policy, clock.utc_now)
    scorer = Scorer(settings, book, metrics, clock.utc_now, blocking.raised)
    inbox = LedgerInbox(
        engine=engine,
        table=tables.inbox,
        journal=journal.HttpJournal(wallet),
        publisher=publisher,
        apply=ledger.applying(settings, scorer, metrics, clock.utc_now),
        metrics=metrics,
    )
    progress = {
        name: Progress(options, name, stalled_after_s=settings.stalled_after_s, metrics=metrics)
        for name in (LEDGER_EVENTS, INTAKE)
    }
    loops = {"inbox": inbox.watch, "rules": book.watch, **_loops(settings, engine, publisher, wallet, metrics)}
    loops |= _jobs(settings, engine, book, scorer, wallet)
    consumers = _consumers(settings, options, engine, scorer, inbox, publisher, progress, metrics)
    health.alive_while("consumer", progress[LEDGER_EVENTS].problem)
    health.alive_while("intake", progress[INTAKE].problem)
    health.alive_while("tasks", tasks.problem)
    health.ready_when("database", lambda: migrations.check_at_head(engine, SERVICE, tables.SCHEMA))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(engine.dispose)
            stack.push_async_callback(wallet.aclose)
            await migrations.wait_until_at_head(engine, SERVICE, tables.SCHEMA)
            await book.start()
            stack.push_async_callback(publisher.stop)
            await publisher.start()
            for kafka in consumers.values():
                stack.push_async_callback(kafka.stop)
                await broker.start_consumers(kafka)
            stack.push_async_callback(tasks.stop)
            for name, loop in loops.items():
                tasks.start(name, loop())
            for name, kafka in consumers.items():
                tasks.start(f"progress of {name}", progress[name].watch(partial(broker.consumer_of, kafka)))
            yield

    return service.application(
        SERVICE,
        settings,
        health=health,
        metrics=metrics,
        lifespan=lifespan,
        routers=_routers(settings, engine, book, metrics),
        openapi_url=None,
    )


def _consumers(
    settings: Settings,
    options: BrokerOptions,
    engine: AsyncEngine,
    scorer: Scorer,
    inbox: LedgerInbox,
    publisher: Publisher,
    progress: Mapping[str, Progress],
    metrics: Metrics,
) -> Mapping[str, KafkaBroker]:
    """The ledger's consumer, and one of everything else, so that the ledger waits for nothing."""
    takes: dict[str, Take] = {GAME_ROUNDS: intake.Rounds(engine, scorer, publisher, metrics).take}
    for topic in (PAYMENTS_EVENTS, COMPLIANCE_EVENTS):
        takes[topic] = intake.Signals(engine, scorer, publisher, metrics, topic).take
    routers = {
        LEDGER_EVENTS: ledger.router(
            settings, options, inbox=inbox, scorer=scorer, progress=progress[LEDGER_EVENTS], metrics=metrics
        ),
        INTAKE: intake.router(settings, options, takes, progress=progress[INTAKE], metrics=metrics),
    }
    consumers = {name: broker.consumer_broker(options) for name in routers}
    for name, kafka in consumers.items():
        kafka.include_router(routers[name])
    return consumers


def _loops(
    settings: Settings, engine: AsyncEngine, publisher: Publisher, wallet: httpx2.AsyncClient, metrics: Metrics
) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
    """What the service does by itself, by name."""
    asker = WalletAsker(publisher, wallet, source=SOURCE)
    lanes = partial(publisher.partitions, WALLET_COMMANDS)
    blocks = BlockWorker(engine, asker, journal.HttpJournal(wallet), lanes, metrics, clock.utc_now)
    return {
        "flags": partial(waking.wake_flags, engine, clock.utc_now),
        "blocks": blocks.run,
        "monitoring": Monitoring(engine, metrics, clock.utc_now, every_s=settings.gauges_every_s).run,
        "retention": Retention(settings, engine, clock.utc_now).run,
        "outbox": Outbox(engine, publisher, topic=FRAUD_EVENTS, source=SOURCE, metrics=metrics).run,
    }


def _jobs(
    settings: Settings, engine: AsyncEngine, book: RuleBook, scorer: Scorer, wallet: httpx2.AsyncClient
) -> Mapping[str, Callable[[], Coroutine[Any, Any, None]]]:
    return {
        "reprocessing": Reprocessor(engine, book, scorer, per_s=settings.fraud_reprocessing_per_s).run,
        "backtests": Backtester(settings, engine, journal.HttpJournal(wallet)).run,
    }


def _routers(settings: Settings, engine: AsyncEngine, book: RuleBook, metrics: Metrics) -> tuple[APIRouter, ...]:
    return (
        velocity_endpoints.router(settings, Reads(engine), clock.utc_now),
        score_endpoints.router(settings, Players(engine), lambda: book.rules, clock.utc_now),
        flag_endpoints.router(settings, engine, clock.utc_now),
        rule_endpoints.router(settings, engine, clock.utc_now),
        snooze_endpoints.router(settings, engine, clock.utc_now),
        monitoring_endpoints.router(settings, Watched(engine), metrics, clock.utc_now),
        job_endpoints.router(settings, engine),
    )
