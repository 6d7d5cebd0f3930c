"""`make bench`: whether figures keep up with the wallet, and how long a month's summary takes while they do.

First a month's events wait on Kafka, and the service reads, folds and commits them as fast as it can. The month's days
close, but for the last. Then RATE events a second go on, and the summary of that month, beside the one before it, is
asked for over HTTP again and again.
"""

import asyncio
import json
import os
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import asyncpg
import httpx2
from rich.console import Console

from bench.wallet import RESULTS, cpu_s
from metrics_service.repository import days, totals
from metrics_service.tables import SCHEMA
from ops import provision
from ops.infrastructure import Broker, Postgres, broker, free_port, postgres
from ops.infrastructure.processes import Child
from shared import broker as kafka
from shared import database
from shared.broker import BrokerOptions, Publisher
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind, Reason
from shared.contracts.topics import LEDGER_EVENTS
from shared.lanes import DEFAULT_LANES, key_of
from shared.testing import FakeLedger

EVENTS = int(os.environ.get("EVENTS", "300000"))
PLAYERS = int(os.environ.get("PLAYERS", "5000"))
RATE = int(os.environ.get("RATE", "500"))
SUMMARIES = int(os.environ.get("SUMMARIES", "100"))
AT_ONCE = 1000
WARM_UP_SHARE = 0.1
FINISH_WITHIN_S = 600.0
FIRST, DAYS = datetime(2026, 10, 1, tzinfo=UTC), 31
GAMES, CURRENCIES = 40, ("USD", "EUR", "JPY")
KINDS = (*(Kind.GAME_BET,) * 12, *(Kind.GAME_PAYOUT,) * 5, Kind.DEPOSIT, Kind.DEPOSIT, Kind.WITHDRAWAL)
PERIOD = {"from": "2026-10-01", "to": "2026-10-31"}


class Measured(NamedTuple):
    """Events per second, what one cost in CPU time (microseconds), how long a summary took (milliseconds)."""

    per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


class Service(NamedTuple):
    """The metrics service, where it listens, and what it is shown."""

    child: Child
    url: str
    token: str


def main() -> None:
    """Run, print and write the results."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="langsense-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgres(folder / "postgres") as server, broker("auto", folder / "broker") as running:
            measured = asyncio.run(_measure(server, running, folder))
            told = f"{running.kind} {running.version}"
    result: dict[str, object] = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "events": EVENTS,
        "events_per_s": round(measured.per_s),
        "cpu_us_per_event": round(measured.cpu_us, 1),
        "summary_p50_ms": round(measured.p50_ms, 1),
        "summary_p99_ms": round(measured.p99_ms, 1),
        "rate_meanwhile": RATE,
        "broker": told,
    }
    wallet = RESULTS / "wallet.json"
    if wallet.exists():
        rates: list[int] = json.loads(wallet.read_text())["wallet_per_s"]
        result["beside_the_wallets_rate"] = round(measured.per_s / statistics.median(rates), 2)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "figures.json").write_text(json.dumps(result, indent=2) + "\n")
    console.print_json(data=result)


async def _measure(server: Postgres, running: Broker, folder: Path) -> Measured:
    password = secrets.token_hex(12)
    admin_dsn = server.dsn("figures_bench")
    await asyncio.to_thread(provision.create_database, admin_dsn)
    await asyncio.to_thread(provision.provision, admin_dsn, {"metrics_service": password})
    options = BrokerOptions(running.bootstrap_servers, "bench", "figures-bench.", running.idempotent_producer)
    await kafka.create_topics(options, DEFAULT_LANES, replication=1)
    rows = _month()
    publisher = Publisher(options, linger_ms=5)
    await publisher.start()
    connection = await asyncpg.connect(admin_dsn)
    try:
        for _ in range(EVENTS // AT_ONCE):
            await asyncio.gather(*[await _publish(publisher, next(rows)) for _ in range(AT_ONCE)])
        service_dsn = provision.service_dsn(admin_dsn, "metrics_service", password)
        service = _start(options, service_dsn, folder)
        try:
            per_s, cpu_us = await _catch_up(connection, service.child)
            await _close(service_dsn)
            took = await _summaries(service, publisher, rows)
        finally:
            service.child.stop()
    finally:
        await connection.close()
        await publisher.stop()
    cuts = statistics.quantiles(took, n=100)
    return Measured(per_s, cpu_us, cuts[49] * 1000, cuts[98] * 1000)


async def _catch_up(connection: "asyncpg.Connection[asyncpg.Record]", service: Child) -> tuple[float, float]:
    began: tuple[float, int, float] | None = None
    deadline = time.perf_counter() + FINISH_WITHIN_S
    wanted = EVENTS // AT_ONCE * AT_ONCE
    while True:
        applied: int = await connection.fetchval("SELECT coalesce(sum(position), 0)::bigint FROM metrics.inbox")
        now = time.perf_counter()
        if began is None and applied >= WARM_UP_SHARE * wanted:
            began = now, applied, cpu_s(service)
        if applied >= wanted:
            assert began is not None
            events = applied - began[1]
            return events / (now - began[0]), (cpu_s(service) - began[2]) / events * 1e6
        if now > deadline or not service.alive():
            raise SystemExit(f"{applied} of {wanted} events were folded; see {service.log}")
        await asyncio.sleep(0.05)


async def _close(dsn: str) -> None:
    """As the service would, were there a wallet that it could ask for its heads."""
    over = [(FIRST + timedelta(days=number)).date() for number in range(DAYS - 1)]
    engine = database.create_engine(dsn, application="bench", schema=SCHEMA, pool_size=1)
    try:
        async with database.transaction(engine) as connection:
            await days.close(connection, over, "UTC", datetime.now(UTC))
            await totals.merge(connection, over)
    finally:
        await engine.dispose()


async def _summaries(service: Service, publisher: Publisher, rows: Iterator[LedgerEvent]) -> list[float]:
    """How long each summary of the month took while events came, in seconds."""

    async def send() -> None:
        began = time.perf_counter()
        number = 0
        while True:
            await asyncio.sleep(max(began + number / RATE - time.perf_counter(), 0))
            await _publish(publisher, next(rows))
            number += 1

    sending = asyncio.create_task(send())
    took: list[float] = []
    headers = {"Authorization": f"Bearer {service.token}"}
    try:
        async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=30, trust_env=False) as client:
            for _ in range(SUMMARIES):
                began = time.perf_counter()
                response = await client.get("/reports/summary", params=PERIOD)
                response.raise_for_status()
                took.append(time.perf_counter() - began)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    return took


def _month() -> Iterator[LedgerEvent]:
    """A month's rows, then more of its last day without end; the same each run."""
    ledger, draw = FakeLedger(DEFAULT_LANES), random.Random(5)  # noqa: S311 - a load, not a secret
    step, number = timedelta(days=DAYS) / EVENTS, 0
    while True:
        user_id, kind = draw.randrange(1, PLAYERS), draw.choice(KINDS)
        row = ledger.add(
            kind,
            user_id,
            draw.randrange(1, 10_000),
            currency=CURRENCIES[user_id % len(CURRENCIES)],
            reason=Reason.INSUFFICIENT_FUNDS if draw.random() < 0.05 else None,
            at=FIRST + min(number, EVENTS - 1) * step,
        )
        yield row.model_copy(update={"reference_id": f"game_{draw.randrange(GAMES)}:{number}"})
        number += 1


async def _publish(publisher: Publisher, row: LedgerEvent) -> "asyncio.Future[object]":
    return await publisher.send(
        LEDGER_EVENTS, key=key_of(row.user_id), value=row.model_dump_json().encode(), headers=[], partition=row.lane
    )


def _start(options: BrokerOptions, dsn: str, folder: Path) -> Service:
    token, port = secrets.token_hex(16), free_port()
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": options.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": options.topic_prefix,
        "KAFKA_IDEMPOTENT_PRODUCER": str(options.idempotent_producer),
        "INTERNAL_API_TOKEN": token,
        "METRICS_DATABASE_URL": dsn,
        "REPORT_KEYS": f"r1:{secrets.token_hex(32)}",
        "WALLET_SERVICE_URL": "http://127.0.0.1:1",
        "LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "metrics_service.app:create_app", "--host", "127.0.0.1"]
    log = folder / "metrics.log"
    child = Child.start("metrics", [*command, "--port", str(port), "--no-access-log"], log=log, env=environment)
    return Service(child, f"http://127.0.0.1:{port}", token)


if __name__ == "__main__":
    main()
