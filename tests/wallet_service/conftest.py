"""The wallet as its tests run it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database as databases
from shared.broker import BrokerOptions
from tests.support import LANES, TOKEN, Database
from tests.wallet_service.client import Client
from tests.wallet_service.support import CHAIN_KEYS, CHECKPOINT_KEYS, FAR_LIMITS
from wallet_service import tables
from wallet_service.repository import Reads
from wallet_service.settings import Settings


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """As the service's own role."""
    engine = databases.create_engine(database.dsn("wallet_service"), application="test", schema=tables.SCHEMA)
    yield engine
    await engine.dispose()


@pytest.fixture
def reads(engine: AsyncEngine) -> Reads:
    """What the wallet's tables say."""
    return Reads(engine, LANES)


@pytest.fixture
def settings(database: Database, kafka: BrokerOptions, tmp_path: Path) -> Settings:
    """The service's settings."""
    return Settings.load(
        kafka_bootstrap_servers=kafka.bootstrap_servers,
        kafka_topic_prefix=kafka.topic_prefix,
        kafka_idempotent_producer=kafka.idempotent_producer,
        lanes=LANES,
        internal_api_token=TOKEN,
        wallet_database_url=database.dsn("wallet_service"),
        chain_keys=CHAIN_KEYS,
        checkpoint_keys=CHECKPOINT_KEYS,
        checkpoint_sink=(tmp_path / "checkpoints").as_uri(),
        **FAR_LIMITS,
    )


@pytest.fixture
async def client(kafka: BrokerOptions) -> AsyncIterator[Client]:
    """A caller of the wallet, with an address for its replies."""
    async with Client(kafka) as client:
        yield client
