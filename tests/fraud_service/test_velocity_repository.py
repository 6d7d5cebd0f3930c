"""The fraud service's SQL, on PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.domain import velocity as domain
from fraud_service.domain.velocity import Bucket
from fraud_service.repository import velocity as repository
from fraud_service.repository.velocity import EXPIRED_PER_BATCH, Known, Reads
from fraud_service.tables import bet_minutes, inbox
from shared import database as databases
from shared.contracts.events import LanePosition, LedgerEvent
from shared.contracts.kinds import Kind
from shared.testing import MOMENT, FakeLedger

pytestmark = pytest.mark.integration

LONG_AGO = MOMENT - timedelta(days=400)


async def save(engine: AsyncEngine, rows: Sequence[LedgerEvent], keep_since: datetime = LONG_AGO) -> None:
    async with databases.transaction(engine) as connection:
        await repository.save(connection, domain.fold(rows), keep_since=keep_since)


async def load(engine: AsyncEngine, user_id: int, since: datetime = LONG_AGO) -> Known | None:
    return await Reads(engine).player(user_id, since)


@pytest.fixture(autouse=True)
async def applied(engine: AsyncEngine) -> None:
    async with databases.transaction(engine) as connection:
        await connection.execute(insert(inbox), [{"lane": lane, "position": 100 + lane} for lane in range(4)])


async def test_batches_add_up(engine: AsyncEngine, ledger: FakeLedger) -> None:
    bet = ledger.add(Kind.GAME_BET, 1)
    await save(engine, [bet, ledger.add(Kind.GAME_BET, 1)])
    await save(engine, [ledger.add(Kind.GAME_BET, 1), ledger.add(Kind.GAME_BET, 1, at=MOMENT + timedelta(minutes=1))])
    assert await load(engine, 1) == Known(
        [Bucket(MOMENT, 3), Bucket(MOMENT + timedelta(minutes=1), 1)], LanePosition(bet.lane, 100 + bet.lane)
    )


async def test_the_window_begins_where_it_is_asked_to(engine: AsyncEngine, ledger: FakeLedger) -> None:
    await save(engine, [ledger.add(Kind.GAME_BET, 1, at=MOMENT + timedelta(minutes=m)) for m in range(5)])
    known = await load(engine, 1, MOMENT + timedelta(minutes=3))
    assert known is not None
    assert [bucket.minute for bucket in known.buckets] == [MOMENT + timedelta(minutes=m) for m in (3, 4)]


async def test_a_player_that_no_row_names_is_unknown(engine: AsyncEngine, ledger: FakeLedger) -> None:
    await save(engine, [ledger.add(Kind.DEPOSIT, 1)])
    assert await load(engine, 1) is not None
    assert await load(engine, 2) is None


async def test_what_is_past_its_time_goes_and_nothing_else(engine: AsyncEngine, ledger: FakeLedger) -> None:
    await save(engine, [ledger.add(Kind.GAME_BET, user, at=MOMENT - timedelta(days=8)) for user in (1, 2)])
    await save(engine, [ledger.add(Kind.GAME_BET, 1)])
    await save(engine, [ledger.add(Kind.DEPOSIT, 3)], keep_since=MOMENT)
    for user, buckets in ((1, [Bucket(MOMENT, 1)]), (2, [])):
        known = await load(engine, user)
        assert known is not None
        assert known.buckets == buckets


async def test_one_batch_deletes_a_bounded_number_of_rows(engine: AsyncEngine, ledger: FakeLedger) -> None:
    old = [
        {"user_id": 1, "minute": LONG_AGO + timedelta(minutes=count), "bets": 1}
        for count in range(EXPIRED_PER_BATCH + 10)
    ]
    async with databases.transaction(engine) as connection:
        await connection.execute(insert(bet_minutes), old)
    for left in (10, 0):
        await save(engine, [ledger.add(Kind.DEPOSIT, 3)], keep_since=MOMENT)
        async with databases.reading(engine) as connection:
            assert (await connection.execute(select(func.count()).select_from(bet_minutes))).scalar_one() == left
