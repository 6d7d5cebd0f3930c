"""The compliance service's composition root: `uvicorn --factory compliance_service.app:create_app`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import httpx2
from fastapi import APIRouter, FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_service import tables
from compliance_service.domain.encryption import KycKeys
from compliance_service.domain.ports import Provider
from compliance_service.endpoints import audit as audit_endpoints
from compliance_service.endpoints import exclusions as exclusion_endpoints
from compliance_service.endpoints import kyc as kyc_endpoints
from compliance_service.endpoints import play as play_endpoints
from compliance_service.endpoints.exclusions import ExclusionDesk
from compliance_service.endpoints.kyc import KycDesk
from compliance_service.endpoints.play import PlayDesk
from compliance_service.handlers import ledger
from compliance_service.handlers.audit_schedule import AuditSchedule
from compliance_service.handlers.audit_sealer import AuditSealer
from compliance_service.handlers.exclusions import ExclusionWorker
from compliance_service.handlers.kyc import KycWorker
from compliance_service.handlers.providers import HttpProvider, RulesAlone
from compliance_service.repository import audit
from compliance_service.repository.figures import ComplianceAudits
from compliance_service.settings import KYC_KEYS, Settings
from shared import broker, clock, database, journal, keyring, migrations, service, tracing
from shared.asking import WalletAsker
from shared.broker import BrokerOptions, Publisher
from shared.contracts.topics import COMPLIANCE_EVENTS, LEDGER_EVENTS
from shared.inbox import LedgerInbox
from shared.keyring import AUDIT_KEYS, Keyring
from shared.outbox import Outbox
from shared.progress import Progress
from shared.service import Health
from shared.tasks import BackgroundTasks
from shared.telemetry import Metrics

SERVICE = "compliance_service"
SOURCE = f"/langsense/{SERVICE}"


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Without settings they come from the environment; a wrong one raises ConfigurationError."""
    settings = settings or Settings.load()
    chain_source, kyc_source = keyring.source_of(settings, AUDIT_KEYS), keyring.source_of(settings, KYC_KEYS)
    chain_keys, kyc_keys = Keyring.read(chain_source), KycKeys(*kyc_source.read())
    options = BrokerOptions.of(settings, SERVICE)
    metrics, health, tasks = Metrics(tracing.of(settings, SERVICE)), Health(), BackgroundTasks()
    engine = _engine(settings, chain_keys, metrics)
    wallet = journal.service_client(settings, settings.wallet_service_url, metrics.tracing)
    outer = httpx2.AsyncClient(timeout=journal.TIMEOUT_S, trust_env=False)
    publisher = Publisher(options, linger_ms=0, tracing=metrics.tracing)
    inbox = _inbox(settings, engine, wallet, publisher, metrics)
    progress = Progress(options, LEDGER_EVENTS, stalled_after_s=settings.stalled_after_s, metrics=metrics)
    kafka = broker.consumer_broker(options)
    kafka.include_router(ledger.router(settings, options, inbox=inbox, progress=progress, metrics=metrics))
    asker = WalletAsker(publisher, wallet, source=SOURCE)
    kyc_worker = _kyc_worker(settings, engine, kyc_keys, asker, outer)
    exclusion_worker = ExclusionWorker(engine, asker, clock.utc_now)
    loops = {
        "inbox": inbox.watch,
        "progress": lambda: progress.watch(lambda: broker.consumer_of(kafka)),
        "outbox": Outbox(engine, publisher, topic=COMPLIANCE_EVENTS, source=SOURCE, metrics=metrics).run,
        "audit_sealer": AuditSealer(settings, engine=engine, keyring=chain_keys, metrics=metrics).run,
        "audit_keys": lambda: chain_keys.follow(chain_source, settings.keys_look_every_s),
        "kyc_keys": lambda: keyring.follow(kyc_source, settings.keys_look_every_s, kyc_keys.take),
        "audit_schedule": _audit_schedule(settings, engine).run,
        **kyc_worker.loops() | exclusion_worker.loops(),
    }
    health.alive_while("consumer", progress.problem)
    health.alive_while("tasks", tasks.problem)
    health.ready_when("database", lambda: migrations.check_at_head(engine, SERVICE, tables.SCHEMA))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for close in (engine.dispose, wallet.aclose, outer.aclose):
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
        SERVICE,
        settings,
        health=health,
        metrics=metrics,
        lifespan=lifespan,
        routers=(
            *_audit_routers(settings, engine),
            *_kyc_routers(settings, engine, kyc_keys, kyc_worker, metrics),
            *_protection_routers(settings, engine, exclusion_worker),
        ),
        openapi_url=None,
    )


def _engine(settings: Settings, keys: Keyring, metrics: Metrics) -> AsyncEngine:
    engine = database.create_engine(
        settings.compliance_database_url, application=SERVICE, schema=tables.SCHEMA, metrics=metrics
    )
    return audit.signing_with(engine, keys)


def _inbox(
    settings: Settings, engine: AsyncEngine, wallet: httpx2.AsyncClient, publisher: Publisher, metrics: Metrics
) -> LedgerInbox:
    return LedgerInbox(
        engine=engine,
        table=tables.inbox,
        journal=journal.HttpJournal(wallet),
        publisher=publisher,
        apply=ledger.applying(settings, clock.utc_now),
        metrics=metrics,
    )


def _audits(settings: Settings, engine: AsyncEngine) -> ComplianceAudits:
    return ComplianceAudits(engine, settings.thresholds(), settings.pack().initial_tier)


def _audit_schedule(settings: Settings, engine: AsyncEngine) -> AuditSchedule:
    return AuditSchedule(settings, engine=engine, audits=_audits(settings, engine), clock=clock.utc_now)


def _audit_routers(settings: Settings, engine: AsyncEngine) -> Sequence[APIRouter]:
    return (
        audit_endpoints.log(settings, audit.AuditLog(engine)),
        audit_endpoints.audits(settings, engine, _audits(settings, engine), clock.utc_now),
    )


def _kyc_routers(
    settings: Settings, engine: AsyncEngine, keys: KycKeys, worker: KycWorker, metrics: Metrics
) -> Sequence[APIRouter]:
    desk = KycDesk(engine, keys, settings.pack(), settings.platform_time_zone, worker, clock.utc_now)
    return (kyc_endpoints.router(settings, desk), kyc_endpoints.provider_router(settings, desk, metrics))


def _protection_routers(settings: Settings, engine: AsyncEngine, worker: ExclusionWorker) -> Sequence[APIRouter]:
    desk = ExclusionDesk(engine, settings.pack(), worker, clock.utc_now)
    play = PlayDesk(engine, settings.play_rules(), clock.utc_now)
    return (
        exclusion_endpoints.router(settings, desk),
        exclusion_endpoints.ends(settings, desk),
        play_endpoints.router(settings, play),
    )


def _kyc_worker(
    settings: Settings, engine: AsyncEngine, keys: KycKeys, wallet: WalletAsker, outer: httpx2.AsyncClient
) -> KycWorker:
    provider: Provider = RulesAlone()
    if settings.kyc_provider_url is not None:
        provider = HttpProvider(outer, settings.kyc_provider_url, settings.provider_secrets()[0], clock.utc_now)
    return KycWorker(
        engine,
        keys,
        settings.pack(),
        settings.platform_time_zone,
        provider=provider,
        wallet=wallet,
        clock=clock.utc_now,
    )
