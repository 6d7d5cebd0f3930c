"""Every service's migrations make what its tables.py says, can be taken back, and are checked at start."""

import importlib

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import create_async_engine

from ops.provision import SCHEMAS
from shared import database as databases
from shared import migrations
from shared.errors import ConfigurationError
from tests.support import Database, as_administrator, outdated, outside_the_loop

pytestmark = pytest.mark.integration

# What no migration may drop, by the service that owns it.
RECORDS = {"wallet_service": "wallet.transactions", "compliance_service": "compliance.audit_log"}


def metadata_of(service: str) -> MetaData:
    found = importlib.import_module(f"{service}.tables").metadata
    assert isinstance(found, MetaData)
    return found


async def differences(database: Database, service: str) -> list[object]:
    """What the schema lacks or has too much, by its tables.py."""
    schema, metadata = SCHEMAS[service], metadata_of(service)

    def compare(connection: Connection) -> list[object]:
        options = {
            "include_schemas": True,
            "include_name": lambda name, kind, _: kind != "schema" or name == schema,
            "version_table_schema": schema,
            "compare_server_default": True,
        }
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    engine = create_async_engine(
        databases.driver_url(database.admin_dsn), connect_args={"server_settings": {"search_path": "public"}}
    )
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(compare)
    finally:
        await engine.dispose()


@pytest.mark.parametrize("service", SCHEMAS)
async def test_the_migrations_make_what_the_tables_say(database: Database, service: str) -> None:
    assert await differences(database, service) == []


async def test_a_difference_is_seen(database: Database) -> None:
    await as_administrator(database, "ALTER TABLE fraud.players ADD COLUMN forgotten int")
    await as_administrator(database, "DROP INDEX fraud.bet_minutes_minute_idx")
    assert len(await differences(database, "fraud_service")) == 2


@pytest.mark.parametrize("service", [service for service in SCHEMAS if service not in RECORDS])
async def test_the_migrations_can_be_taken_back_and_made_again(database: Database, service: str) -> None:
    configuration = migrations.config(service, database.admin_dsn)
    outside_the_loop(lambda: command.downgrade(configuration, "base"))
    left = await as_administrator(
        database,
        f"SELECT tablename FROM pg_tables WHERE schemaname = '{SCHEMAS[service]}'",
    )
    assert [row["tablename"] for row in left] == ["alembic_version"]
    outside_the_loop(lambda: migrations.upgrade(service, database.admin_dsn))
    assert await differences(database, service) == []


@pytest.mark.parametrize(("service", "table"), RECORDS.items())
async def test_what_is_on_the_record_is_not_dropped_by_a_migration(
    database: Database, service: str, table: str
) -> None:
    configuration = migrations.config(service, database.admin_dsn)
    with pytest.raises(RuntimeError):
        outside_the_loop(lambda: command.downgrade(configuration, "base"))
    await as_administrator(database, f"SELECT * FROM {table}")


@pytest.mark.parametrize("service", SCHEMAS)
async def test_a_service_sees_whether_its_schema_is_at_head(database: Database, service: str) -> None:
    schema = SCHEMAS[service]
    engine = databases.create_engine(database.dsn(service), application="test", schema=schema)
    try:
        await migrations.check_at_head(engine, service, schema)
        await outdated(database, schema)
        with pytest.raises(ConfigurationError, match=f"schema {schema} is at 0000"):
            await migrations.check_at_head(engine, service, schema)
    finally:
        await engine.dispose()
