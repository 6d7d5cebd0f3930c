"""`langsense up`: the whole platform on this machine, in the foreground, until Ctrl-C."""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx2
from rich.console import Console
from rich.table import Table

from ops import access, development_limits, development_secrets, migrate, places
from ops.infrastructure import BrokerKind, InfrastructureError, broker, postgres
from ops.infrastructure.processes import Child, check_port
from ops.places import SERVICES, Places

READY_WITHIN_S = 90.0
# How often it is looked whether a service still runs; there is nothing else to do meanwhile.
LOOK_EVERY_S = 0.5
# A service that keeps falling over is not helped by another start.
RESTARTS_PER_MINUTE = 5
GATEWAY_STOPS_WITHIN_S = 20.0
DATABASE = "langsense"
# Beside the tables, so they prove less than folders that are somebody else's.
CHECKPOINTS = "checkpoints"
AUDIT_CHECKPOINTS = "audit_checkpoints"

# The gateway stops first and the wallet after it, so that what the gateway took is still decided.
APPLICATIONS = {
    "gateway": "gateway.app:create_app",
    "wallet": "wallet_service.app:create_app",
    "compliance": "compliance_service.app:create_app",
    "fraud": "fraud_service.app:create_app",
    "payments": "payments_service.app:create_app",
    "metrics": "metrics_service.app:create_app",
}
# What runs beside them: the payment provider of development.
SANDBOX = "sandbox"
PROGRAMS = {**APPLICATIONS, SANDBOX: "ops.sandbox.app:create_app"}
SANDBOX_FILE = "sandbox.db"


@dataclass
class Service:
    """One running application, and when it was started lately."""

    name: str
    port: int
    child: Child
    starts: list[float] = field(default_factory=list)

    def path(self) -> str:
        """Where it answers whether it is ready."""
        return "/api/v1/health/ready" if self.name == "gateway" else "/health/ready"


@contextmanager
def platform(
    data: Path, *, gateway_port: int, broker_kind: BrokerKind, console: Console
) -> Iterator[tuple[Places, Callable[[], None]]]:
    """The running platform. Yields its places, and a function that keeps it running until a signal comes.

    Everything that was started is stopped at the end, in order. Raises InfrastructureError or ConfigurationError.
    """
    data = data.absolute()
    data.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(_sole_user(data))
        ports = {name: gateway_port + count for count, name in enumerate(PROGRAMS)}
        _check_ports(ports)
        secrets_dir = data / places.SECRETS
        development_secrets.ensure(secrets_dir)
        admin_dsn = _database(stack, data, console)
        cluster = _broker(stack, data, broker_kind, console)
        with console.status("migrating"):
            migrate.databases(admin_dsn, secrets_dir)
            migrate.topics(cluster.bootstrap_servers)
        console.print("[green]✓[/] schemas, roles and topics")
        found = Places(
            gateway_url=f"http://127.0.0.1:{ports['gateway']}",
            kafka_bootstrap_servers=cluster.bootstrap_servers,
            secrets_dir=secrets_dir,
            service_urls={name: f"http://127.0.0.1:{ports[name]}" for name in SERVICES},
            database_urls={name: development_secrets.read(secrets_dir, f"{name}_database_url") for name in SERVICES},
            kafka_idempotent_producer=cluster.idempotent_producer,
            kafka_fetch_max_wait_ms=cluster.fetch_max_wait_ms,
            checkpoint_sink=(data / CHECKPOINTS).as_uri(),
            audit_sink=(data / AUDIT_CHECKPOINTS).as_uri(),
            sandbox_url=f"http://127.0.0.1:{ports[SANDBOX]}",
            broker=cluster.label,
        )
        services: dict[str, Service] = {}
        stack.callback(_stop_in_order, services, console)
        for name, port in ports.items():
            services[name] = Service(name, port, _start(name, port, data, found), [time.monotonic()])
        _wait_until_ready(services, console)
        places.write(data, found)
        stack.callback(places.remove, data)
        yield found, lambda: _keep_running(services, data, found, console)


def welcome(found: Places, console: Console) -> None:
    """Print where everything listens, a token per role, and a request to copy."""
    table = Table(title="LangSense is running", title_justify="left", show_header=False, box=None)
    table.add_row("gateway", f"{found.gateway_url}/api/v1   docs: {found.gateway_url}/docs")
    for name, url in found.service_urls.items():
        table.add_row(name, url)
    table.add_row(SANDBOX, f"{found.sandbox_url}   (payment provider for development)")
    table.add_row("Kafka", f"{found.kafka_bootstrap_servers}   ({found.broker})")
    table.add_row("PostgreSQL", _without_password(found.database_urls["wallet"]))
    console.print(table)
    console.print("\n[bold]Development tokens[/] (12 hours; `langsense token ROLE` prints another)")
    for role in ("admin", "game_server", "finance", "support", "risk", "compliance"):
        console.out(f"{role:12} {access.token(found, role, None)}", highlight=False)
    console.out(f"{'player 42':12} {access.token(found, 'player', 42)}", highlight=False)
    console.print("\n[bold]Try it[/]")
    console.out(
        f"curl -sS -X POST {found.gateway_url}/api/v1/transactions \\\n"
        f"  -H 'Authorization: Bearer {access.token(found, 'admin', None)}' \\\n"
        "  -H 'Idempotency-Key: my-first-deposit' -H 'Content-Type: application/json' \\\n"
        """  -d '{"user_id": 42, "type": "DEPOSIT", "amount": "100.00", "currency": "USD", "provider": "stripe"}'""",
        highlight=False,
    )
    console.print("\n`make demo` in another terminal drives it. Ctrl-C stops everything.")


@contextmanager
def _sole_user(data: Path) -> Iterator[None]:
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InfrastructureError(
                f"a platform already runs with {data}; stop it, or choose another folder with --data"
            ) from None
        yield


def _check_ports(ports: dict[str, int]) -> None:
    taken = []
    for name, port in ports.items():
        try:
            check_port(port)
        except InfrastructureError:
            taken.append(f"{port} ({name})")
    if taken:
        raise InfrastructureError(
            f"taken on 127.0.0.1: {', '.join(taken)}. Is the platform running already? "
            "GATEWAY_PORT=9000 moves the door, and the services to the ports behind it."
        )


def _database(stack: ExitStack, data: Path, console: Console) -> str:
    external = os.environ.get("DATABASE_URL")
    if external:
        console.print("[green]✓[/] PostgreSQL at DATABASE_URL")
        return external
    with console.status("starting PostgreSQL"):
        server = stack.enter_context(postgres(data / "postgres"))
    console.print(f"[green]✓[/] PostgreSQL {server.version} on port {server.port}")
    return server.dsn(DATABASE)


@dataclass(frozen=True, slots=True)
class _Cluster:
    bootstrap_servers: str
    idempotent_producer: bool
    fetch_max_wait_ms: int
    label: str


def _broker(stack: ExitStack, data: Path, kind: BrokerKind, console: Console) -> _Cluster:
    external = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if external:
        console.print("[green]✓[/] Kafka at KAFKA_BOOTSTRAP_SERVERS")
        idempotent = os.environ.get("KAFKA_IDEMPOTENT_PRODUCER", "true").lower() == "true"
        return _Cluster(external, idempotent, int(os.environ.get("KAFKA_FETCH_MAX_WAIT_MS", "100")), "external")
    with console.status("starting the broker"):
        server = stack.enter_context(broker(kind, data / "broker"))
    label = f"{server.kind} {server.version}"
    console.print(f"[green]✓[/] broker: {label} at {server.bootstrap_servers}")
    # The wheel's broker looks for records only when a fetch's time is over.
    fetch_max_wait_ms = 100 if server.kind == "kafka" else 20
    return _Cluster(server.bootstrap_servers, server.idempotent_producer, fetch_max_wait_ms, label)


def _start(name: str, port: int, data: Path, found: Places) -> Child:
    logs = data / "logs"
    logs.mkdir(exist_ok=True)
    environment = {
        "CURRENCY_LIMITS": development_limits.CURRENCY_LIMITS,
        **{key: value for key, value in os.environ.items() if not key.endswith("_DATABASE_URL")},
        **found.environment(),
        "KEY_SOURCE": "file",
        "JWKS_FILE": str(found.secrets_dir / development_secrets.JWKS),
        "SANDBOX_FILE": str(data / SANDBOX_FILE),
        "SANDBOX_WEBHOOK_URL": f"{found.gateway_url}/api/v1/webhooks/{SANDBOX}",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", PROGRAMS[name], "--host", "127.0.0.1"]
    return Child.start(
        name,
        [*command, "--port", str(port), "--no-access-log", "--timeout-graceful-shutdown", "10"],
        log=logs / f"{name}.log",
        env=environment,
    )


def _wait_until_ready(services: dict[str, Service], console: Console) -> None:
    with console.status("starting the services") as status, httpx2.Client(timeout=2, trust_env=False) as client:
        for service in services.values():
            status.update(f"waiting for {service.name}")
            service.child.wait_until_ready(partial(_ready, client, service), timeout=READY_WITHIN_S)
            console.print(f"[green]✓[/] {service.name} on port {service.port}")


def _ready(client: httpx2.Client, service: Service) -> bool:
    try:
        return client.get(f"http://127.0.0.1:{service.port}{service.path()}").status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False


def _keep_running(services: dict[str, Service], data: Path, found: Places, console: Console) -> None:
    """Until Ctrl-C (KeyboardInterrupt): start again what ends by itself, within a bound."""
    while True:
        time.sleep(LOOK_EVERY_S)
        for service in services.values():
            if not service.child.alive():
                _restart(service, data, found, console)


def _restart(service: Service, data: Path, found: Places, console: Console) -> None:
    now = time.monotonic()
    service.starts = [start for start in service.starts if now - start < 60]
    code = service.child.process.returncode
    if len(service.starts) >= RESTARTS_PER_MINUTE:
        raise InfrastructureError(f"{service.name} keeps ending (code {code}); see {service.child.log}")
    console.print(f"[yellow]{service.name} ended with code {code}; starting it again[/] ({service.child.log})")
    service.starts.append(now)
    service.child = _start(service.name, service.port, data, found)


def _stop_in_order(services: dict[str, Service], console: Console) -> None:
    # A second Ctrl-C would leave half of it running.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for service in services.values():
        service.child.stop(timeout=GATEWAY_STOPS_WITHIN_S)
        console.print(f"[dim]{service.name} stopped[/]")


def _without_password(dsn: str) -> str:
    scheme, _, rest = dsn.partition("://")
    credentials, _, place = rest.rpartition("@")
    return f"{scheme}://{credentials.partition(':')[0]}@{place}   (with passwords: `langsense env`)"
