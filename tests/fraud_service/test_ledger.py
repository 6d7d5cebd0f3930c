"""The fraud service counts each bet once, whatever Kafka repeats, reorders or loses."""

import random
from collections import Counter
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.tables import bet_minutes, inbox, players
from shared import database as databases
from shared.broker import Publisher
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind, Reason, Status
from shared.contracts.topics import LEDGER_EVENTS
from shared.testing import MOMENT, FakeLedger
from tests.support import Instance, eventually, publish

pytestmark = pytest.mark.integration

Counts = dict[tuple[int, datetime], int]


def fill(ledger: FakeLedger, rows: int) -> None:
    """Rows of many players, minutes, kinds and outcomes."""
    draw = random.Random(rows)
    for count in range(rows):
        ledger.add(
            draw.choice([Kind.GAME_BET, Kind.GAME_BET, Kind.GAME_PAYOUT]),
            draw.randrange(1, 20),
            reason=draw.choice([None, None, Reason.INSUFFICIENT_FUNDS]),
            at=MOMENT + timedelta(seconds=count * 3),
        )


def expected(rows: list[LedgerEvent]) -> Counts:
    return Counter(
        (row.user_id, row.created_at.replace(second=0))
        for row in rows
        if row.kind is Kind.GAME_BET and row.status is Status.POSTED
    )


async def counted(engine: AsyncEngine) -> Counts:
    async with databases.reading(engine) as connection:
        found = await connection.execute(select(bet_minutes))
        return {(row.user_id, row.minute): row.bets for row in found}


async def until_reached(engine: AsyncEngine, ledger: FakeLedger) -> None:
    heads = {head.lane: head.position for head in await ledger.heads()}

    async def reached() -> bool:
        async with databases.reading(engine) as connection:
            found = await connection.execute(select(inbox))
            return {row.lane: row.position for row in found} == heads

    await eventually(reached)


async def test_rows_that_come_twice_and_out_of_order_are_counted_once(
    engine: AsyncEngine, instance: Instance, ledger: FakeLedger, publisher: Publisher
) -> None:
    fill(ledger, 300)
    rows = ledger.all() * 2
    random.Random(2).shuffle(rows)
    await publish(publisher, rows)
    async with instance():
        await until_reached(engine, ledger)
    assert await counted(engine) == expected(ledger.all())


async def test_rows_that_kafka_lost_come_from_the_journal(
    engine: AsyncEngine, instance: Instance, ledger: FakeLedger, publisher: Publisher
) -> None:
    fill(ledger, 200)
    last = [rows[-1] for lane in range(4) if (rows := [row for row in ledger.all() if row.lane == lane])]
    await publish(publisher, last)
    async with instance():
        await until_reached(engine, ledger)
    assert await counted(engine) == expected(ledger.all())


async def test_a_record_that_is_no_row_does_not_stop_its_neighbours(
    engine: AsyncEngine, instance: Instance, ledger: FakeLedger, publisher: Publisher
) -> None:
    fill(ledger, 50)
    for lane in range(4):
        await publisher.publish(LEDGER_EVENTS, key=b"1", value=b"not json", headers=[], partition=lane)
    await publish(publisher, ledger.all())
    async with instance():
        await until_reached(engine, ledger)
    assert await counted(engine) == expected(ledger.all())


@pytest.mark.slow
async def test_lanes_that_are_shared_by_two_instances_are_counted_once(
    engine: AsyncEngine, instance: Instance, ledger: FakeLedger, publisher: Publisher
) -> None:
    fill(ledger, 300)
    rows = ledger.all()
    async with instance():
        await publish(publisher, rows[::2])
        async with instance():
            await publish(publisher, rows)
            await until_reached(engine, ledger)
    assert await counted(engine) == expected(rows)


async def test_every_named_player_is_known_even_without_a_bet(
    engine: AsyncEngine, instance: Instance, ledger: FakeLedger, publisher: Publisher
) -> None:
    row = ledger.add(Kind.DEPOSIT, 77)
    await publish(publisher, [row])
    async with instance():
        await until_reached(engine, ledger)
    async with databases.reading(engine) as connection:
        assert [tuple(player) for player in await connection.execute(select(players))] == [(77, row.lane)]
