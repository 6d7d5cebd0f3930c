"""One contract, two journals: the wallet service's own, over HTTP, and the fake that the tests stand on."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI

from shared import database as databases
from shared import problems
from shared.contracts.commands import Command
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind, Status
from shared.journal import HttpJournal, Journal
from shared.lanes import lane_of
from shared.signing import ChainKeys
from shared.testing import MOMENT, FakeLedger
from tests.support import LANES, TOKEN, Database
from tests.wallet_service.support import RULES
from wallet_service import endpoints, repository, tables
from wallet_service.domain.batch import Batch
from wallet_service.domain.needs import Placed, needs
from wallet_service.repository import Offsets, Reads
from wallet_service.settings import Settings

CHAIN_KEYS = "k1:" + "a1" * 32

Deposit = Callable[[int, int], Awaitable[None]]
Books = tuple[Journal, Deposit]


@asynccontextmanager
async def fake() -> AsyncIterator[Books]:
    ledger = FakeLedger(LANES)

    async def deposit(user_id: int, amount_minor: int) -> None:
        ledger.add(Kind.DEPOSIT, user_id, amount_minor)

    yield ledger, deposit


@asynccontextmanager
async def real(database: Database) -> AsyncIterator[Books]:
    dsn = database.dsn("wallet_service")
    engine = databases.create_engine(dsn, application="test", schema=tables.SCHEMA)
    settings = Settings.load(
        kafka_bootstrap_servers="127.0.0.1:1",
        internal_api_token=TOKEN,
        lanes=LANES,
        wallet_database_url=dsn,
        chain_keys=CHAIN_KEYS,
        checkpoint_keys="s1:" + "c3" * 32,
        checkpoint_sink="file:///nowhere",
    )
    app = FastAPI()
    problems.install(app)
    app.include_router(endpoints.router(settings, Reads(engine, LANES)))

    async def deposit(user_id: int, amount_minor: int) -> None:
        command = Command(
            command_id=uuid4(),
            kind=Kind.DEPOSIT,
            user_id=user_id,
            amount_minor=amount_minor,
            currency="USD",
            provider="bank",
            occurred_at=MOMENT,
        )
        lane = lane_of(user_id, LANES)
        async with databases.transaction(engine) as connection:
            loaded = await repository.load(connection, needs([Placed(lane, command)]), RULES.windows)
            batch = Batch(loaded, ChainKeys.parse(CHAIN_KEYS), RULES)
            batch.answer(lane, command)
            await repository.save(connection, batch.changes, Offsets({lane: 1}, {}), loaded.now)

    headers = {"Authorization": f"Bearer {TOKEN}"}
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://wallet", headers=headers) as client:
        yield HttpJournal(client), deposit
    await engine.dispose()


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.integration)])
async def books(request: pytest.FixtureRequest) -> AsyncIterator[Books]:
    opened = fake() if request.param == "fake" else real(request.getfixturevalue("database"))
    async with opened as books:
        yield books


def amounts(rows: Sequence[LedgerEvent]) -> list[int]:
    return [row.amount_minor for row in rows]


async def test_an_empty_journal_has_no_rows(books: Books) -> None:
    journal, _ = books
    assert [head for head in await journal.heads() if head.position > 0] == []
    assert list(await journal.rows(0, 0, 1000)) == []


async def test_rows_come_in_order_above_a_position_and_up_to_a_limit(books: Books) -> None:
    journal, deposit = books
    lane = lane_of(1, LANES)
    for amount in (10, 20, 30, 40, 50):
        await deposit(1, amount)
    assert amounts(await journal.rows(lane, 0, 1000)) == [10, 20, 30, 40, 50]
    assert amounts(await journal.rows(lane, 2, 2)) == [30, 40]
    assert [row.position for row in await journal.rows(lane, 2, 2)] == [3, 4]
    assert list(await journal.rows(lane, 5, 1000)) == []
    assert list(await journal.rows(lane, 500, 1)) == []


async def test_a_row_says_what_was_decided(books: Books) -> None:
    journal, deposit = books
    await deposit(1, 10)
    (row,) = await journal.rows(lane_of(1, LANES), 0, 1)
    assert (row.user_id, row.kind, row.status, row.currency) == (1, Kind.DEPOSIT, Status.POSTED, "USD")
    assert (row.debit, row.credit, row.provider, row.reason) == ("clearing", "cash", "bank", None)
    assert row.created_at.utcoffset() == MOMENT.utcoffset()
    assert row == LedgerEvent.model_validate_json(row.model_dump_json())


async def test_every_lane_with_rows_has_its_head(books: Books) -> None:
    journal, deposit = books
    for user_id in range(1, 21):
        await deposit(user_id, user_id)
    heads = [head for head in await journal.heads() if head.position > 0]
    assert [head.lane for head in heads] == list(range(LANES))
    assert sum(head.position for head in heads) == 20
    for head in heads:
        rows = await journal.rows(head.lane, 0, 1000)
        assert rows[-1].position == head.position
        assert rows[-1].checksum == head.head
        assert 0 <= head.published <= head.position
