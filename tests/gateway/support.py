"""The gateway as its tests run it: in this process, before a wallet that is made up."""

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from fastapi import FastAPI
from joserfc.jwk import ECKey, KeySet

from gateway import app as gateway_app
from gateway.domain.callers import caller_of
from gateway.repository import Reads
from gateway.repository.exclusions import Exclusions
from gateway.repository.fraud import Fraud
from gateway.repository.kyc import KycReads
from gateway.repository.payments import PaymentReads
from gateway.repository.records import Records
from gateway.settings import Settings
from shared import tokens
from shared.service import Health
from shared.telemetry import Metrics
from shared.tokens import Keys, Role, Verifier
from tests.gateway.fakes import PLAYER, FakeCompliance, FakeWallet, elsewhere
from tests.support import TOKEN

BET = {
    "user_id": PLAYER,
    "type": "GAME_BET",
    "amount": "10.00",
    "currency": "USD",
    "reference_id": "game_77",
    "round_id": "r-9",
}
DEPOSIT = {"user_id": PLAYER, "type": "DEPOSIT", "amount": "100.00", "currency": "USD", "provider": "bank"}


@functools.cache
def development_keys() -> tuple[tokens.Jwk, tokens.Jwk]:
    """The private key that tests sign with, and its public part."""
    return tokens.generate_keys()


def token(role: Role | str, *, user_id: int | None = None, subject: str | None = None, **claims: Any) -> str:
    """A token of the development key."""
    if role == Role.PLAYER and user_id is None:
        user_id = PLAYER
    subject = subject or (str(user_id) if user_id is not None else f"the-{role}")
    return tokens.issue(
        development_keys()[0], role=role, subject=subject, user_id=user_id, lifetime_s=12 * 3600, **claims
    )


def bearer(role: Role | str, **claims: Any) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {token(role, **claims)}"}


def settings(**overrides: Any) -> Settings:
    """Settings that need no server."""
    return Settings.load(
        **{
            "kafka_bootstrap_servers": "127.0.0.1:1",
            "internal_api_token": TOKEN,
            "wallet_service_url": "http://wallet",
            "fraud_service_url": "http://fraud",
            "metrics_service_url": "http://metrics",
            "compliance_service_url": "http://compliance",
            "payments_service_url": "http://payments",
            "jwks_file": "/nowhere/jwks.json",
            **overrides,
        }
    )


async def _public_keys() -> KeySet:
    return KeySet([ECKey.import_key(key) for key in development_keys()[1]["keys"]])


Handler = Callable[[httpx2.Request], httpx2.Response]


def build(
    wallet: FakeWallet,
    compliance: Handler | None = None,
    fraud: Handler = elsewhere,
    payments: Handler = elsewhere,
    metrics: Handler = elsewhere,
    **overrides: Any,
) -> FastAPI:
    """The gateway's application around a made-up wallet."""
    transport = httpx2.MockTransport(compliance or FakeCompliance())
    inner = httpx2.AsyncClient(transport=transport, base_url="http://compliance")
    suspicion = httpx2.AsyncClient(transport=httpx2.MockTransport(fraud), base_url="http://fraud")
    reads = Reads(
        httpx2.AsyncClient(transport=httpx2.MockTransport(wallet.answer), base_url="http://wallet"),
        suspicion,
        httpx2.AsyncClient(transport=httpx2.MockTransport(metrics), base_url="http://metrics"),
    )
    paying = httpx2.AsyncClient(transport=httpx2.MockTransport(payments), base_url="http://payments")
    owners = gateway_app.Owners(
        reads, Records(inner), KycReads(inner), Exclusions(inner), Fraud(suspicion), PaymentReads(paying)
    )
    keys = Keys(_public_keys, look_every_s=60)
    verifier = Verifier(keys, issuer=tokens.DEFAULT_ISSUER, audience=tokens.DEFAULT_AUDIENCE, read=caller_of)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield

    return gateway_app.assembled(
        settings(**overrides), verifier, wallet, owners, health=Health(), metrics=Metrics(), lifespan=lifespan
    )


def client_of(app: FastAPI) -> httpx2.AsyncClient:
    """A client of an application in this process. What the application lets escape, it answers with 500."""
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://gateway")
