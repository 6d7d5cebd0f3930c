"""`make bench`: how many commands a second the wallet takes from Kafka, decides, commits and publishes.

Beside it, in the same run on the same machine: pgbench with one transaction per command that writes the same rows,
and bare set-based inserts of the same rows with no logic. A machine's speed says little, so the ratios are what
counts: `wallet_vs_pgbench` and `wallet_vs_limit`.
"""

import asyncio
import json
import os
import platform
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import asyncpg
import psutil  # type: ignore[import-untyped]
from aiokafka import AIOKafkaConsumer, TopicPartition
from rich.console import Console
from rich.table import Table

from bench import load, rivals
from ops import provision
from ops.infrastructure import Broker, Postgres, broker, free_port, postgres
from ops.infrastructure.processes import Child
from shared import broker as kafka
from shared.broker import BrokerOptions, Publisher
from shared.contracts import commands, topics
from shared.lanes import DEFAULT_LANES, key_of

ROUNDS = 3
COMMANDS = int(os.environ.get("COMMANDS", "60000"))
PGBENCH_SECONDS = 6
BATCH_RECORDS = 1000
# Starting, joining the group and the first fetches are not the rate: measured from this share of the commands on.
WARM_UP_SHARE = 0.15
FINISH_WITHIN_S = 180.0
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Bench:
    """Where everything runs."""

    server: Postgres
    kafka: Broker
    folder: Path
    password: str


class Measured(NamedTuple):
    """The wallet's commands per second, and what one cost its process in CPU time (microseconds)."""

    per_s: float
    cpu_us: float


class Round(NamedTuple):
    """What one round measured, commands or rows per second."""

    wallet: Measured
    pgbench: float
    pgbench_one_statement: float
    bare_inserts: float
    bytes_per_transaction: float


def main() -> None:
    """Run, print and write the results."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="langsense-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgres(folder / "postgres") as server, broker("auto", folder / "broker") as running:
            bench = Bench(server, running, folder, secrets.token_hex(12))
            console.print(f"{COMMANDS} commands, {ROUNDS} rounds; broker: {running.kind} {running.version}")
            rounds = [_round(bench, number, console) for number in range(1, ROUNDS + 1)]
    _report(console, bench, rounds)


def _round(bench: Bench, number: int, console: Console) -> Round:
    decided, statements, one, bare = (_database(bench, f"round{number}_{part}") for part in "abcd")
    wallet = asyncio.run(_measure_wallet(bench, decided, f"round{number}."))
    for rival in (statements, one):
        asyncio.run(_make_lanes(rival))
    measured = Round(
        wallet=wallet,
        pgbench=rivals.pgbench(statements, rivals.STATEMENTS, PGBENCH_SECONDS),
        pgbench_one_statement=rivals.pgbench(one, rivals.ONE_STATEMENT, PGBENCH_SECONDS),
        bare_inserts=rivals.bare_inserts(decided, bare, BATCH_RECORDS),
        bytes_per_transaction=asyncio.run(bytes_per_row(decided)),
    )
    console.print(
        f"round {number}: wallet {wallet.per_s:.0f}/s, pgbench {measured.pgbench:.0f}/s, in one statement "
        f"{measured.pgbench_one_statement:.0f}/s, bare inserts {measured.bare_inserts:.0f}/s"
    )
    return measured


def _report(console: Console, bench: Bench, rounds: Sequence[Round]) -> None:
    def beside(rival: Callable[[Round], float]) -> float:
        return round(statistics.median(one.wallet.per_s / rival(one) for one in rounds), 2)

    result = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "wallet_vs_pgbench": beside(lambda one: one.pgbench),
        "wallet_vs_pgbench_one_statement": beside(lambda one: one.pgbench_one_statement),
        "wallet_vs_limit": beside(lambda one: one.bare_inserts),
        "wallet_per_s": [round(one.wallet.per_s) for one in rounds],
        "pgbench_per_s": [round(one.pgbench) for one in rounds],
        "pgbench_one_statement_per_s": [round(one.pgbench_one_statement) for one in rounds],
        "bare_inserts_per_s": [round(one.bare_inserts) for one in rounds],
        "wallet_cpu_us_per_command": [round(one.wallet.cpu_us, 1) for one in rounds],
        "bytes_per_transaction": round(statistics.median(one.bytes_per_transaction for one in rounds)),
        "commands": COMMANDS,
        "broker": f"{bench.kafka.kind} {bench.kafka.version}",
        "postgres": bench.server.version,
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "wallet.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    table = Table("", "median of the rounds", title="The wallet: Kafka in, decided, committed, published")
    table.add_row("beside pgbench, a transaction per command", f"{result['wallet_vs_pgbench']} times")
    table.add_row("the same in one statement", f"{result['wallet_vs_pgbench_one_statement']} times")
    table.add_row("beside bare set-based inserts", f"{result['wallet_vs_limit']} times")
    table.add_row("bytes per transaction, indexes included", str(result["bytes_per_transaction"]))
    console.print(table)
    console.print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def _database(bench: Bench, name: str) -> str:
    """A fresh database with the wallet's tables; returns the administrator's URL."""
    admin_dsn = bench.server.dsn(name)
    provision.create_database(admin_dsn)
    provision.provision(admin_dsn, {"wallet_service": bench.password})
    return admin_dsn


async def _measure_wallet(bench: Bench, admin_dsn: str, prefix: str) -> Measured:
    options = BrokerOptions(bench.kafka.bootstrap_servers, "bench", prefix, bench.kafka.idempotent_producer)
    await kafka.create_topics(options, DEFAULT_LANES, replication=1)
    await _preload(options)
    wallet = _start_wallet(bench, admin_dsn, options)
    consumer = AIOKafkaConsumer(bootstrap_servers=options.bootstrap_servers, enable_auto_commit=False)
    await consumer.start()
    try:
        events = [TopicPartition(options.topic(topics.LEDGER_EVENTS), lane) for lane in range(DEFAULT_LANES)]
        began: tuple[float, int] | None = None
        cpu_at_start = 0.0
        deadline = time.perf_counter() + FINISH_WITHIN_S
        while True:
            published: int = sum((await consumer.end_offsets(events)).values())
            now = time.perf_counter()
            if began is None and published >= WARM_UP_SHARE * COMMANDS:
                began, cpu_at_start = (now, published), cpu_s(wallet)
            if published >= COMMANDS:
                assert began is not None
                records, seconds = published - began[1], now - began[0]
                return Measured(records / seconds, (cpu_s(wallet) - cpu_at_start) / records * 1e6)
            if now > deadline or not wallet.alive():
                raise SystemExit(f"the wallet published {published} of {COMMANDS} events; see {wallet.log}")
            await asyncio.sleep(0.05)
    finally:
        await consumer.stop()
        wallet.stop()


def cpu_s(wallet: Child) -> float:
    """What a process has used, in seconds."""
    times = psutil.Process(wallet.process.pid).cpu_times()
    return float(times.user + times.system)


async def _preload(options: BrokerOptions) -> None:
    publisher = Publisher(options, linger_ms=5)
    await publisher.start()
    try:
        futures = [
            await publisher.send(
                topics.WALLET_COMMANDS, key=key_of(command.user_id), value=commands.encode(command), headers=[]
            )
            for command in load.commands(COMMANDS)
        ]
        await asyncio.gather(*futures)
    finally:
        await publisher.stop()


def _start_wallet(bench: Bench, admin_dsn: str, options: BrokerOptions) -> Child:
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": options.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": options.topic_prefix,
        "KAFKA_IDEMPOTENT_PRODUCER": str(options.idempotent_producer),
        "INTERNAL_API_TOKEN": secrets.token_hex(16),
        "WALLET_DATABASE_URL": provision.service_dsn(admin_dsn, "wallet_service", bench.password),
        "WALLET_BATCH_RECORDS": str(BATCH_RECORDS),
        "CHAIN_KEYS": f"k1:{secrets.token_hex(32)}",
        "CHECKPOINT_KEYS": f"s1:{secrets.token_hex(32)}",
        "CHECKPOINT_SINK": (bench.folder / "checkpoints" / options.topic_prefix).as_uri(),
        "LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "wallet_service.app:create_app", "--host", "127.0.0.1"]
    return Child.start(
        "wallet", [*command, "--port", str(free_port())], log=bench.folder / "wallet.log", env=environment
    )


async def _make_lanes(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "INSERT INTO wallet.lanes SELECT n, 0, '\\x00', 0, 0, now() FROM generate_series(0, $1::int - 1) n",
            DEFAULT_LANES,
        )
    finally:
        await connection.close()


async def bytes_per_row(dsn: str) -> float:
    """What one journal row takes on disk, its indexes included."""
    connection = await asyncpg.connect(dsn)
    try:
        size: float = await connection.fetchval(
            "SELECT pg_total_relation_size('wallet.transactions') / count(*)::float8 FROM wallet.transactions"
        )
        return size
    finally:
        await connection.close()


if __name__ == "__main__":
    main()
