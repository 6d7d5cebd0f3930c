"""The metrics service's SQL, on PostgreSQL."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from metrics_service import domain, repository
from metrics_service.domain import Line
from metrics_service.repository import Reads
from metrics_service.tables import inbox
from shared import database as databases
from shared.contracts.events import LedgerEvent
from shared.contracts.fields import MAX_INT64
from shared.contracts.kinds import Kind, Reason
from shared.testing import MOMENT, FakeLedger

pytestmark = pytest.mark.integration


async def save(engine: AsyncEngine, rows: Sequence[LedgerEvent]) -> None:
    async with databases.transaction(engine) as connection:
        await repository.save(connection, domain.fold(rows))


async def test_batches_and_lanes_add_up(engine: AsyncEngine, ledger: FakeLedger) -> None:
    for _ in range(2):
        await save(engine, [ledger.add(Kind.GAME_BET, player, 100) for player in range(1, 21)])
    await save(engine, [ledger.add(Kind.GAME_BET, 1, 5, reason=Reason.EXPIRED)])
    assert (await Reads(engine).totals()).lines == [
        Line("USD", "GAME_BET", "posted", "", 40, 4000),
        Line("USD", "GAME_BET", "refused", "EXPIRED", 1, 5),
    ]


async def test_a_day_is_kept_apart_from_its_neighbours(engine: AsyncEngine, ledger: FakeLedger) -> None:
    for days in (-1, 0, 1):
        await save(engine, [ledger.add(Kind.DEPOSIT, 1, 10 + days, at=MOMENT + timedelta(days=days))])
    reads = Reads(engine)
    assert (await reads.totals(MOMENT.date())).lines == [Line("USD", "DEPOSIT", "posted", "", 1, 10)]
    assert (await reads.totals()).lines == [Line("USD", "DEPOSIT", "posted", "", 3, 30)]


async def test_a_sum_may_be_larger_than_any_amount(engine: AsyncEngine, ledger: FakeLedger) -> None:
    largest = ledger.add(Kind.DEPOSIT, 1).model_copy(update={"amount_minor": MAX_INT64})
    await save(engine, [largest] * 3)
    await save(engine, [largest])
    assert (await Reads(engine).totals()).lines == [Line("USD", "DEPOSIT", "posted", "", 4, 4 * MAX_INT64)]


async def test_positions_are_those_of_the_inbox(engine: AsyncEngine) -> None:
    assert (await Reads(engine).totals()).positions == {}
    async with databases.transaction(engine) as connection:
        await connection.execute(insert(inbox), [{"lane": 3, "position": 9}, {"lane": 0, "position": 1021}])
    assert list((await Reads(engine).totals()).positions.items()) == [(0, 1021), (3, 9)]
