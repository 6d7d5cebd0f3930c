"""PostgreSQL and Kafka are stopped, killed and wiped under load: the platform goes on by itself and loses nothing."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ops import infrastructure, provision
from ops.infrastructure import BrokerServer, PostgresServer, free_port
from shared import broker
from shared import database as databases
from shared.broker import BrokerOptions
from tests.reliability.support import Books, Players, Service, environment, forget_members
from tests.reliability.test_kill import BEFORE_IT_WRITES, held, in_mid_batch
from tests.support import LANES, Database, eventually, outside_the_loop
from wallet_service.tables import SCHEMA

pytestmark = [
    *(pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)),
    pytest.mark.usefixtures("apache_kafka"),
]


class Kafka:
    """Apache Kafka on one port for good, which can be stopped, killed and wiped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._server = self._fresh()

    def start(self) -> BrokerOptions:
        """Start it with what it has."""
        found = self._server.start()
        return BrokerOptions(found.bootstrap_servers, "test", "", found.idempotent_producer)

    def stop(self) -> None:
        """End it in order."""
        self._server.stop()

    def kill(self) -> None:
        """SIGKILL."""
        self._server.kill()

    def wipe(self) -> None:
        """SIGKILL, and what it had is gone."""
        self._server.kill()
        self._server.close()
        self._server = self._fresh()

    def close(self) -> None:
        """End it for good."""
        self._server.close()

    def _fresh(self) -> BrokerServer:
        folder = self._folder / secrets.token_hex(4)
        # A plain process where there is a JVM: while a container is down, Docker's proxy still accepts connections.
        in_docker = infrastructure.java_17_or_newer() is None
        return infrastructure.broker_server("kafka", folder, port=self._port, prefer_docker=in_docker)


@dataclass(frozen=True, slots=True)
class Platform:
    """A wallet and a consumer of its ledger, on servers of their own."""

    postgres: PostgresServer
    kafka: Kafka
    database: Database
    options: BrokerOptions
    engine: AsyncEngine
    books: Books
    players: Players
    wallet: Service
    metrics: Service

    async def until_it_goes_on(self) -> None:
        """Wait until every lane moves again, by the same processes as before."""
        await self.books.until_more_on_every_lane()
        assert self.wallet.alive()
        assert self.metrics.alive()

    async def until_figures_agree(self) -> None:
        """Wait until the metrics service has all of the ledger, and see that it is the same."""
        heads = {str(lane): position for lane, position in (await self.books.heads()).items()}

        async def caught_up() -> bool:
            return bool((await self.metrics.get("/totals"))["positions"] == heads)

        await eventually(caught_up, within_s=180)
        figures = (await self.metrics.get("/totals"))["currencies"]
        for (currency, kind, part), value in (await self.books.totals()).items():
            assert figures[currency]["kinds"][kind][part] == value, (currency, kind, part)


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[PostgresServer, Kafka, Database, BrokerOptions]]:
    """Servers of this module's own, that nobody else relies on."""
    folder = tmp_path_factory.mktemp("servers")
    postgres = infrastructure.postgres_server(folder, durable=False)
    kafka = Kafka(folder)
    try:
        admin_dsn = postgres.start().dsn("restarts")
        passwords = {role: secrets.token_urlsafe(16) for role in provision.SCHEMAS}
        outside_the_loop(lambda: provision.create_database(admin_dsn))
        outside_the_loop(lambda: provision.provision(admin_dsn, passwords))
        yield postgres, kafka, Database(admin_dsn, passwords), kafka.start()
    finally:
        kafka.close()
        postgres.close()


@pytest.fixture(scope="module")
async def platform(
    servers: tuple[PostgresServer, Kafka, Database, BrokerOptions], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    """The platform, ready. It lives through all tests of this module, as it would through a bad night."""
    postgres, kafka, database, options = servers
    await broker.create_topics(options, LANES, replication=1)
    folder = tmp_path_factory.mktemp("services")
    engine = databases.create_engine(database.dsn("wallet_service"), application="test", schema=SCHEMA)
    wallet = Service("wallet_service", environment(database, options, folder), folder)
    metrics = Service("metrics_service", environment(database, options, folder, WALLET_SERVICE_URL=wallet.url), folder)
    try:
        wallet.start()
        metrics.start()
        await wallet.until_ready()
        await metrics.until_ready()
        books, players = Books(engine, database, options), Players(options, seed=21)
        yield Platform(postgres, kafka, database, options, engine, books, players, wallet, metrics)
    finally:
        metrics.close()
        wallet.close()
        await engine.dispose()


async def test_postgresql_is_stopped_and_killed(platform: Platform) -> None:
    postgres = platform.postgres
    async with platform.players.playing():
        await platform.books.until_more(50)
        for end in (postgres.stop, postgres.kill):
            await asyncio.to_thread(end)
            await asyncio.to_thread(postgres.start)
            await platform.until_it_goes_on()
    await platform.books.until_all_decided(platform.players)
    await platform.books.verify(platform.players)
    await platform.until_figures_agree()


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_the_broker_is_ended_and_started(platform: Platform, how: str) -> None:
    async with platform.players.playing():
        await platform.books.until_more(50)
        await asyncio.to_thread(platform.kafka.kill if how == "kill" else platform.kafka.stop)
        await asyncio.to_thread(platform.kafka.start)
        await platform.until_it_goes_on()
    await platform.books.until_all_decided(platform.players)
    await platform.books.verify(platform.players)
    await platform.until_figures_agree()


async def test_the_wallet_dies_after_a_commit_that_it_could_not_publish(platform: Platform) -> None:
    async with platform.players.playing():
        await platform.books.until_more(50)
        async with held(platform.engine, BEFORE_IT_WRITES):
            await eventually(lambda: in_mid_batch(platform.database))
            before = await platform.books.rows()
            await asyncio.to_thread(platform.kafka.kill)
        await eventually(lambda: _more_than(platform.books, before))
        assert not await platform.books.all_published()
        platform.wallet.kill()
        await asyncio.to_thread(platform.kafka.start)
        await forget_members(platform.options)
        platform.wallet.start()
        await platform.until_it_goes_on()
    await platform.books.until_all_decided(platform.players)
    await platform.books.verify(platform.players)


async def _more_than(books: Books, rows: int) -> bool:
    return await books.rows() > rows


async def test_the_broker_loses_all_it_had(platform: Platform) -> None:
    async with platform.players.playing():
        await platform.books.until_more(50)
        await asyncio.to_thread(platform.kafka.wipe)
        answered = await platform.books.decided()
        heads = await platform.books.heads()
        await asyncio.to_thread(platform.kafka.start)
        await broker.create_topics(platform.options, LANES, replication=1)
        await platform.until_it_goes_on()
    assert answered <= await platform.books.decided()
    # What the broker lost before it was decided was never answered: those who asked ask again.
    await platform.players.retry(await platform.books.missing(platform.players))
    await platform.books.until_all_decided(platform.players)
    await platform.books.verify(platform.players, events_since=heads)
    await platform.until_figures_agree()


async def test_it_stops_in_order_while_there_is_no_broker(platform: Platform) -> None:
    await platform.metrics.stop()
    async with platform.players.playing():
        await platform.books.until_more(50)
        await asyncio.to_thread(platform.kafka.kill)
        await platform.wallet.stop()
        await asyncio.to_thread(platform.kafka.start)
