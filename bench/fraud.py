"""`make bench`: whether scores keep up with the wallet, and how long one takes from the ledger's event to its score.

First as many events as the wallet's benchmark commands wait on Kafka, and the service reads, folds, scores and commits
them as fast as it can. Then RATE events a second arrive one by one, and each is timed from its publication until its
position is applied, as another connection sees it.
"""

import asyncio
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import asyncpg
from rich.console import Console

from bench.wallet import RESULTS, cpu_s
from ops import provision
from ops.infrastructure import Broker, Postgres, broker, free_port, postgres
from ops.infrastructure.processes import Child
from shared import broker as kafka
from shared.broker import BrokerOptions, Publisher
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind
from shared.contracts.topics import LEDGER_EVENTS
from shared.lanes import DEFAULT_LANES, key_of
from shared.testing import FakeLedger

EVENTS = int(os.environ.get("EVENTS", "40000"))
PLAYERS = int(os.environ.get("PLAYERS", "5000"))
RATE = int(os.environ.get("RATE", "500"))
SECONDS = int(os.environ.get("SECONDS", "20"))
WARM_UP_SHARE = 0.15
FINISH_WITHIN_S = 300.0
KINDS = (*(Kind.GAME_BET,) * 6, *(Kind.GAME_PAYOUT,) * 3, Kind.DEPOSIT)


class Measured(NamedTuple):
    """Events per second, what one cost in CPU time (microseconds), how long one waits for its score (milliseconds)."""

    per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


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
        "events_per_s": round(measured.per_s),
        "cpu_us_per_event": round(measured.cpu_us, 1),
        "lag_p50_ms": round(measured.p50_ms, 1),
        "lag_p99_ms": round(measured.p99_ms, 1),
        "rate": RATE,
        "broker": told,
    }
    wallet = RESULTS / "wallet.json"
    if wallet.exists():
        rates: list[int] = json.loads(wallet.read_text())["wallet_per_s"]
        result["beside_the_wallets_rate"] = round(measured.per_s / statistics.median(rates), 2)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "fraud.json").write_text(json.dumps(result, indent=2) + "\n")
    console.print_json(data=result)


async def _measure(server: Postgres, running: Broker, folder: Path) -> Measured:
    password = secrets.token_hex(12)
    admin_dsn = server.dsn("fraud_bench")
    await asyncio.to_thread(provision.create_database, admin_dsn)
    await asyncio.to_thread(provision.provision, admin_dsn, {"fraud_service": password})
    options = BrokerOptions(running.bootstrap_servers, "bench", "fraud-bench.", running.idempotent_producer)
    await kafka.create_topics(options, DEFAULT_LANES, replication=1)
    ledger = FakeLedger(DEFAULT_LANES)
    publisher = Publisher(options, linger_ms=1)
    await publisher.start()
    connection = await asyncpg.connect(admin_dsn)
    try:
        waiting = [_row(ledger, number) for number in range(EVENTS)]
        await asyncio.gather(*[await _publish(publisher, row) for row in waiting])
        service = _start(options, provision.service_dsn(admin_dsn, "fraud_service", password), folder)
        try:
            per_s, cpu_us = await _catch_up(connection, service)
            lags = await _pace(connection, publisher, ledger)
        finally:
            service.stop()
    finally:
        await connection.close()
        await publisher.stop()
    cuts = statistics.quantiles(lags, n=100)
    return Measured(per_s, cpu_us, cuts[49] * 1000, cuts[98] * 1000)


async def _catch_up(connection: "asyncpg.Connection[asyncpg.Record]", service: Child) -> tuple[float, float]:
    began: tuple[float, int, float] | None = None
    deadline = time.perf_counter() + FINISH_WITHIN_S
    while True:
        applied = sum((await _positions(connection)).values())
        now = time.perf_counter()
        if began is None and applied >= WARM_UP_SHARE * EVENTS:
            began = now, applied, cpu_s(service)
        if applied >= EVENTS:
            assert began is not None
            events = applied - began[1]
            return events / (now - began[0]), (cpu_s(service) - began[2]) / events * 1e6
        if now > deadline or not service.alive():
            raise SystemExit(f"{applied} of {EVENTS} events were scored; see {service.log}")
        await asyncio.sleep(0.05)


async def _pace(
    connection: "asyncpg.Connection[asyncpg.Record]", publisher: Publisher, ledger: FakeLedger
) -> list[float]:
    """How long each event waited for its score, in seconds."""
    waiting: dict[int, list[tuple[int, float]]] = {lane: [] for lane in range(DEFAULT_LANES)}
    lags: list[float] = []
    began = time.perf_counter()

    async def send() -> None:
        for number in range(RATE * SECONDS):
            await asyncio.sleep(max(began + number / RATE - time.perf_counter(), 0))
            row = _row(ledger, number)
            waiting[row.lane].append((row.position, time.perf_counter()))
            await _publish(publisher, row)

    sending = asyncio.create_task(send())
    while not (sending.done() and not any(waiting.values())):
        positions = await _positions(connection)
        now = time.perf_counter()
        for lane, rows in waiting.items():
            while rows and rows[0][0] <= positions.get(lane, 0):
                lags.append(now - rows.pop(0)[1])
        if now - began > SECONDS + FINISH_WITHIN_S:
            raise SystemExit("the events of the second part were not all scored")
        await asyncio.sleep(0.005)
    await sending
    return lags


def _row(ledger: FakeLedger, number: int) -> LedgerEvent:
    # The same sequence each run; a prime step spreads neighbours over players.
    return ledger.add(KINDS[number % len(KINDS)], number * 7919 % PLAYERS + 1, 1000, at=datetime.now(UTC))


async def _publish(publisher: Publisher, row: LedgerEvent) -> "asyncio.Future[object]":
    return await publisher.send(
        LEDGER_EVENTS, key=key_of(row.user_id), value=row.model_dump_json().encode(), headers=[], partition=row.lane
    )


async def _positions(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[int, int]:
    rows = await connection.fetch("SELECT lane, position FROM fraud.inbox")
    return {row["lane"]: row["position"] for row in rows}


def _start(options: BrokerOptions, dsn: str, folder: Path) -> Child:
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": options.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": options.topic_prefix,
        "KAFKA_IDEMPOTENT_PRODUCER": str(options.idempotent_producer),
        "INTERNAL_API_TOKEN": secrets.token_hex(16),
        "FRAUD_DATABASE_URL": dsn,
        "WALLET_SERVICE_URL": "http://127.0.0.1:1",
        "LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "fraud_service.app:create_app", "--host", "127.0.0.1"]
    return Child.start("fraud", [*command, "--port", str(free_port())], log=folder / "fraud.log", env=environment)


if __name__ == "__main__":
    main()
