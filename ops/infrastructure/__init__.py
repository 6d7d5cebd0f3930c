"""PostgreSQL and a Kafka broker on this machine: what `langsense up`, the tests and the benchmarks run on.

    with postgres(Path(".langsense")) as database, broker("auto", Path(".langsense")) as kafka:
        print(database.dsn(), kafka.bootstrap_servers)

Both may share a data directory. Servers listen on 127.0.0.1 alone, end when this process ends (even by SIGKILL),
and never see the terminal's Ctrl-C. A test that stops, kills and restarts a server makes it with `postgres_server`
or `broker_server`, and closes it. `prefer_docker` takes containers where a Docker engine answers.
"""

import importlib.util
import logging
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ops.infrastructure.brokers import (
    KAFKA_VERSION,
    Broker,
    BrokerServer,
    KafkaBroker,
    TansuBroker,
    java_17_or_newer,
    kafka_jars,
)
from ops.infrastructure.postgres import Postgres, PostgresServer, WheelPostgres
from ops.infrastructure.processes import InfrastructureError, free_port

__all__ = [
    "KAFKA_VERSION",
    "Broker",
    "BrokerKind",
    "BrokerServer",
    "InfrastructureError",
    "Postgres",
    "PostgresServer",
    "broker",
    "broker_server",
    "docker_answers",
    "free_port",
    "java_17_or_newer",
    "postgres",
    "postgres_server",
]

BrokerKind = Literal["wheel", "kafka", "auto"]

LOG = logging.getLogger(__name__)


def docker_answers() -> bool:
    """Whether a Docker engine of this machine answers, and testcontainers (a development dependency) is installed."""
    if importlib.util.find_spec("testcontainers") is None:
        return False
    if not os.environ.get("DOCKER_HOST", "unix://").startswith("unix://"):
        return False  # what another machine publishes on its 127.0.0.1 is not there on ours
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        return not subprocess.run(command, capture_output=True, timeout=10, check=False).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False


def postgres_server(
    data_dir: Path, *, port: int | None = None, prefer_docker: bool = False, durable: bool = True
) -> PostgresServer:
    """A PostgreSQL server, not yet started; without a port, a free one is taken for its whole life.

    `durable=False` leaves fsync out, for tests. A container's data live as long as the container: until `close`.
    """
    if prefer_docker and docker_answers():
        from ops.infrastructure.containers import ContainerPostgres  # noqa: PLC0415 - a development dependency

        return ContainerPostgres(port=port, durable=durable)
    return WheelPostgres(data_dir, port=port, durable=durable)


@contextmanager
def postgres(
    data_dir: Path, *, port: int | None = None, prefer_docker: bool = False, durable: bool = True
) -> Iterator[Postgres]:
    """A PostgreSQL server that runs for the length of the block. Arguments: see `postgres_server`."""
    server = postgres_server(data_dir, port=port, prefer_docker=prefer_docker, durable=durable)
    try:
        yield server.start()
    finally:
        server.close()


def broker_server(
    kind: BrokerKind, data_dir: Path, *, port: int | None = None, prefer_docker: bool = False
) -> BrokerServer:
    """A broker, not yet started; without a port, a free one is taken for its whole life.

    "kafka" is Apache Kafka, "wheel" the small broker that needs no JVM, "auto" the first of the two that can run here.
    """
    if prefer_docker and kind != "wheel" and docker_answers():
        from ops.infrastructure.containers import ContainerKafka  # noqa: PLC0415 - a development dependency

        return ContainerKafka(port=port)
    if kind == "auto":
        kind = "kafka" if _kafka_can_run() else "wheel"
    return (KafkaBroker if kind == "kafka" else TansuBroker)(data_dir, port=port)


@contextmanager
def broker(
    kind: BrokerKind, data_dir: Path, *, port: int | None = None, prefer_docker: bool = False
) -> Iterator[Broker]:
    """A broker that runs for the length of the block. Arguments: see `broker_server`."""
    server = broker_server(kind, data_dir, port=port, prefer_docker=prefer_docker)
    try:
        yield server.start()
    finally:
        server.close()


def _kafka_can_run() -> bool:
    if java_17_or_newer() is None:
        return False
    try:
        kafka_jars()
    except InfrastructureError as error:
        LOG.warning("no Apache Kafka here, the broker from the wheel is used: %s", error)
        return False
    return True
