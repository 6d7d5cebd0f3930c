"""What tests stand on: one PostgreSQL and one Apache Kafka a run, a fresh database and fresh topics a test.

They run in containers where a Docker engine answers, otherwise from the wheel and from Maven Central's jars; the end
of a run says which. LANGSENSE_TESTS=processes leaves Docker out.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from ops import infrastructure, provision
from ops.infrastructure import Broker, Postgres, processes
from shared import broker
from shared.broker import BrokerOptions, Publisher, consumers
from shared.testing import FakeLedger
from tests.support import (
    LANES,
    Ahead,
    Database,
    EachOnce,
    copy_database,
    delete_topics,
    drop_database,
    outside_the_loop,
    prefer_containers,
)

SERVERS = pytest.StashKey[set[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """A wrong choice ends the run before it begins."""
    prefer_containers()
    # How long an example takes, to make or to run, says how busy the machine is, and nothing of what is tested.
    too_slow = hypothesis.HealthCheck.too_slow
    hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=[too_slow])
    hypothesis.settings.load_profile("tests")
    config.stash[SERVERS] = set()
    # A port may be bound long after it was chosen, and is free while its server is down between a kill and a restart.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    processes.PORTS = EachOnce(processes.PORTS[worker::workers])


class Modules(LoadScopeScheduling):  # type: ignore[misc]
    """Where two processes share a run, each takes whole modules; and one of them whatever needs a whole platform."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return "end_to_end" if module.startswith("tests/end_to_end/") else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Modules:
    """How they share it."""
    return Modules(config, log)


def pytest_testnodedown(node: Any) -> None:
    """One of the processes has ended, and says what its tests ran on."""
    node.config.stash[SERVERS].update(node.workeroutput.get("servers", ()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the run's main process what these tests ran on, where this is not the main one."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        servers = session.config.stash[SERVERS]
        output["servers"] = sorted(servers)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the integration tests ran on."""
    servers = terminalreporter.config.stash[SERVERS]
    for server in sorted(servers):
        terminalreporter.write_line(server)


@pytest.fixture
def ledger() -> FakeLedger:
    """The wallet's journal, in memory."""
    return FakeLedger(LANES)


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The run's PostgreSQL."""
    folder = tmp_path_factory.mktemp("postgres")
    with infrastructure.postgres(folder, prefer_docker=prefer_containers(), durable=False) as server:
        pytestconfig.stash[SERVERS].add(f"database: PostgreSQL {server.version} ({server.origin})")
        yield server


@pytest.fixture(scope="session")
def apache_kafka() -> None:
    """Skips what a broker for development cannot show: rebalances, idempotence, data that outlives the broker."""
    if not (prefer_containers() and infrastructure.docker_answers()) and infrastructure.java_17_or_newer() is None:
        pytest.skip("needs Apache Kafka: a Docker engine, or Java 17 or newer")


@pytest.fixture(scope="session")
def kafka_server(
    apache_kafka: None, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker]:
    """The run's Apache Kafka."""
    folder = tmp_path_factory.mktemp("kafka")
    with infrastructure.broker("kafka", folder, prefer_docker=prefer_containers()) as server:
        pytestconfig.stash[SERVERS].add(f"broker: Apache Kafka {server.version} ({server.origin})")
        yield server


@pytest.fixture(scope="session")
def role_passwords() -> dict[str, str]:
    """Roles belong to the whole server, so their passwords are the same in every test."""
    return {role: secrets.token_urlsafe(16) for role in provision.SCHEMAS}


@pytest.fixture(scope="session")
def migrated_database(postgres_server: Postgres, role_passwords: dict[str, str]) -> str:
    """A database as `langsense migrate` makes it, for the tests' own to be copied from."""
    name = f"template_{secrets.token_hex(6)}"

    def make() -> None:
        provision.create_database(postgres_server.dsn(name))
        provision.provision(postgres_server.dsn(name), role_passwords)

    outside_the_loop(make)
    return name


@pytest.fixture(scope="session")
def databases(postgres_server: Postgres, migrated_database: str) -> Iterator[Ahead[str]]:
    """The names of copies of it."""

    def copy() -> str:
        name = f"test_{secrets.token_hex(6)}"
        asyncio.run(copy_database(postgres_server, migrated_database, name))
        return name

    ahead = Ahead(copy, lambda name: asyncio.run(drop_database(postgres_server, name)))
    yield ahead
    ahead.close()


@pytest.fixture
def database(postgres_server: Postgres, role_passwords: dict[str, str], databases: Ahead[str]) -> Iterator[Database]:
    """A fresh database, as `langsense migrate` makes it."""
    name = databases.take()
    yield Database(postgres_server.dsn(name), role_passwords)
    databases.leave(name)


@pytest.fixture(scope="session")
def clusters(kafka_server: Broker) -> Iterator[Ahead[BrokerOptions]]:
    """The run's broker with fresh topics, each time under a prefix that keeps them apart from others."""

    def make() -> BrokerOptions:
        prefix = f"{secrets.token_hex(4)}."
        options = BrokerOptions(kafka_server.bootstrap_servers, "test", prefix, kafka_server.idempotent_producer)
        asyncio.run(broker.create_topics(options, LANES, replication=1))
        return options

    ahead = Ahead(make, lambda options: asyncio.run(delete_topics(options)))
    yield ahead
    ahead.close()


@pytest.fixture
def kafka(clusters: Ahead[BrokerOptions], monkeypatch: pytest.MonkeyPatch) -> Iterator[BrokerOptions]:
    """The run's broker with fresh topics."""
    # A consumer hears at its next heartbeat that lanes move.
    monkeypatch.setattr(consumers, "HEARTBEAT_INTERVAL_MS", 100)
    options = clusters.take()
    yield options
    clusters.leave(options)


@pytest.fixture
async def publisher(kafka: BrokerOptions) -> AsyncIterator[Publisher]:
    """Writes to the test's topics."""
    publisher = Publisher(kafka)
    await publisher.start()
    yield publisher
    await publisher.stop()
