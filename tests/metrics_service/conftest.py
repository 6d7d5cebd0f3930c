"""The metrics service as its tests run it."""

from collections.abc import AsyncIterator
from zoneinfo import ZoneInfo

import pytest
from faststream.kafka import KafkaRouter
from sqlalchemy.ext.asyncio import AsyncEngine

from metrics_service import tables
from metrics_service.handlers import ledger as handlers
from metrics_service.settings import Settings
from shared import clock
from shared import database as databases
from shared.broker import BrokerOptions, Publisher
from shared.inbox import LedgerInbox
from shared.progress import Progress
from shared.telemetry import Metrics
from shared.testing import FakeLedger
from tests.support import TOKEN, Database, Instance, consuming

UTC = ZoneInfo("UTC")
REPORT_KEYS = "r1:" + "7e" * 32


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """As the service's own role."""
    engine = databases.create_engine(database.dsn("metrics_service"), application="test", schema=tables.SCHEMA)
    yield engine
    await engine.dispose()


@pytest.fixture
def settings() -> Settings:
    """The service's settings, with nobody where its servers would be."""
    return Settings.load(
        kafka_bootstrap_servers="127.0.0.1:1",
        internal_api_token=TOKEN,
        metrics_database_url="postgresql://nobody:nothing@127.0.0.1:1/nowhere",
        wallet_service_url="http://127.0.0.1:1",
        report_keys=REPORT_KEYS,
    )


@pytest.fixture
def live_settings(settings: Settings, database: Database, kafka: BrokerOptions) -> Settings:
    """The service's settings, with the test's database and topics. Nobody listens where the wallet would be."""
    return settings.model_copy(
        update={
            "kafka_bootstrap_servers": kafka.bootstrap_servers,
            "kafka_topic_prefix": kafka.topic_prefix,
            "kafka_idempotent_producer": kafka.idempotent_producer,
            "metrics_database_url": database.dsn("metrics_service"),
        }
    )


@pytest.fixture
def instance(
    live_settings: Settings, kafka: BrokerOptions, engine: AsyncEngine, ledger: FakeLedger, publisher: Publisher
) -> Instance:
    """Starts one instance of the service's consumer."""

    def router(inbox: LedgerInbox, progress: Progress) -> KafkaRouter:
        return handlers.router(live_settings, kafka, inbox=inbox, progress=progress, metrics=Metrics())

    return lambda: consuming(
        router,
        options=kafka,
        engine=engine,
        table=tables.inbox,
        journal=ledger,
        publisher=publisher,
        apply=handlers.applying(UTC, clock.utc_now),
    )
