"""Migrations: one alembic tree a service, run by `langsense migrate` and never at an application's start.

A tree's own `env.py` calls `run`. The tables belong to a role that nobody logs in as; the service's own role gets
only what its migrations grant it.
"""

import asyncio
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from shared import database, delivery
from shared.errors import ConfigurationError

OWNER_ROLE = "langsense_owner"
# One migration at a time on a database; the number is arbitrary and ours.
ADVISORY_LOCK = 0x6C616E67
# About ten seconds, and the connection timeouts on top.
_START_ATTEMPTS = 10


def config(service: str, dsn: str) -> Config:
    """alembic's configuration for one service's tree."""
    configuration = Config()
    configuration.set_main_option("script_location", str(_tree(service)))
    configuration.attributes["dsn"] = dsn
    return configuration


def upgrade(service: str, dsn: str) -> None:
    """Bring one service's schema to the newest version. `dsn` is an administrator's."""
    command.upgrade(config(service, dsn), "head")


def run(metadata: MetaData) -> None:
    """What a tree's `env.py` does: run the migrations in one transaction, as the owner of the schema."""
    if context.is_offline_mode():
        raise ConfigurationError("migrations run on a database, not as a script")
    asyncio.run(_run(metadata))


async def _run(metadata: MetaData) -> None:
    engine = create_async_engine(database.driver_url(context.config.attributes["dsn"]), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            await connection.execute(text(f"SET LOCAL ROLE {OWNER_ROLE}"))
            await connection.execute(text(f"SET LOCAL search_path = {metadata.schema}"))
            await connection.run_sync(_configured, metadata)
    finally:
        await engine.dispose()


def _configured(connection: Connection, metadata: MetaData) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema=metadata.schema,
        include_schemas=True,
    )
    context.run_migrations()


async def check_at_head(engine: AsyncEngine, service: str, schema: str) -> None:
    """Raises ConfigurationError where the schema is not at the version that this code was written for."""
    wanted = ScriptDirectory(str(_tree(service))).get_current_head()

    def current(connection: Connection) -> str | None:
        return MigrationContext.configure(connection, opts={"version_table_schema": schema}).get_current_revision()

    with database.unavailable_is_transient():
        async with engine.connect() as connection:
            found = await connection.run_sync(current)
    if found != wanted:
        raise ConfigurationError(f"schema {schema} is at {found}, this code needs {wanted}; run `langsense migrate`")


async def wait_until_at_head(engine: AsyncEngine, service: str, schema: str) -> None:
    """At an application's start: as `check_at_head`, with patience for a database that starts beside it.

    Raises ConfigurationError, or DatabaseUnavailable when the database does not come.
    """
    await delivery.with_retries(
        lambda: check_at_head(engine, service, schema), attempts=_START_ATTEMPTS, what="schema_check"
    )


def _tree(service: str) -> Path:
    return Path(__file__).parent.parent / service / "migrations"
