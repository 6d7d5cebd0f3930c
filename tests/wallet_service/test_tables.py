"""The tables themselves: the journal is append-only, their lists are the contract's, and keys begin with the lane."""

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database as databases
from shared.contracts.kinds import Account, Kind, Status
from tests.support import Database, as_administrator
from tests.wallet_service.batches import TABLES, contents, take
from tests.wallet_service.support import command
from wallet_service.domain.needs import Placed

pytestmark = pytest.mark.integration


class TestTheJournalIsAppendOnly:
    """Neither the service nor the tables' owner rewrites it."""

    REWRITES = (
        "UPDATE wallet.transactions SET amount = 1",
        "DELETE FROM wallet.transactions",
        "TRUNCATE wallet.transactions",
        "INSERT INTO wallet.transactions SELECT * FROM wallet.transactions "
        "ON CONFLICT (lane, position) DO UPDATE SET amount = 1",
    )

    AROUND_IT = (
        "ALTER TABLE wallet.transactions DISABLE TRIGGER transactions_append_only",
        "DROP TRIGGER transactions_append_only ON wallet.transactions",
        "DROP TABLE wallet.transactions",
        "CREATE TABLE wallet.another (a int)",
        "DELETE FROM wallet.accounts",
        "DELETE FROM wallet.lanes",
        "TRUNCATE wallet.accounts",
        "UPDATE wallet.alembic_version SET version_num = '9'",
        "SET ROLE langsense_owner",
        "SET session_replication_role = replica",
    )

    async def test_to_the_services_role(self, engine: AsyncEngine, database: Database) -> None:
        await take(engine, [Placed(0, command(Kind.DEPOSIT))])
        before = await contents(database)
        for statement in (*self.REWRITES, *self.AROUND_IT):
            with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
                async with databases.transaction(engine) as connection:
                    await connection.execute(text(statement))
        assert await contents(database) == before

    @pytest.mark.parametrize("role", ["langsense_owner", "postgres"])
    async def test_to_the_owner_and_to_an_administrator(
        self, engine: AsyncEngine, database: Database, role: str
    ) -> None:
        await take(engine, [Placed(0, command(Kind.DEPOSIT))])
        before = await contents(database)
        connection = await asyncpg.connect(database.admin_dsn)
        try:
            await connection.execute(f"SET ROLE {role}")
            for statement in self.REWRITES:
                with pytest.raises(asyncpg.RaiseError, match="the journal is append-only"):
                    await connection.execute(statement)
        finally:
            await connection.close()
        assert await contents(database) == before


async def test_the_databases_own_lists_are_those_of_the_contract(database: Database) -> None:
    for name, members in (("transaction_kind", Kind), ("transaction_status", Status), ("account_class", Account)):
        rows = await as_administrator(database, f"SELECT unnest(enum_range(NULL::wallet.{name}))::text")
        assert [row[0] for row in rows] == [member.value for member in members]


async def test_the_primary_key_of_what_is_on_a_lane_begins_with_it(database: Database) -> None:
    rows = await as_administrator(
        database,
        """SELECT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
        WHERE i.indisprimary AND c.relnamespace = 'wallet'::regnamespace
            AND c.relname NOT IN ('alembic_version', 'reconciliations')""",
    )
    assert {row["relname"]: row["attname"] for row in rows} == dict.fromkeys((*TABLES, "checkpoints", "seals"), "lane")
