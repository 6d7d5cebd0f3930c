"""What the tests of local servers ask of them, and a parent that is killed."""

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Literal

import psutil  # type: ignore[import-untyped]
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ops import infrastructure
from ops.infrastructure import Broker, BrokerServer, Postgres, PostgresServer, brokers
from ops.infrastructure.brokers import KafkaBroker, TansuBroker
from ops.infrastructure.postgres import WheelPostgres, wheel_programs
from ops.infrastructure.processes import Child, wait_until

Server = PostgresServer | BrokerServer

TOPIC = "kept"

needs_java = pytest.mark.skipif(brokers.java_17_or_newer() is None, reason="needs Java 17 or newer")


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
