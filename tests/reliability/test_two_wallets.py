"""Two wallets on the same lanes, which move between them: every command has exactly one decision."""

from collections.abc import Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker import BrokerOptions
from tests.reliability.support import Books, Players, Service
from tests.reliability.test_kill import BEFORE_IT_WRITES, held, in_mid_batch
from tests.support import Database, eventually

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]


async def test_lanes_that_move_to_and_fro(kafka: BrokerOptions, books: Books, service: Callable[..., Service]) -> None:
    players = Players(kafka, seed=11)
    steady, guest = service(), service()
    async with players.playing():
        steady.start()
        await books.until_more(50)
        for _ in range(2):
            guest.start()
            await guest.until_ready()
            await books.until_more_on_every_lane()
            await guest.stop()
            await books.until_more_on_every_lane()
    await books.until_all_decided(players)
    await books.verify(players)


async def test_a_wallet_that_stood_still_in_mid_batch_and_comes_back(
    engine: AsyncEngine, database: Database, kafka: BrokerOptions, books: Books, service: Callable[..., Service]
) -> None:
    players = Players(kafka, seed=12)
    zombie, heir = service(), service()
    async with players.playing():
        zombie.start()
        await books.until_more(50)
        async with held(engine, BEFORE_IT_WRITES):
            await eventually(lambda: in_mid_batch(database))
            zombie.freeze()
        # It has its lanes' locks now, and does nothing. Kafka gives its lanes away; PostgreSQL takes its locks.
        heir.start()
        await books.until_more_on_every_lane()
        zombie.thaw()
        await zombie.until_ready()
        await books.until_more_on_every_lane()
    await books.until_all_decided(players)
    await books.verify(players)
    await zombie.stop()
    await heir.stop()
