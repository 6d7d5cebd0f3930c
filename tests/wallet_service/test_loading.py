"""What a batch loads: its lanes are locked until it is kept, and only its own decisions are found."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database as databases
from shared.contracts.kinds import Kind, Status
from shared.errors import DatabaseUnavailable
from tests.support import Database, as_administrator, eventually
from tests.wallet_service.batches import KEYS, RULES, take
from tests.wallet_service.support import command
from wallet_service import repository
from wallet_service.domain.batch import Batch
from wallet_service.domain.needs import DecisionKey, Placed, needs
from wallet_service.repository import Offsets, Reads

pytestmark = pytest.mark.integration


class TestTheLaneIsLocked:
    """Whoever decides on a lane does so alone, and sees what the one before decided."""

    async def test_two_owners_take_turns(self, engine: AsyncEngine, database: Database) -> None:
        deposit, placed = command(Kind.DEPOSIT), [Placed(0, command(Kind.GAME_BET, 700)) for _ in range(2)]
        await take(engine, [Placed(0, deposit)])
        async with databases.transaction(engine) as first:
            loaded = await repository.load(first, needs(placed[:1]), RULES.windows)
            second = asyncio.create_task(take(engine, [*placed[:1], *placed[1:]]))
            await eventually(lambda: _somebody_waits(database))
            batch = Batch(loaded, KEYS, RULES)
            batch.answer(*placed[0])
            await repository.save(first, batch.changes, Offsets({0: 1}, {}), loaded.now)
            assert not second.done()
        theirs, own = await second
        # Its own look at the money came after the first owner's bet.
        assert theirs.replayed
        assert (own.row.content.status, own.row.content.reason) == (Status.REFUSED, "INSUFFICIENT_FUNDS")
        assert own.row.content.position == 3

    async def test_owners_of_other_lanes_do_not_wait(self, engine: AsyncEngine) -> None:
        async with databases.transaction(engine) as first:
            await repository.load(first, needs([Placed(0, command(Kind.DEPOSIT))]), RULES.windows)
            async with asyncio.timeout(5):
                await take(engine, [Placed(1, command(Kind.DEPOSIT))])

    async def test_a_new_lane_is_made_once(self, engine: AsyncEngine, reads: Reads) -> None:
        await asyncio.gather(*(take(engine, [Placed(2, command(Kind.DEPOSIT))]) for _ in range(4)))
        (mark,) = await reads.lanes()
        assert (mark.lane, mark.position) == (2, 4)

    async def test_noting_what_was_published_never_waits_for_a_batch(self, engine: AsyncEngine, reads: Reads) -> None:
        await take(engine, [Placed(lane, command(Kind.DEPOSIT)) for lane in (0, 1)])
        async with databases.transaction(engine) as batch:
            await repository.load(batch, needs([Placed(0, command(Kind.DEPOSIT))]), RULES.windows)
            async with asyncio.timeout(5):
                await reads.mark_published({0: 1, 1: 1})
        assert {mark.lane: mark.published for mark in await reads.lanes()} == {0: 0, 1: 1}

    async def test_the_mark_of_what_was_published_never_goes_back(self, engine: AsyncEngine, reads: Reads) -> None:
        await take(engine, [Placed(0, command(Kind.DEPOSIT)) for _ in range(3)])
        await reads.mark_published({0: 3})
        await reads.mark_published({0: 2})
        await take(engine, [Placed(0, command(Kind.DEPOSIT))])
        assert [mark.published for mark in await reads.lanes()] == [3]

    async def test_an_owner_that_stands_still_gives_its_lanes_back(self, engine: AsyncEngine) -> None:
        async with databases.reading(engine) as connection:
            timeout = await connection.scalar(text("SHOW idle_in_transaction_session_timeout"))
        assert timeout == f"{databases.IDLE_IN_TRANSACTION_TIMEOUT_S}s"

    async def test_an_owner_that_stood_still_for_too_long_is_to_try_again(
        self, engine: AsyncEngine, database: Database
    ) -> None:
        async def let_go() -> bool:
            owners = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'test'"
            return not await as_administrator(database, owners)

        async def stand_still() -> None:
            async with databases.transaction(engine) as connection:
                await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '50ms'"))
                await eventually(let_go)
                await repository.load(connection, needs([Placed(0, command(Kind.DEPOSIT))]), RULES.windows)

        with pytest.raises(DatabaseUnavailable):
            await stand_still()


async def _somebody_waits(database: Database) -> bool:
    rows = await as_administrator(
        database, "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(rows)


async def test_a_decision_is_found_by_lane_and_id(engine: AsyncEngine) -> None:
    each = command(Kind.DEPOSIT)
    await take(engine, [Placed(1, each)])
    async with databases.transaction(engine) as connection:
        loaded = await repository.load(connection, needs([Placed(0, each), Placed(1, each)]), RULES.windows)
    assert list(loaded.decisions) == [DecisionKey(1, each.command_id)]
