"""The inbox: each ledger row once, in lane order, in one transaction with its effect."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy import BigInteger, Column, MetaData, SmallInteger, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import database as databases
from shared import delivery, inbox
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind
from shared.errors import BrokerUnavailable, ServiceUnavailable, TransientError
from shared.inbox import LedgerInbox, inbox_table
from shared.tasks import BackgroundTasks
from shared.telemetry import Metrics
from shared.testing import FakeLedger
from tests.support import Database, Recorder, eventually, record

pytestmark = pytest.mark.integration

metadata = MetaData(schema="public")
positions = inbox_table(metadata)
# Its key is that of a ledger row, so that a row which is applied twice is an error.
effects = Table(
    "effects",
    metadata,
    Column("lane", SmallInteger, primary_key=True),
    Column("position", BigInteger, primary_key=True),
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_DELAY_S", 0.001)
    monkeypatch.setattr(inbox, "HEADS_EVERY_S", 0.01)


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    engine = databases.create_engine(database.admin_dsn, application="test", schema="public", pool_size=10)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


async def apply(connection: AsyncConnection, events: Sequence[LedgerEvent]) -> None:
    await connection.execute(insert(effects), [{"lane": row.lane, "position": row.position} for row in events])


@pytest.fixture
def taken(engine: AsyncEngine, ledger: FakeLedger, recorder: Recorder) -> LedgerInbox:
    return LedgerInbox(
        engine=engine, table=positions, journal=ledger, publisher=recorder, apply=apply, metrics=Metrics()
    )


async def applied(engine: AsyncEngine) -> list[tuple[int, int]]:
    async with databases.reading(engine) as connection:
        found = await connection.execute(select(effects).order_by(effects.c.lane, effects.c.position))
        return [(row.lane, row.position) for row in found]


def fill(ledger: FakeLedger, rows: int) -> list[tuple[int, int]]:
    for count in range(rows):
        ledger.add(Kind.GAME_BET, 1 + count % 10)
    return [(row.lane, row.position) for row in ledger.all()]


async def test_instances_that_take_the_same_rows_at_once_apply_each_once(
    engine: AsyncEngine, ledger: FakeLedger, taken: LedgerInbox
) -> None:
    # The second time, the inbox has a row of each lane, and only its lock keeps the instances apart.
    for _ in range(2):
        expected = fill(ledger, 60)
        rows = [record(row.model_dump_json().encode()) for row in ledger.all()]
        await asyncio.gather(*(taken.take(rows[start:]) for start in (0, 0, 10, 20, 30)))
        assert await applied(engine) == expected


async def test_an_effect_that_fails_leaves_the_position_where_it_was(
    engine: AsyncEngine, ledger: FakeLedger, recorder: Recorder, taken: LedgerInbox
) -> None:
    async def broken(connection: AsyncConnection, events: Sequence[LedgerEvent]) -> None:
        await apply(connection, events)
        raise ZeroDivisionError

    failing = LedgerInbox(
        engine=engine, table=positions, journal=ledger, publisher=recorder, apply=broken, metrics=Metrics()
    )
    expected = fill(ledger, 5)
    rows = [record(row.model_dump_json().encode()) for row in ledger.all()]
    with pytest.raises(ZeroDivisionError):
        await failing.take(rows)
    assert await applied(engine) == []
    assert await failing.positions() == {}
    await taken.take(rows)
    assert await applied(engine) == expected


async def test_a_gap_that_the_journal_cannot_fill_yet_makes_the_batch_come_again(
    engine: AsyncEngine, ledger: FakeLedger, taken: LedgerInbox
) -> None:
    row = ledger.add(Kind.GAME_BET, 1)
    ahead = row.model_copy(update={"position": 3})
    with pytest.raises(TransientError, match="no row 2 yet"):
        await taken.take([record(ahead.model_dump_json().encode())])
    assert await applied(engine) == [(row.lane, 1)]


async def test_a_gap_with_no_wallet_makes_the_batch_come_again(
    engine: AsyncEngine, ledger: FakeLedger, taken: LedgerInbox
) -> None:
    fill(ledger, 30)
    ledger.available = False
    with pytest.raises(ServiceUnavailable):
        await taken.take([record(ledger.all()[-1].model_dump_json().encode())])
    assert await applied(engine) == []


async def test_rows_that_kafka_brings_need_no_wallet_even_when_they_come_twice(
    engine: AsyncEngine, ledger: FakeLedger, taken: LedgerInbox
) -> None:
    ledger.available = False
    for _ in range(2):
        expected = fill(ledger, 30)
        await taken.take([record(row.model_dump_json().encode()) for row in ledger.all()])
    assert await applied(engine) == expected
    assert ledger.refused == 0


async def test_the_last_row_of_a_batch_need_not_be_the_furthest(
    engine: AsyncEngine, ledger: FakeLedger, taken: LedgerInbox
) -> None:
    rows = [ledger.add(Kind.GAME_BET, 1) for _ in range(3)]
    await taken.take([record(rows[index].model_dump_json().encode()) for index in (2, 0, 1)])
    assert await applied(engine) == [(rows[0].lane, position) for position in (1, 2, 3)]


async def test_what_is_no_row_is_put_aside(engine: AsyncEngine, recorder: Recorder, taken: LedgerInbox) -> None:
    await taken.take([record(b"nonsense")])
    assert [(topic, value) for topic, _, value, _, _ in recorder.sent] == [("ledger.events.v1.parked", b"nonsense")]


async def test_what_cannot_be_put_aside_makes_the_batch_come_again(
    engine: AsyncEngine, ledger: FakeLedger, recorder: Recorder, taken: LedgerInbox
) -> None:
    fill(ledger, 3)
    recorder.away = True
    with pytest.raises(BrokerUnavailable):
        await taken.take([record(row.model_dump_json().encode()) for row in ledger.all()] + [record(b"nonsense")])
    assert await applied(engine) == []


async def test_the_watch_finds_what_kafka_never_brought_and_outlives_a_wallet_that_is_away(
    engine: AsyncEngine, ledger: FakeLedger, taken: LedgerInbox
) -> None:
    expected = fill(ledger, 20)
    ledger.available = False
    tasks = BackgroundTasks()
    tasks.start("watch", taken.watch())

    async def asked() -> bool:
        return ledger.refused > 2

    async def healed() -> bool:
        return await applied(engine) == expected

    await eventually(asked)
    assert tasks.problem() is None
    ledger.available = True
    await eventually(healed)
    await tasks.stop()
