"""Processes and books for the reliability tests."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database as databases
from shared.broker import BrokerOptions
from tests.reliability.support import Books, Service, environment
from tests.support import Database
from wallet_service.tables import SCHEMA


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """As the wallet's own role."""
    engine = databases.create_engine(database.dsn("wallet_service"), application="test", schema=SCHEMA)
    yield engine
    await engine.dispose()


@pytest.fixture
def service(database: Database, kafka: BrokerOptions, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes services that end with the test."""
    made: list[Service] = []

    def make(name: str = "wallet_service", port: int | None = None, **more: str) -> Service:
        made.append(Service(name, environment(database, kafka, tmp_path, **more), tmp_path, port))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def books(engine: AsyncEngine, database: Database, kafka: BrokerOptions) -> Books:
    """The ledger from outside."""
    return Books(engine, database, kafka)
