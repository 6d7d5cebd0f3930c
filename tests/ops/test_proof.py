"""The proof finds what was altered in SQL, by someone who may do anything but does not have the key."""

import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ops import proof
from ops.proof import Check
from shared import database as databases
from shared.contracts.kinds import Kind
from shared.lanes import lane_of
from shared.signing import ChainKeys
from tests.support import LANES, Database
from tests.wallet_service.support import command
from wallet_service import repository, tables
from wallet_service.domain.batch import Batch, Placed, needs

pytestmark = pytest.mark.integration

KEYS = ChainKeys({"k1": bytes(range(32))}, "k1")
PLAYERS = range(1, 30)


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    engine = databases.create_engine(database.dsn("wallet_service"), application="test", schema=tables.SCHEMA)
    yield engine
    await engine.dispose()


@pytest.fixture
async def administrator(database: Database, engine: AsyncEngine) -> AsyncIterator[asyncpg.Connection]:
    """Whoever owns the server, on a database with a few hundred honest rows."""
    for round_number in range(4):
        placed = []
        for user_id in PLAYERS:
            lane = lane_of(user_id, LANES)
            reference = f"g-{round_number}-{user_id}"
            placed += [
                Placed(lane, command(Kind.DEPOSIT, 10_000, user_id)),
                Placed(lane, command(Kind.GAME_BET, 400, user_id, reference_id=reference)),
                Placed(lane, command(Kind.GAME_BET, 10**9, user_id, reference_id=f"{reference}-too-much")),
                Placed(lane, command(Kind.WITHDRAWAL_HOLD, 100, user_id, reference_id=f"hold-{reference}")),
            ]
        async with databases.transaction(engine) as connection:
            loaded = await repository.load(connection, needs(placed))
            batch = Batch(loaded, KEYS)
            for lane, each in placed:
                batch.answer(lane, each)
            offsets = repository.Offsets(dict.fromkeys(range(LANES), 0), {})
            await repository.save(connection, batch.changes, offsets, loaded.now)
    connection = await asyncpg.connect(database.admin_dsn)
    await connection.execute("ALTER TABLE wallet.transactions DISABLE TRIGGER USER")
    yield connection
    await connection.close()


async def checks(database: Database, keys: ChainKeys = KEYS) -> dict[str, Check]:
    async with proof.snapshot(database.dsn("wallet_service")) as connection:
        found = [
            await proof.conserved(connection),
            await proof.folded(connection),
            await proof.chained(connection, keys),
        ]
    return {check.name: check for check in found}


async def broken(database: Database) -> dict[str, list[str]]:
    return {name: check.findings for name, check in (await checks(database)).items() if not check.holds}


async def test_an_honest_ledger_holds(database: Database, administrator: asyncpg.Connection) -> None:
    found = await checks(database)
    assert all(check.holds for check in found.values())
    assert found["chain verified"].looked_at == f"{len(PLAYERS) * 16} rows in {LANES} lanes"


TAMPERED = {
    "a changed amount": "UPDATE transactions SET amount = amount + 1 WHERE lane = 1 AND position = 5",
    "a changed refusal": "UPDATE transactions SET reason = 'EXPIRED' WHERE lane = 1 AND position = 7",
    "a refusal made posted": "UPDATE transactions SET status = 'posted' WHERE lane = 1 AND position = 7",
    "another player": "UPDATE transactions SET user_id = user_id + 1 WHERE lane = 1 AND position = 5",
    "another time": "UPDATE transactions SET created_at = created_at + interval '1 us' WHERE lane = 1 AND position = 5",
    "a row deleted in the middle": "DELETE FROM transactions WHERE lane = 1 AND position = 5",
    "the tail cut off": "DELETE FROM transactions WHERE lane = 1 AND position > 20",
    "two rows swapped": """
        UPDATE transactions SET position = -1 WHERE lane = 1 AND position = 5;
        UPDATE transactions SET position = 5 WHERE lane = 1 AND position = 6;
        UPDATE transactions SET position = 6 WHERE lane = 1 AND position = -1""",
    "a line feed moved into a neighbour": """
        UPDATE transactions SET reference_id = reference_id || E'\\n' || coalesce(round_id, ''), round_id = NULL
        WHERE lane = 1 AND position = 6""",
}


@pytest.mark.parametrize("statement", TAMPERED.values(), ids=TAMPERED.keys())
async def test_what_was_altered_is_found(statement: str, database: Database, administrator: asyncpg.Connection) -> None:
    await administrator.execute(statement)
    assert any("lane 1" in finding for finding in (await broken(database))["chain verified"])


async def test_a_row_made_up_at_the_end_is_found(database: Database, administrator: asyncpg.Connection) -> None:
    await administrator.execute(
        """CREATE TEMP TABLE forged AS SELECT * FROM transactions WHERE lane = 1 ORDER BY position DESC LIMIT 1;
        UPDATE forged SET position = position + 1, id = gen_random_uuid();
        INSERT INTO transactions SELECT * FROM forged"""
    )
    assert "checksum mismatch" in (await broken(database))["chain verified"][0]


async def test_a_row_hashed_again_with_another_key_is_found(
    database: Database, administrator: asyncpg.Connection
) -> None:
    found = await checks(database, ChainKeys({"k1": secrets.token_bytes(32)}, "k1"))
    assert len(found["chain verified"].findings) == LANES


async def test_a_balance_edited_without_a_row_is_found(database: Database, administrator: asyncpg.Connection) -> None:
    await administrator.execute("UPDATE accounts SET cash = cash + 1 WHERE user_id = 7")
    found = await broken(database)
    assert "all USD accounts sum to 1" in found["money conserved"][0]
    assert "player 7" in found["balances equal the fold of the journal"][0]


async def test_two_balances_edited_so_that_the_sum_holds_are_found(
    database: Database, administrator: asyncpg.Connection
) -> None:
    await administrator.execute("UPDATE accounts SET cash = cash + 1 WHERE user_id = 7")
    await administrator.execute(
        "UPDATE house_accounts SET balance = balance - 1 WHERE lane = 2 AND account = 'revenue'"
    )
    found = await broken(database)
    assert "money conserved" not in found
    assert len(found["balances equal the fold of the journal"]) == 2


async def test_a_whole_lane_removed_with_its_entry_leaves_balances_without_a_journal(
    database: Database, administrator: asyncpg.Connection
) -> None:
    await administrator.execute("DELETE FROM transactions WHERE lane = 1; DELETE FROM lanes WHERE lane = 1")
    assert "balances equal the fold of the journal" in await broken(database)
