"""Commands while the database fails: each is decided once all the same, and none is parked for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import database as databases
from shared.broker import BrokerOptions
from shared.errors import DatabaseUnavailable
from shared.lanes import lane_of
from tests.support import LANES, Database, as_administrator, eventually, started
from tests.wallet_service.client import Client, events
from tests.wallet_service.support import RULES, all_published, decision, fresh
from wallet_service import repository
from wallet_service.app import create_app
from wallet_service.domain.needs import Needs
from wallet_service.handlers import commands
from wallet_service.repository import Reads
from wallet_service.settings import Settings

pytestmark = pytest.mark.integration

USER = 42
LANE = lane_of(USER, LANES)


class TestAFailingDatabase:
    """What a retry can mend is mended by one; every command is decided once all the same."""

    async def test_a_connection_that_is_lost_in_mid_batch(
        self, client: Client, settings: Settings, engine: AsyncEngine, database: Database, reads: Reads
    ) -> None:
        await _make_lane(engine)
        async with started(create_app(settings)):
            async with _lane_locked(engine):
                deposits = [fresh() for _ in range(3)]
                await client.send(*deposits)
                await eventually(lambda: _ended_while_it_waits(database))
            replies = await client.replies(3)
        assert {decision(reply) for reply in replies} == {("posted", None)}
        assert [row.content.command_id for row in await reads.journal(LANE, 0, 10)] == [
            each.command_id for each in deposits
        ]

    async def test_a_commit_whose_answer_is_lost(
        self,
        client: Client,
        settings: Settings,
        kafka: BrokerOptions,
        reads: Reads,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        lost = _Lost(times=1)
        monkeypatch.setattr(commands, "database", lost)
        deposits = [fresh() for _ in range(3)]
        await client.send(*deposits)
        async with started(create_app(settings)):
            replies = await client.replies(3)
            assert lost.times == 0
            # The retry found the decisions: nothing was decided twice, and the events come from the journal.
            await eventually(lambda: all_published(reads, LANE, 3))
        assert all(reply.replayed for reply in replies)
        assert {decision(reply) for reply in replies} == {("posted", None)}
        rows = await reads.journal(LANE, 0, 10)
        assert [row.content.command_id for row in rows] == [each.command_id for each in deposits]
        assert [event.position for event in (await events(kafka))[LANE]] == [1, 2, 3]

    async def test_a_batch_that_fails_longer_than_it_is_retried_comes_again(
        self, client: Client, settings: Settings, reads: Reads, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(commands, "ATTEMPTS", 1)
        monkeypatch.setattr("shared.broker.consumers.FAILED_BATCH_PAUSE_S", 0.05)
        lost = _Lost(times=4)
        monkeypatch.setattr(commands, "database", lost)
        deposits = [fresh(user_id=user) for user in range(1, 21)]
        await client.send(*deposits)
        async with started(create_app(settings)):
            replies = await client.replies(20)
        assert lost.times == 0
        assert {decision(reply) for reply in replies} == {("posted", None)}
        rows = [row for lane in range(LANES) for row in await reads.journal(lane, 0, 100)]
        assert sorted(row.content.command_id for row in rows) == sorted(each.command_id for each in deposits)

    @pytest.mark.parametrize(
        ("wrong", "right"),
        [
            (
                "ALTER ROLE wallet_service IN DATABASE {} SET default_transaction_read_only = on",
                "ALTER ROLE wallet_service IN DATABASE {} RESET default_transaction_read_only",
            ),
            (
                "REVOKE INSERT ON wallet.transactions FROM wallet_service",
                "GRANT INSERT ON wallet.transactions TO wallet_service",
            ),
        ],
        ids=["read-only", "without rights"],
    )
    async def test_a_database_that_refuses_everything_is_waited_for_and_nothing_is_parked(
        self,
        wrong: str,
        right: str,
        client: Client,
        settings: Settings,
        database: Database,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("shared.broker.consumers.FAILED_BATCH_PAUSE_S", 0.05)
        ((name,),) = await as_administrator(database, "SELECT quote_ident(current_database())")
        await as_administrator(database, wrong.format(name))
        deposits = [fresh(user_id=user) for user in range(1, 21)]
        await client.send(*deposits)
        async with started(create_app(settings)) as http:
            await eventually(lambda: _failed_some_times(http))
            await as_administrator(database, right.format(name))
            await as_administrator(database, _END_THE_WALLETS_CONNECTIONS)
            replies = await client.replies(20)
            assert "langsense_records_parked_total{" not in (await http.get("/metrics")).text
        assert {decision(reply) for reply in replies} == {("posted", None)}


_END_THE_WALLETS_CONNECTIONS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'wallet_service' AND datname = current_database()"""


async def _failed_some_times(http: httpx2.AsyncClient) -> bool:
    metrics = (await http.get("/metrics")).text
    return any(
        line.startswith('langsense_batch_records_count{topic="wallet.commands.v1"}') and float(line.split()[-1]) >= 3
        for line in metrics.splitlines()
    )


class _Lost:
    """`shared.database` for what decides, and for nothing beside it: the first answers to COMMIT do not arrive."""

    refuses_all = staticmethod(databases.refuses_all)

    def __init__(self, times: int) -> None:
        self.times = times

    @asynccontextmanager
    async def transaction(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        async with databases.transaction(engine) as connection:
            yield connection
        if self.times:
            self.times -= 1
            raise DatabaseUnavailable("the answer to COMMIT was lost")


async def _make_lane(engine: AsyncEngine) -> None:
    async with databases.transaction(engine) as connection:
        await repository.load(connection, Needs([LANE], [], [], [], [], {}, [], [], []), RULES.windows)


@asynccontextmanager
async def _lane_locked(engine: AsyncEngine) -> AsyncIterator[None]:
    async with databases.transaction(engine) as connection:
        await connection.execute(text("SELECT 1 FROM lanes WHERE lane = :lane FOR UPDATE"), {"lane": LANE})
        yield


async def _ended_while_it_waits(database: Database) -> bool:
    """Once the wallet waits for its lane, end its connection."""
    ended = await as_administrator(
        database,
        """SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'wallet_service'
        AND datname = current_database() AND wait_event_type = 'Lock'""",
    )
    return bool(ended)
