"""The wallet is killed in mid-batch, under load, again and again: every command has exactly one decision.

WALLET_KILLS is how often, in tens; `make chaos` has it at sixty.
"""

import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database as databases
from shared.broker import BrokerOptions
from tests.reliability.support import Books, Players, Service, forget_members
from tests.support import Database, as_administrator, eventually
from tests.wallet_service.client import Client

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

KILLS = int(os.environ.get("WALLET_KILLS", "20"))

# Where the wallet is when it is killed. The first two are held there by a lock until it is dead.
BEFORE_IT_WRITES = "SELECT 1 FROM lanes FOR UPDATE"
AFTER_IT_WROTE_ROWS = "SELECT 1 FROM accounts FOR UPDATE"
WHEREVER_IT_IS = None


async def killed_ten_times(
    engine: AsyncEngine, database: Database, kafka: BrokerOptions, books: Books, wallet: Service, seed: int
) -> Players:
    players, draw = Players(kafka, seed), random.Random(seed)
    async with players.playing():
        wallet.start()
        await wallet.until_ready()
        for moment in [BEFORE_IT_WRITES, AFTER_IT_WROTE_ROWS, *[WHEREVER_IT_IS] * 3] * 2:
            await books.until_more(draw.randrange(5, 60))
            if moment is WHEREVER_IT_IS:
                wallet.kill()
            else:
                async with held(engine, moment):
                    await eventually(lambda: in_mid_batch(database))
                    wallet.kill()
            await forget_members(kafka)
            wallet.start()
    await books.until_all_decided(players)
    return players


@asynccontextmanager
async def held(engine: AsyncEngine, lock: str) -> AsyncIterator[None]:
    """Whoever needs these rows waits for the length of the block."""
    async with databases.transaction(engine) as connection:
        await connection.execute(text(lock))
        yield


async def in_mid_batch(database: Database) -> bool:
    """Whether the wallet's transaction is open, and stands still."""
    return bool(
        await as_administrator(
            database,
            """SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
            AND application_name = 'wallet_service' AND wait_event_type = 'Lock'""",
        )
    )


async def test_a_wallet_that_is_killed_ten_times_decides_every_command_once(
    engine: AsyncEngine, database: Database, kafka: BrokerOptions, books: Books, service: Callable[..., Service]
) -> None:
    wallet = service()
    players = await killed_ten_times(engine, database, kafka, books, wallet, seed=1)
    await books.verify(players)
    # Whoever asks now, for whatever the killed wallets decided, gets that decision.
    asked = random.Random(2).sample(list(players.sent.values()), 50)
    async with Client(kafka) as client:
        for reply in await client.ask(*asked):
            assert reply.replayed
            assert reply.transaction is not None
            assert reply.transaction.checksum == await books.checksum(reply.command_id)
    await wallet.stop()


@pytest.mark.parametrize("seed", range(2, KILLS // 10 + 1))
async def test_and_ten_times_more(
    engine: AsyncEngine,
    database: Database,
    kafka: BrokerOptions,
    books: Books,
    service: Callable[..., Service],
    seed: int,
) -> None:
    await books.verify(await killed_ten_times(engine, database, kafka, books, service(), seed))
