"""The same servers in containers, by testcontainers, where a Docker engine answers.

Ports are published on 127.0.0.1 alone. The data live in the container: a stop, a kill and a start keep them, `close`
removes them. testcontainers' own cleaner (Ryuk) is a further, privileged image; our watchdog does its work.
"""

import re
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from docker.errors import DockerException  # type: ignore[import-untyped]
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from ops.infrastructure.brokers import KAFKA_VERSION, SINGLE_NODE, Broker, BrokerServer, answers
from ops.infrastructure.postgres import CLUSTER_OPTIONS, SETTINGS, SUPERUSER, Postgres, PostgresServer, wheel_programs
from ops.infrastructure.processes import (
    LOOPBACK,
    InfrastructureError,
    check_port,
    dismiss,
    free_port,
    start_watchdog,
    wait_until,
)

POSTGRES_IMAGE = "postgres:17"
KAFKA_IMAGE = f"apache/kafka:{KAFKA_VERSION}"


class Box:
    """One container with one port published at 127.0.0.1:port, from its first start until `close`."""

    def __init__(
        self,
        image: str,
        *,
        port: int,
        inside: int,
        env: Mapping[str, str],
        command: Sequence[str] = (),
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.image = image
        self.port = port
        self.name = f"langsense-{secrets.token_hex(6)}"
        self._inside = inside
        self._env = dict(env)
        self._command = list(command)
        self._stop_signal = stop_signal
        self._container: DockerContainer | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    def start(self, ready: Callable[[], bool]) -> None:
        """Start, and wait until the fact holds; otherwise remove it, and raise InfrastructureError."""
        with _explained(self.image):
            if self._container is None:
                check_port(self.port)
                self._create()
            else:
                self._container.get_wrapped_container().start()
        try:
            wait_until(ready, what=f"{self.image} ready", timeout=120)
        except InfrastructureError as error:
            words = self._last_words()
            self.close()
            raise InfrastructureError(f"{error}; its last words:\n{words}") from error

    def _create(self) -> None:
        testcontainers_config.ryuk_disabled = True
        self._watchdog = start_watchdog(["docker", "rm", "--force", "--volumes", self.name])
        container = DockerContainer(self.image, env=self._env, name=self.name)
        if self._command:
            container.with_command(self._command)
        container.with_kwargs(stop_signal=self._stop_signal.name, shm_size="256m")
        container.ports[f"{self._inside}/tcp"] = (LOOPBACK, self.port)  # type: ignore[assignment] # docker's form
        self._container = container
        container.start()

    def run(self, *command: str) -> str:
        """The output of a command inside the container."""
        assert self._container is not None
        with _explained(self.image):
            return self._container.exec(list(command)).output.decode(errors="replace")

    def stop(self) -> None:
        """End its program in order; the container and its data stay."""
        if self._container:
            with _explained(self.image):
                self._container.get_wrapped_container().stop(timeout=30)

    def kill(self) -> None:
        """SIGKILL its program; the container and its data stay."""
        if self._container:
            with _explained(self.image):
                self._container.get_wrapped_container().kill()
                self._container.get_wrapped_container().wait(timeout=30)

    def close(self) -> None:
        """Remove it, with its data."""
        if self._container:
            with _explained(self.image):
                self._container.stop()
            self._container = None
        if self._watchdog:
            dismiss(self._watchdog)
            self._watchdog = None

    def _last_words(self) -> str:
        assert self._container is not None
        with _explained(self.image):
            lines = b"".join(self._container.get_logs()).decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-15:])


class ContainerPostgres(PostgresServer):
    """PostgreSQL from its official image."""

    def __init__(self, *, port: int | None = None, durable: bool = True) -> None:
        self._password = secrets.token_urlsafe(24)
        settings = {name: value for name, value in SETTINGS.items() if name not in OF_THE_IMAGE}
        settings["fsync"] = "on" if durable else "off"
        self.box = Box(
            POSTGRES_IMAGE,
            port=port or free_port(),
            inside=5432,
            env={
                "POSTGRES_USER": SUPERUSER,
                "POSTGRES_PASSWORD": self._password,
                "POSTGRES_INITDB_ARGS": " ".join((*CLUSTER_OPTIONS, "--data-checksums")),
            },
            command=["postgres", *(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))],
            stop_signal=signal.SIGINT,
        )

    def start(self) -> Postgres:
        """As promised by PostgresServer."""
        self.box.start(self._ready)
        version = re.search(r"\d+(\.\d+)*", self.box.run("postgres", "--version"))
        assert version
        return Postgres(LOOPBACK, self.box.port, SUPERUSER, self._password, version.group(), "testcontainers")

    def stop(self) -> None:
        """As promised by PostgresServer."""
        self.box.stop()

    def kill(self) -> None:
        """As promised by PostgresServer."""
        self.box.kill()

    def close(self) -> None:
        """As promised by PostgresServer; the data are gone."""
        self.box.close()

    def _ready(self) -> bool:
        """Asked from outside: while the image makes the cluster, a server of its own answers inside."""
        command = [str(wheel_programs() / "pg_isready"), "--quiet", f"--host={LOOPBACK}", f"--port={self.box.port}"]
        return not subprocess.run(command, timeout=10, check=False).returncode


# What the image has to decide for itself.
OF_THE_IMAGE = {"listen_addresses", "unix_socket_directories"}


class ContainerKafka(BrokerServer):
    """Apache Kafka from its official image."""

    def __init__(self, *, port: int | None = None) -> None:
        port = port or free_port()
        # INTERNAL is for the broker's talk with itself (transactions): the published port is not there inside.
        properties = {
            "node.id": "1",
            "process.roles": "broker,controller",
            "controller.quorum.voters": "1@localhost:9093",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "INTERNAL",
            "listeners": "PLAINTEXT://:9092,INTERNAL://localhost:9094,CONTROLLER://localhost:9093",
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port},INTERNAL://localhost:9094",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
            **SINGLE_NODE,
        }
        env = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in properties.items()}
        env["KAFKA_HEAP_OPTS"] = "-Xms128m -Xmx512m"
        self.box = Box(KAFKA_IMAGE, port=port, inside=9092, env=env)

    def start(self) -> Broker:
        """As promised by BrokerServer."""
        self.box.start(partial(answers, self.box.port))
        return Broker(
            bootstrap_servers=f"{LOOPBACK}:{self.box.port}",
            kind="kafka",
            version=KAFKA_VERSION,
            idempotent_producer=True,
            origin="testcontainers",
        )

    def stop(self) -> None:
        """As promised by BrokerServer."""
        self.box.stop()

    def kill(self) -> None:
        """As promised by BrokerServer."""
        self.box.kill()

    def close(self) -> None:
        """As promised by BrokerServer; the data are gone."""
        self.box.close()


@contextmanager
def _explained(image: str) -> Iterator[None]:
    """Docker's errors as ours."""
    try:
        yield
    except (DockerException, OSError) as error:  # requests' errors, which are OSErrors, come through too
        raise InfrastructureError(f"{image}: {error}") from error
