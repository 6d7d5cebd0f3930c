"""The wallet as a whole: it starts, decides, publishes what it decided, and goes on where another left off."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import httpx2
import pytest

from shared import delivery, migrations
from shared.broker import BrokerOptions
from shared.contracts.commands import Command
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind
from shared.errors import BrokerUnavailable, ConfigurationError, DatabaseUnavailable
from tests.support import LANES, Database, eventually, outdated, started
from tests.wallet_service.client import Client, events
from tests.wallet_service.support import command
from wallet_service.app import create_app
from wallet_service.domain.needs import JournalRow
from wallet_service.handlers import relay
from wallet_service.handlers.relay import Relay
from wallet_service.repository import Reads
from wallet_service.settings import Settings

pytestmark = pytest.mark.integration


def deposits(count: int) -> list[Command]:
    """Deposits of many players, on every lane."""
    return [command(Kind.DEPOSIT, user_id=user) for user in range(1, count + 1)]


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with started(create_app(settings)) as client:
        yield client


async def until_published(reads: Reads, rows: int) -> None:
    async def reached() -> bool:
        marks = await reads.lanes()
        return sum(mark.published for mark in marks) == sum(mark.position for mark in marks) == rows

    await eventually(reached)


def in_order(found: Mapping[int, Sequence[LedgerEvent]]) -> bool:
    """Whether each lane's events come for the first time in journal order, from the first on and without a gap."""
    return all(
        list(dict.fromkeys(event.position for event in lane)) == list(range(1, max(e.position for e in lane) + 1))
        for lane in found.values()
    )


async def _nothing(relay: Relay, rows: Mapping[int, Sequence[JournalRow]]) -> None:
    """What a wallet does that dies between its commit and its publishing."""


class TestEvents:
    """Every decision is an event, in lane order, whoever publishes it."""

    async def test_each_comes_once_in_order_and_is_the_row(
        self, settings: Settings, client: Client, kafka: BrokerOptions, reads: Reads
    ) -> None:
        async with running(settings) as http:
            await client.send(*deposits(100))
            await client.replies(100)
            await client.send(*(command(Kind.GAME_BET, 600, user_id=user) for user in [*range(1, 51), *range(1, 51)]))
            await client.replies(100)
            await until_published(reads, 200)
            metrics = (await http.get("/metrics")).text
        found = await events(kafka)
        assert sorted(found) == list(range(LANES))
        for lane, of_lane in found.items():
            rows = await reads.journal(lane, 0, 1000)
            assert [event.position for event in of_lane] == [row.content.position for row in rows]
            assert [event.checksum for event in of_lane] == [row.checksum.hex() for row in rows]
        assert "langsense_ledger_events_published_total 200.0" in metrics
        assert "langsense_ledger_events_republished_total 0.0" in metrics
        assert (
            'langsense_wallet_decisions_total{kind="GAME_BET",reason="INSUFFICIENT_FUNDS",status="refused"} 50.0'
            in metrics
        )

    async def test_what_was_committed_and_not_published_is_published_after_a_restart(
        self,
        settings: Settings,
        client: Client,
        kafka: BrokerOptions,
        reads: Reads,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with monkeypatch.context() as dies:
            dies.setattr(Relay, "committed", _nothing)
            # Nor by its loop, however long it takes to stop.
            dies.setattr(relay, "ORPHANED_AFTER_S", 3600.0)
            async with running(settings):
                await client.send(*deposits(40))
                await client.replies(40)
        assert await events(kafka) == {}
        async with running(settings):
            await until_published(reads, 40)
            await client.send(*deposits(40))
            await client.replies(40)
            await until_published(reads, 80)
        found = await events(kafka)
        assert in_order(found)
        assert sum(len(of_lane) for of_lane in found.values()) == 80

    async def test_a_new_owner_publishes_what_the_old_one_did_not_before_its_own(
        self,
        settings: Settings,
        client: Client,
        kafka: BrokerOptions,
        reads: Reads,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with monkeypatch.context() as dies:
            dies.setattr(Relay, "committed", _nothing)
            # Nor by its loop, however long it takes to stop.
            dies.setattr(relay, "ORPHANED_AFTER_S", 3600.0)
            async with running(settings):
                await client.send(*deposits(40))
                await client.replies(40)
        # Under load from its first moment on: nobody finds the lane idle.
        await client.send(*deposits(200))
        async with running(settings):
            await client.replies(200)
            await until_published(reads, 240)
        assert in_order(await events(kafka))

    async def test_lanes_that_move_between_two_wallets_stay_in_order(
        self, settings: Settings, client: Client, kafka: BrokerOptions, reads: Reads
    ) -> None:
        async with running(settings):
            await client.send(*deposits(50))
            async with running(settings):
                await client.send(*deposits(50))
                await client.replies(100)
            await client.send(*deposits(50))
            await client.replies(50)
            await until_published(reads, 150)
        found = await events(kafka)
        assert in_order(found)
        assert sum(len({event.position for event in of_lane}) for of_lane in found.values()) == 150


class TestStarting:
    """It starts on what it was made for, and otherwise says what is wrong."""

    async def test_it_is_well(self, settings: Settings) -> None:
        async with running(settings) as http:
            assert (await http.get("/health/ready")).json() == {"status": "ready", "checks": {"database": "ok"}}
            live = await http.get("/health/live")
            assert live.json() == {"status": "alive", "checks": {"consumer": "ok", "tasks": "ok"}}

    async def test_not_with_other_lanes_than_the_topics_have(self, settings: Settings) -> None:
        with pytest.raises(ConfigurationError, match=rf"^LANES: 12, but .* has {LANES} partitions"):
            async with running(settings.model_copy(update={"lanes": 12})):
                pass

    async def test_not_on_a_schema_that_it_was_not_written_for(self, settings: Settings, database: Database) -> None:
        await outdated(database, "wallet")
        with pytest.raises(ConfigurationError, match="langsense migrate"):
            async with running(settings):
                pass

    async def test_not_without_a_broker(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shared.broker.publisher.START_TIMEOUT_S", 0.2)
        nobody = settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})
        with pytest.raises(BrokerUnavailable, match="KAFKA_BOOTSTRAP_SERVERS="):
            async with running(nobody):
                pass

    async def test_with_patience_for_a_database_that_starts_beside_it(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(delivery, "FIRST_DELAY_S", 0.01)
        asked = 0
        check = migrations.check_at_head

        async def not_at_once(*arguments: object) -> None:
            nonlocal asked
            asked += 1
            if asked < 3:
                raise DatabaseUnavailable("still starting")
            await check(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(migrations, "check_at_head", not_at_once)
        async with running(settings):
            assert asked >= 3

    async def test_it_stops_soon_with_commands_under_way(self, settings: Settings, client: Client) -> None:
        sent = deposits(2000)
        async with asyncio.timeout(120), running(settings):
            await client.send(*sent)
        # What it did not decide is there for the next one.
        async with running(settings):
            assert len(await client.answers(*sent)) == 2000
