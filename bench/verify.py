"""`make bench`: how many rows a second `langsense verify` holds to the chain and to their checkpoints.

A journal of the casino's usual mix is decided and sealed without a broker, then verified. Beside it, in the same run:
the same rows formed by PostgreSQL and only fetched, which is what no verifier can be faster than.
"""

import asyncio
import json
import os
import platform
import secrets
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import psutil  # type: ignore[import-untyped]
from rich.console import Console
from rich.table import Table
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bench import load
from bench.wallet import RESULTS, bytes_per_row
from ops import proof, provision
from ops.infrastructure import postgres
from ops.proof import export
from ops.proof.journal import pages, read_along_the_key
from shared import database
from shared.checkpoints import SigningKeys
from shared.keyring import Keyring
from shared.lanes import DEFAULT_LANES, lane_of
from wallet_service import repository
from wallet_service.domain.batch import Batch
from wallet_service.domain.needs import Placed, needs
from wallet_service.domain.sealing import seal
from wallet_service.settings import LimitSettings

ROWS = int(os.environ.get("ROWS", "200000"))
BATCH_RECORDS = 2000
EVERY_ROWS = 1000


class Cost(NamedTuple):
    """Rows per second, and what one cost in CPU time (microseconds), PostgreSQL's for this connection included."""

    per_s: float
    cpu_us: float


def main() -> None:
    """Run, print and write the results."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="langsense-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgres(folder / "postgres", durable=False) as server:
            dsn = server.dsn("verify")
            provision.create_database(dsn)
            provision.provision(dsn, {"wallet_service": secrets.token_hex(12)})
            costs = asyncio.run(_run(dsn, folder / "export", console))
            _report(console, costs, asyncio.run(bytes_per_row(dsn)), server.version)


async def _run(dsn: str, out: Path, console: Console) -> dict[str, Cost]:
    keyring = Keyring.parse(f"k1:{secrets.token_hex(32)}", f"s1:{secrets.token_hex(32)}")
    engine = database.create_engine(dsn, application="bench", schema="wallet")
    with console.status(f"deciding {ROWS} commands"):
        await _decide(engine, keyring)
    costs = {"seal": await _measured(lambda: _seal(engine, keyring))}
    await engine.dispose()
    async with proof.snapshot(dsn) as connection:
        backend = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        costs["fetch"] = await _measured(lambda: _fetch(connection), backend)
        costs["verify"] = await _measured(lambda: _verify(connection, keyring), backend)
        costs["export"] = await _measured(lambda: _export(connection, out, keyring.signing), backend)
    costs["verify_export"] = await _measured(lambda: _verify_export(out, keyring.signing))
    return costs


async def _measured(work: Callable[[], Awaitable[None]], backend: int | None = None) -> Cost:
    processes = [psutil.Process(), *([psutil.Process(backend)] if backend else [])]
    started, cpu = time.perf_counter(), _cpu_s(processes)
    await work()
    seconds = time.perf_counter() - started
    return Cost(ROWS / seconds, (_cpu_s(processes) - cpu) / ROWS * 1e6)


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return float(sum(each.user + each.system for each in times))


async def _decide(engine: AsyncEngine, keyring: Keyring) -> None:
    commands, rules = load.commands(ROWS), LimitSettings().rules()
    while batch := [Placed(lane_of(each.user_id, DEFAULT_LANES), each) for each in islice(commands, BATCH_RECORDS)]:
        async with database.transaction(engine) as connection:
            loaded = await repository.load(connection, needs(batch), rules.windows)
            decided = Batch(loaded, keyring.chain, rules)
            for lane, command in batch:
                decided.answer(lane, command)
            offsets = repository.Offsets(dict.fromkeys(range(DEFAULT_LANES), 0), {})
            await repository.save(connection, decided.changes, offsets, loaded.now)


async def _seal(engine: AsyncEngine, keyring: Keyring) -> None:
    for lane in range(DEFAULT_LANES):
        while True:
            async with database.transaction(engine) as connection:
                due = await repository.load_due(connection, lane, EVERY_ROWS)
                if due is None:
                    break
                checkpoint = seal(lane, due.before, due.entries, due.now, chain=keyring.chain, signing=keyring.signing)
                await repository.save_checkpoint(connection, checkpoint)


async def _fetch(connection: AsyncConnection) -> None:
    await read_along_the_key(connection)
    for lane in range(DEFAULT_LANES):
        async for _ in pages(connection, lane):
            pass


async def _verify(connection: AsyncConnection, keyring: Keyring) -> None:
    _holds(await proof.chained(connection, keyring.chain, keyring.signing.public(), None))


async def _export(connection: AsyncConnection, folder: Path, signing: SigningKeys) -> None:
    await export.export(connection, folder, signing.public(), lambda rows: None)


async def _verify_export(folder: Path, signing: SigningKeys) -> None:
    _holds(await export.verified(folder, signing.public(), None, lambda rows: None))


def _holds(check: proof.Check) -> None:
    if not check.holds or not check.looked_at.startswith(f"{ROWS} rows"):
        raise SystemExit(f"the ledger does not hold: {check.looked_at}; {check.findings[:3]}")


def _report(console: Console, costs: dict[str, Cost], size: float, postgres_version: str) -> None:
    result = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        # A machine that does other things too has less time for it: what one core does is told by its CPU time.
        "verify_rows_per_core_s": round(1e6 / costs["verify"].cpu_us),
        "verify_vs_fetch": round(costs["verify"].per_s / costs["fetch"].per_s, 2),
        **{f"{name}_rows_per_s": round(cost.per_s) for name, cost in costs.items()},
        **{f"{name}_cpu_us_per_row": round(cost.cpu_us, 2) for name, cost in costs.items()},
        "bytes_per_transaction": round(size),
        "rows": ROWS,
        "postgres": postgres_version,
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "verify.json").write_text(json.dumps(result, indent=2) + "\n")
    table = Table("", "rows/s", "CPU, µs a row", title="The proof: rows, chain, checkpoints")
    for name, label in (
        ("fetch", "fetched and not looked at"),
        ("verify", "langsense verify"),
        ("seal", "sealed by the wallet"),
        ("export", "langsense export-journal"),
        ("verify_export", "langsense verify --export"),
    ):
        table.add_row(label, f"{costs[name].per_s:.0f}", f"{costs[name].cpu_us:.1f}")
    console.print(table)
    console.print(f"one core verifies {result['verify_rows_per_core_s']} rows/s, PostgreSQL's part included")
    console.print(f"{size:.0f} bytes per transaction, indexes included; written to bench/results/verify.json")


if __name__ == "__main__":
    main()
