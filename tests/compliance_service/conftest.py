"""The compliance service as its tests run it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_service import tables
from compliance_service.repository.audit import signing_with
from compliance_service.settings import Settings
from shared import database as databases
from shared.broker import BrokerOptions
from shared.keyring import AUDIT_KEYS, Keyring
from tests.compliance_service.support import Setup
from tests.support import TOKEN, Database

KYC_KEYS, KYC_INDEX_KEYS = "e1:" + "11" * 32, "i1:" + "22" * 32
CHAIN_KEYS, SIGNING_KEYS = "a1:" + "66" * 32, "b1:" + "77" * 32


@pytest.fixture
def keyring() -> Keyring:
    """The audit log's keys."""
    return Keyring.parse(CHAIN_KEYS, SIGNING_KEYS, AUDIT_KEYS)


@pytest.fixture
async def engine(database: Database, keyring: Keyring) -> AsyncIterator[AsyncEngine]:
    """As the service's own role, with its keys."""
    engine = databases.create_engine(database.dsn("compliance_service"), application="test", schema=tables.SCHEMA)
    yield signing_with(engine, keyring)
    await engine.dispose()


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    """The service's settings, with the test's database. Nobody listens where Kafka and the wallet would be."""
    return Settings.load(
        kafka_bootstrap_servers="127.0.0.1:1",
        internal_api_token=TOKEN,
        compliance_database_url=database.dsn("compliance_service"),
        wallet_service_url="http://127.0.0.1:1",
        audit_keys=CHAIN_KEYS,
        audit_signing_keys=SIGNING_KEYS,
        kyc_keys=KYC_KEYS,
        kyc_index_keys=KYC_INDEX_KEYS,
        audit_sink=(tmp_path / "audit").as_uri(),
    )


@pytest.fixture
def live_settings(settings: Settings, kafka: BrokerOptions) -> Settings:
    """The service's settings, with the test's topics too."""
    return settings.model_copy(
        update={
            "kafka_bootstrap_servers": kafka.bootstrap_servers,
            "kafka_topic_prefix": kafka.topic_prefix,
            "kafka_idempotent_producer": kafka.idempotent_producer,
        }
    )


@pytest.fixture
async def kyc(database: Database, engine: AsyncEngine, settings: Settings) -> AsyncIterator[Setup]:
    """KYC as its endpoints and loops use it."""
    setup = Setup(database, engine, settings)
    yield setup
    await setup.client.aclose()
