"""The compliance service's composition root: `uvicorn --factory compliance_service.app:create_app`."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from compliance_service import tables
from compliance_service.endpoints import audit as audit_endpoints
from compliance_service.handlers import ledger
from compliance_service.handlers.audit_sealer import AuditSealer
from compliance_service.repository import audit
from compliance_service.repository.figures import ComplianceAudits
from compliance_service.settings import Settings
from shared import broker, clock, database, journal, migrations, service
from shared.broker import BrokerOptions, Publisher
from shared.contracts.topics import LEDGER_EVENTS
from shared.inbox import LedgerInbox
from shared.keyring import Keyring, source_of
from shared.progress import Progress
from shared.service import Health
from shared.tasks import BackgroundTasks
from shared.telemetry import Metrics

SERVICE = "compliance_service"


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Without settings they come from the environment; a wrong one raises ConfigurationError."""
    settings = settings or Settings.load()
    source = source_of(settings)
    keyring = Keyring.read(source)
    options = BrokerOptions.of(settings, SERVICE)
    metrics, health, tasks = Metrics(), Health(), BackgroundTasks()
    engine = audit.signing_with(
        database.create_engine(settings.compliance_database_url, application=SERVICE, schema=tables.SCHEMA), keyring
    )
    wallet = journal.internal_client(settings.wallet_service_url, settings.internal_api_token.get_secret_value())
    publisher = Publisher(options)
    inbox = LedgerInbox(
        engine=engine,
        table=tables.inbox,
        journal=journal.HttpJournal(wallet),
        publisher=publisher,
        apply=ledger.applying(settings),
        metrics=metrics,
    )
    sealer = AuditSealer(settings, engine=engine, keyring=keyring)
    progress = Progress(options, LEDGER_EVENTS, stalled_after_s=settings.stalled_after_s, metrics=metrics)
    kafka = broker.consumer_broker(options)
    kafka.include_router(ledger.router(settings, options, inbox=inbox, progress=progress, metrics=metrics))
    made = ComplianceAudits(engine, settings.thresholds(), settings.initial_tier())

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
            tasks.start("audit_sealer", sealer.run())
            tasks.start("keys", keyring.follow(source, settings.keys_look_every_s))
            tasks.start("progress", progress.watch(lambda: broker.consumer_of(kafka)))
            yield

    return service.application(
        SERVICE,
        settings,
        health=health,
        metrics=metrics,
        lifespan=lifespan,
        routers=(
            audit_endpoints.log(settings, audit.AuditLog(engine)),
            audit_endpoints.audits(settings, engine, made, clock.utc_now),
        ),
        openapi_url=None,
    )
