"""The gateway's composition root: `uvicorn --factory gateway.app:create_app`."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import httpx2
from fastapi import APIRouter, FastAPI

from gateway import handlers
from gateway.domain.callers import Caller, caller_of
from gateway.domain.ports import WalletLink
from gateway.endpoints import (
    API,
    audit_log,
    audits,
    blocks,
    console,
    corrections,
    exclusions,
    fraud,
    fraud_jobs,
    kyc,
    limit_changes,
    limits,
    pages,
    payments,
    play,
    players,
    receipts,
    reconciliations,
    reports,
    settlement,
    standing,
    transactions,
)
from gateway.endpoints.door import Door
from gateway.endpoints.exclusions import Guarding
from gateway.endpoints.limit_changes import Changes
from gateway.endpoints.rates import Rates
from gateway.endpoints.standing import Standing
from gateway.endpoints.transactions import Postings
from gateway.handlers.link import KafkaWalletLink
from gateway.handlers.presence import Presence
from gateway.repository import Reads
from gateway.repository.exclusions import Exclusions
from gateway.repository.fraud import Fraud
from gateway.repository.kyc import KycReads
from gateway.repository.payments import PaymentReads
from gateway.repository.records import Records
from gateway.settings import Settings
from shared import broker, clock, journal, service, tokens, tracing
from shared.broker import BrokerOptions, Publisher
from shared.contracts import topics
from shared.contracts.headers import ReplyTo
from shared.errors import BrokerUnavailable, ConfigurationError, ServiceUnavailable
from shared.progress import Progress
from shared.service import Health
from shared.tasks import BackgroundTasks
from shared.telemetry import Metrics
from shared.tokens import Keys, Verifier

SERVICE = "gateway"
JWKS_FILE_LOOK_EVERY_S = 1.0


class Owners(NamedTuple):
    """The services that own what is read here, each as it is asked."""

    ledger: Reads
    records: Records
    kyc: KycReads
    exclusions: Exclusions
    fraud: Fraud
    payments: PaymentReads


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Without settings they come from the environment; a wrong one raises ConfigurationError."""
    settings = settings or Settings.load()
    health, metrics, tasks = Health(), Metrics(tracing.of(settings, SERVICE)), BackgroundTasks()
    options = BrokerOptions.of(settings, SERVICE)
    # No linger: a player waits for each command.
    publisher = Publisher(options, linger_ms=0, tracing=metrics.tracing)
    token = settings.internal_api_token.get_secret_value()
    inner = [
        journal.internal_client(url, token, metrics.tracing)
        for url in (settings.wallet_service_url, settings.fraud_service_url, settings.metrics_service_url)
    ]
    compliance = journal.internal_client(settings.compliance_service_url, token, metrics.tracing)
    paying = journal.internal_client(settings.payments_service_url, token, metrics.tracing)
    outer = httpx2.AsyncClient(timeout=journal.TIMEOUT_S)
    reads, suspicion = Reads(*inner), Fraud(inner[1])
    keys = _keys(settings, outer)
    kafka = Presence("Kafka", lambda: publisher.ping(topics.WALLET_COMMANDS), BrokerUnavailable)
    wallet = Presence("the wallet", reads.wallet_is_ready, ServiceUnavailable)
    link = KafkaWalletLink(publisher, kafka=kafka, wallet=wallet, max_waiting=settings.max_waiting, metrics=metrics)
    progress = Progress(options, topics.WALLET_REPLIES, stalled_after_s=settings.stalled_after_s, metrics=metrics)
    health.alive_while("consumer", progress.problem)
    health.alive_while("tasks", tasks.problem)
    health.ready_when("kafka", kafka.present)
    health.ready_when("wallet", wallet.present)
    health.ready_when("keys", keys.known)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for client in (*inner, compliance, paying, outer):
                stack.push_async_callback(client.aclose)
            await keys.start()
            stack.push_async_callback(publisher.stop)
            await publisher.start()
            reply_to = ReplyTo(await _partition(settings, publisher), f"{SERVICE}-{secrets.token_hex(8)}")
            link.listen_at(reply_to)
            consumers = broker.consumer_broker(options)
            consumers.include_router(handlers.router(options, reply_to.partition, link=link, progress=progress))
            stack.push_async_callback(consumers.stop)
            await broker.start_consumers(consumers)
            # A reply that is written before the reader knows where to read from would be missed.
            await broker.positioned(consumers)
            stack.push_async_callback(tasks.stop)
            tasks.start("keys", keys.watch())
            tasks.start("kafka", kafka.watch())
            tasks.start("wallet", wallet.watch())
            tasks.start("progress", progress.watch(lambda: broker.consumer_of(consumers)))
            yield

    verifier = Verifier(keys, issuer=settings.jwt_issuer, audience=settings.jwt_audience, read=caller_of)
    owners = Owners(
        reads,
        Records(compliance),
        KycReads(compliance),
        Exclusions(compliance),
        suspicion,
        PaymentReads(paying),
    )
    return assembled(settings, verifier, link, owners, health=health, metrics=metrics, lifespan=lifespan)


def assembled(
    settings: Settings,
    verifier: Verifier[Caller],
    link: WalletLink,
    owners: Owners,
    *,
    health: Health,
    metrics: Metrics,
    lifespan: service.Lifespan,
) -> FastAPI:
    """The application around what it reaches others by."""
    reads, records, known, excluded, suspicion, paid = owners
    rates = Rates(settings)
    door = Door(verifier, rates)
    postings = Postings(settings, link, rates, clock.utc_now)
    changes = Changes(postings, clock.utc_now)
    asking = kyc.Asking(rates, known)
    guarding = Guarding(rates, excluded)
    app = service.application(
        SERVICE,
        settings,
        title="LangSense",
        health=health,
        metrics=metrics,
        lifespan=lifespan,
        routers=(
            transactions.router(settings, door, postings, link, reads),
            receipts.router(door, link, reads),
            corrections.router(door, postings, reads, clock.utc_now),
            corrections.disputes(door, postings, reads, clock.utc_now),
            players.router(door, rates, reads),
            limits.router(door, rates, reads),
            limits.play(door, rates, reads, clock.utc_now),
            limit_changes.overrides(door, changes),
            limit_changes.requests(door, changes),
            blocks.router(door, postings, clock.utc_now),
            audits.router(door, rates, reads, records),
            reconciliations.router(settings, door, reads, records, clock.utc_now),
            reports.router(door, reads, records),
            *_records(door, records),
            kyc.router(door, asking),
            kyc.staff(door, asking),
            kyc.webhook(rates, known),
            exclusions.router(door, guarding),
            exclusions.ends(door, guarding),
            exclusions.reads(door, rates, excluded),
            play.router(door, guarding),
            *fraud.routers(door, rates, suspicion, records),
            *fraud_jobs.routers(door, rates, suspicion, records),
            standing.router(door, rates, Standing(reads, known, excluded, suspicion, clock.utc_now)),
            # Its webhooks' path would take that of KYC.
            *_payments(door, rates, paid, records, metrics),
        ),
        health_prefix=API,
        docs_url=None,
        redoc_url=None,
    )
    pages.install(app)
    console.install(app)
    return app


def _records(door: Door, records: Records) -> tuple[APIRouter, ...]:
    return (
        audit_log.router(door, records),
        audit_log.audits(door, records, clock.utc_now),
        console.router(door, records),
    )


def _payments(
    door: Door, rates: Rates, paid: PaymentReads, records: Records, metrics: Metrics
) -> tuple[APIRouter, ...]:
    return (
        payments.webhook(rates, paid, metrics),
        payments.router(door, rates, paid),
        payments.switches(door, paid, records),
        payments.staff(door, paid, records),
        payments.cancellations(door, paid, records),
        payments.refunds(door, paid, records),
        settlement.router(door, paid, records),
        settlement.exceptions(door, paid, records),
    )


def _keys(settings: Settings, client: httpx2.AsyncClient) -> Keys:
    if settings.jwks_file is not None:
        return Keys(tokens.keys_in_file(settings.jwks_file), look_every_s=JWKS_FILE_LOOK_EVERY_S)
    assert settings.jwks_url is not None
    return Keys(tokens.keys_at_url(client, settings.jwks_url), look_every_s=settings.jwks_refresh_s)


async def _partition(settings: Settings, publisher: Publisher) -> int:
    """The partition of the reply topic that this process reads."""
    partitions = await publisher.partitions(topics.WALLET_REPLIES)
    chosen = settings.gateway_reply_partition
    if chosen is None:
        return secrets.randbelow(partitions)
    if chosen >= partitions:
        raise ConfigurationError(f"GATEWAY_REPLY_PARTITION: {topics.WALLET_REPLIES} has {partitions} partitions")
    return chosen
