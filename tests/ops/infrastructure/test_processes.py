"""Processes of servers of every kind: ports of their own, waits that end, and nothing left behind."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops import infrastructure
from ops.infrastructure import (
    Broker,
    InfrastructureError,
    Postgres,
    broker_server,
    free_port,
    postgres_server,
    processes,
)
from ops.infrastructure.processes import Child, gone, wait_until
from tests.ops.infrastructure.support import TOPIC, Server, child_of, killed_parent, make_topic, needs_java, sql, topics

Make = Callable[[Path, int | None], Server]

MAKERS: dict[str, Make] = {
    "postgres": lambda folder, port: postgres_server(folder, port=port, durable=False),
    "wheel": lambda folder, port: broker_server("wheel", folder, port=port),
    "kafka": lambda folder, port: broker_server("kafka", folder, port=port),
}
ALL_KINDS = ["postgres", "wheel", pytest.param("kafka", marks=[pytest.mark.slow, needs_java])]


@pytest.fixture
def closing_all() -> Iterator[list[Server]]:
    """Servers to close when the test ends, however it ends."""
    servers: list[Server] = []
    yield servers
    for server in servers:
        server.close()


def test_a_free_port_is_one_that_no_outgoing_connection_takes() -> None:
    ports = {free_port() for _ in range(20)}
    assert all(20_000 <= port < 32_768 for port in ports)
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


@pytest.mark.integration
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_a_killed_parent_takes_its_server_along(kind: str, tmp_path: Path) -> None:
    _, children = killed_parent(kind, tmp_path, "process")
    assert len(children) >= 2  # the server and its watchdog
    wait_until(lambda: all(map(gone, children)), what=f"the end of {children}", timeout=20)


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
