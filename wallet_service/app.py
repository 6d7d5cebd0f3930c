"""The wallet's composition root: `uvicorn --factory wallet_service.app:create_app`."""

import gc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import APIRouter, FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import broker, database, migrations, service, tracing
from shared.broker import BrokerOptions, Publisher
from shared.contracts import topics
from shared.errors import ConfigurationError
from shared.keyring import Keyring, source_of
from shared.progress import Progress
from shared.service import Health
from shared.tasks import BackgroundTasks
from shared.telemetry import Metrics
from wallet_service import endpoints, handlers
from wallet_service.handlers.commands import Commands
from wallet_service.handlers.expiry import Expiry
from wallet_service.handlers.patrol import Patrol
from wallet_service.handlers.reconciler import STATEMENT_TIMEOUT_S, Reconciler
from wallet_service.handlers.relay import Relay
from wallet_service.handlers.sealer import Sealer
from wallet_service.repository import Audits, Integrity, Reads, Reconciliations, Seals, Standings
from wallet_service.repository.patrolling import Beat
from wallet_service.settings import Settings
from wallet_service.tables import SCHEMA

SERVICE = "wallet_service"
# Events and replies of one batch go out together; a millisecond lets them share requests.
LINGER_MS = 1


def _spare_the_collector() -> None:
    # A batch makes tens of thousands of short-lived tuples. At the default pace, with all that was imported among what
    # is searched, collecting them takes longer than deciding.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def _check_lanes(publisher: Publisher, lanes: int) -> None:
    for topic in (topics.WALLET_COMMANDS, topics.LEDGER_EVENTS):
        partitions = await publisher.partitions(topic)
        if partitions != lanes:
            raise ConfigurationError(f"LANES: {lanes}, but {topic} has {partitions} partitions; they must be as many")


def _routers(settings: Settings, engine: AsyncEngine, reads: Reads, keyring: Keyring) -> tuple[APIRouter, ...]:
    rules = settings.rules()
    return (
        endpoints.router(settings, reads),
        endpoints.proofs(settings, reads, Seals(engine), Audits(engine), keyring),
        endpoints.reconciliations(settings, Reconciliations(engine), Integrity(engine)),
        endpoints.limits(settings, rules, reads, Standings(engine, rules.windows), keyring),
    )


def _engines(settings: Settings, metrics: Metrics) -> tuple[AsyncEngine, AsyncEngine]:
    """One for batches and reads, and one for what takes long."""
    dsn = settings.wallet_database_url
    engine = database.create_engine(
        dsn, application=SERVICE, schema=SCHEMA, pool_size=settings.wallet_pool_connections, metrics=metrics
    )
    slow = database.create_engine(
        dsn,
        application=f"{SERVICE}-reconciler",
        schema=SCHEMA,
        pool_size=1,
        statement_timeout_s=STATEMENT_TIMEOUT_S,
    )
    return engine, slow


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Without settings they come from the environment; a wrong one raises ConfigurationError."""
    settings = settings or Settings.load()
    source = source_of(settings)
    keyring = Keyring.read(source)
    health, metrics, tasks = Health(), Metrics(tracing.of(settings, SERVICE)), BackgroundTasks()
    options = BrokerOptions.of(settings, SERVICE)
    engine, slow_engine = _engines(settings, metrics)
    reads = Reads(engine, settings.lanes)
    publisher = Publisher(options, linger_ms=LINGER_MS, tracing=metrics.tracing)
    relay = Relay(publisher, reads, metrics)
    sealer = Sealer(settings, engine=engine, keyring=keyring, publisher=publisher, metrics=metrics)
    reconciler = Reconciler(slow_engine, zone=settings.platform_time_zone, metrics=metrics)
    progress = Progress(options, topics.WALLET_COMMANDS, stalled_after_s=settings.stalled_after_s, metrics=metrics)
    health.alive_while("consumer", progress.problem)
    health.alive_while("tasks", tasks.problem)
    health.ready_when("database", lambda: migrations.check_at_head(engine, SERVICE, SCHEMA))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(engine.dispose)
            stack.push_async_callback(slow_engine.dispose)
            await migrations.wait_until_at_head(engine, SERVICE, SCHEMA)
            stack.push_async_callback(publisher.stop)
            await publisher.start()
            await _check_lanes(publisher, settings.lanes)
            commands = Commands(
                engine=engine,
                keyring=keyring,
                rules=settings.rules(),
                publisher=publisher,
                relay=relay,
                lanes=settings.lanes,
                reply_partitions=await publisher.partitions(topics.WALLET_REPLIES),
                metrics=metrics,
            )
            kafka = broker.consumer_broker(options)
            kafka.include_router(handlers.router(options, settings, commands, progress, metrics))
            patrol = Patrol(Beat(engine), keyring, metrics, rows_per_s=settings.integrity_rows_per_s)
            for worker in (relay, sealer, reconciler, patrol, Expiry(publisher, reads)):
                tasks.start(type(worker).__name__.lower(), worker.run())
            tasks.start("keys", keyring.follow(source, settings.keys_look_every_s))
            stack.push_async_callback(tasks.stop)
            # The last to start is the first to stop: no batch is under way when its publisher closes.
            stack.push_async_callback(kafka.stop)
            await broker.start_consumers(kafka)
            tasks.start("progress", progress.watch(lambda: broker.consumer_of(kafka)))
            _spare_the_collector()
            yield

    return service.application(
        SERVICE,
        settings,
        health=health,
        metrics=metrics,
        lifespan=lifespan,
        routers=_routers(settings, engine, reads, keyring),
        openapi_url=None,
    )
