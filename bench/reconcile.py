"""`make bench`: how long a reconciliation of a million journal rows takes.

The rows are planted in SQL, since deciding so many takes minutes: bets and payouts of ten thousand players, whose
balances agree with them. What is timed is what the wallet's worker does, on the same connection as a plain count of the
rows, which is what no reconciliation can be faster than.
"""

import asyncio
import json
import os
import platform
import secrets
import tempfile
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from sqlalchemy import text

from bench.load import PLAYERS
from bench.wallet import RESULTS
from ops import provision
from ops.infrastructure import postgres
from shared import database
from shared.contracts.integrity import Period
from shared.lanes import DEFAULT_LANES
from wallet_service.handlers.reconciler import STATEMENT_TIMEOUT_S
from wallet_service.repository import reconcile

ROWS = int(os.environ.get("RECONCILED_ROWS", "1000000"))
START = datetime(2026, 10, 1, tzinfo=UTC)
# A deposit, then four bets to a payout; players one after another, as a busy casino mixes them.
_PLANT = (
    f"""INSERT INTO transactions (lane, position, user_id, kind, status, amount, debit, credit, currency, provider,
        reference_id, round_id, cash_after, reserved_after, id, occurred_at, created_at, key_id, checksum)
    SELECT lane, row_number() OVER (PARTITION BY lane ORDER BY n), user_id, kind::transaction_kind, 'posted', amount,
        debit::account_class, credit::account_class, 'USD', CASE kind WHEN 'DEPOSIT' THEN 'stripe' END,
        'game-' || n, 'r-' || n, sum(CASE credit WHEN 'cash' THEN amount ELSE -amount END)
            OVER (PARTITION BY user_id ORDER BY n), 0, gen_random_uuid(), t0, t0 + n * interval '1 ms', 'k1',
        sha256(int8send(n))
    FROM (
        SELECT n, user_id, (user_id % {DEFAULT_LANES})::smallint AS lane,
            CASE WHEN turn = 0 THEN 'DEPOSIT' WHEN turn % 5 = 0 THEN 'GAME_PAYOUT' ELSE 'GAME_BET' END AS kind,
            CASE WHEN turn = 0 THEN 1000000 ELSE 100 + n % 400 END AS amount,
            CASE WHEN turn = 0 THEN 'clearing' WHEN turn % 5 = 0 THEN 'revenue' ELSE 'cash' END AS debit,
            CASE WHEN turn % 5 = 0 THEN 'cash' ELSE 'revenue' END AS credit
        FROM (
            SELECT n, n % {PLAYERS} + 1 AS user_id, n / {PLAYERS} AS turn
            FROM generate_series(0, CAST(:rows AS bigint) - 1) n
        ) t
    ) r, CAST(:start AS timestamptz) AS t0 ORDER BY n""",  # noqa: S608
    """INSERT INTO accounts (lane, user_id, currency, cash, reserved)
    SELECT DISTINCT ON (user_id) lane, user_id, currency, cash_after, reserved_after
    FROM transactions ORDER BY user_id, position DESC""",
    """INSERT INTO house_accounts (lane, account, currency, balance)
    SELECT lane, 'revenue', currency, -sum(cash) FROM accounts GROUP BY lane, currency""",
    """INSERT INTO lanes (lane, position, head, next_offset, published, decided_at)
    SELECT lane, max(position), '', 0, 0, max(created_at) FROM transactions GROUP BY lane""",
)


class Result(NamedTuple):
    """What each step took, in seconds."""

    plant_s: float
    count_s: float
    reconcile_s: float


def main() -> None:
    """Run, print and write the results."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="langsense-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgres(folder / "postgres", durable=False) as server:
            dsn = server.dsn("reconcile")
            provision.create_database(dsn)
            provision.provision(dsn, {"wallet_service": secrets.token_hex(12)})
            with console.status(f"planting and reconciling {ROWS} rows"):
                result = asyncio.run(_run(dsn))
            _report(console, result, server.version)


async def _run(dsn: str) -> Result:
    engine = database.create_engine(dsn, application="bench", schema="wallet", statement_timeout_s=STATEMENT_TIMEOUT_S)
    moments = [time.perf_counter()]
    async with database.transaction(engine) as connection:
        for statement in _PLANT:
            await connection.execute(text(statement), {"start": START, "rows": ROWS})
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE"))
    moments.append(time.perf_counter())
    async with database.reading(engine) as connection:
        await connection.execute(text("SELECT count(reserved_after) FROM transactions"))
        moments.append(time.perf_counter())
        outcome = await reconcile(connection, Period(start=START, end=datetime(2026, 11, 1, tzinfo=UTC)))
        moments.append(time.perf_counter())
    await engine.dispose()
    if outcome.rows != ROWS or outcome.discrepancy_count:
        raise SystemExit(f"the ledger does not reconcile: {outcome.rows} rows, {outcome.discrepancies[:3]}")
    return Result(*(after - before for before, after in pairwise(moments)))


def _report(console: Console, result: Result, postgres_version: str) -> None:
    written = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": ROWS,
        "reconcile_s": round(result.reconcile_s, 2),
        "rows_per_s": round(ROWS / result.reconcile_s),
        "count_s": round(result.count_s, 2),
        "plant_s": round(result.plant_s, 2),
        "postgres": postgres_version,
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, {platform.system()}",
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "reconcile.json").write_text(json.dumps(written, indent=2) + "\n")
    console.print(
        f"reconciled {ROWS} rows in {result.reconcile_s:.1f} s ({written['rows_per_s']} rows/s); counting them takes "
        f"{result.count_s:.1f} s, planting them took {result.plant_s:.0f} s; written to bench/results/reconcile.json"
    )


if __name__ == "__main__":
    main()
