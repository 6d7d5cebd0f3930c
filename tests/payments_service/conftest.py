"""The payments service as its tests run it."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from payments_service import tables
from shared import database as databases
from tests.payments_service.support import Setup
from tests.support import Database


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """As the service's own role."""
    engine = databases.create_engine(database.dsn("payments_service"), application="test", schema=tables.SCHEMA)
    yield engine
    await engine.dispose()


@pytest.fixture
def payments(database: Database, engine: AsyncEngine) -> Setup:
    """Payments as their endpoints and loops use them, with a wallet and a provider that are made up."""
    return Setup(database, engine)
