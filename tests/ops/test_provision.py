"""What `langsense migrate` does to PostgreSQL."""

import asyncio
from itertools import product

import asyncpg
import pytest

from ops import provision
from ops.infrastructure import Postgres
from ops.provision import SCHEMAS
from shared.errors import ConfigurationError, DatabaseUnavailable
from tests.support import Database, as_administrator, drop_database, outside_the_loop


async def as_service(database: Database, service: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(database.dsn(service))
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


@pytest.mark.integration
async def test_a_service_reads_its_own_schema_and_no_other(database: Database) -> None:
    for service, (owner, schema) in product(SCHEMAS, SCHEMAS.items()):
        query = f"SELECT * FROM {schema}.alembic_version"
        if owner == service:
            assert len(await as_service(database, service, query)) == 1
        else:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await as_service(database, service, query)


@pytest.mark.integration
async def test_a_service_may_do_nothing_that_it_was_not_granted(database: Database) -> None:
    for statement in (
        "CREATE TABLE fraud.mine (id int)",
        "CREATE TABLE public.mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE TEMPORARY TABLE mine (id int)",
        "DROP TABLE fraud.players",
        "TRUNCATE fraud.inbox",
        "DELETE FROM fraud.players",
        "UPDATE fraud.alembic_version SET version_num = '9'",
        "SET ROLE langsense_owner",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_service(database, "fraud_service", statement)


@pytest.mark.integration
async def test_tables_belong_to_a_role_that_nobody_logs_in_as(database: Database) -> None:
    owners = await as_administrator(
        database,
        "SELECT DISTINCT tableowner, rolcanlogin, rolsuper FROM pg_tables JOIN pg_roles ON rolname = tableowner "
        "WHERE schemaname IN ('wallet', 'payments', 'fraud', 'compliance', 'metrics')",
    )
    assert [tuple(owner) for owner in owners] == [("langsense_owner", False, False)]


@pytest.mark.integration
async def test_an_administrator_needs_no_schema_names(database: Database) -> None:
    await as_administrator(database, "SELECT id, user_id, amount, status, checksum, created_at FROM transactions")
    await as_administrator(database, "SELECT * FROM bet_minutes, daily_totals")


@pytest.mark.integration
async def test_it_can_be_repeated_and_keeps_what_is_there(database: Database) -> None:
    await as_administrator(database, "INSERT INTO fraud.players VALUES (42, 3)")
    outside_the_loop(lambda: provision.provision(database.admin_dsn, database.passwords))
    assert [tuple(row) for row in await as_administrator(database, "SELECT * FROM fraud.players")] == [(42, 3)]


@pytest.mark.integration
async def test_a_new_password_replaces_the_old_one(database: Database) -> None:
    old = provision.service_dsn(database.admin_dsn, "fraud_service", database.passwords["fraud_service"])
    outside_the_loop(lambda: provision.provision(database.admin_dsn, {"fraud_service": "it's a new: one/%"}))
    try:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(old)
        changed = provision.service_dsn(database.admin_dsn, "fraud_service", "it's a new: one/%")
        await (await asyncpg.connect(changed)).close()
    finally:
        outside_the_loop(lambda: provision.provision(database.admin_dsn, database.passwords))


@pytest.mark.integration
def test_a_database_is_made_once(postgres_server: Postgres) -> None:
    name = 'made "once"'
    dsn = postgres_server.dsn(name)
    try:
        assert provision.create_database(dsn) is True
        assert provision.create_database(dsn) is False
    finally:
        asyncio.run(drop_database(postgres_server, name))


def test_a_role_that_is_no_services_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="bank_service"):
        provision.provision("postgresql://a:b@127.0.0.1:1/x", {"bank_service": "secret"})


@pytest.mark.parametrize("password", ["", "naïve", "line\nfeed"])
def test_a_password_that_not_every_client_can_send_is_refused_and_not_shown(password: str) -> None:
    with pytest.raises(ConfigurationError, match="fraud_service") as refused:
        provision.provision("postgresql://a:b@127.0.0.1:1/x", {"fraud_service": password})
    assert not password or password not in str(refused.value)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(DatabaseUnavailable):
        provision.provision("postgresql://a:b@127.0.0.1:1/x", {"fraud_service": "secret"})
    with pytest.raises(DatabaseUnavailable):
        provision.create_database("postgresql://a:b@127.0.0.1:1/x")


def test_a_services_url_is_the_administrators_with_another_account() -> None:
    found = provision.service_dsn("postgresql+asyncpg://admin:secret@db.example:6432/langsense", "fraud_service", "p/%")
    assert found == "postgresql://fraud_service:p%2F%25@db.example:6432/langsense"
