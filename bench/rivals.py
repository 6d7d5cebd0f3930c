"""What the wallet is measured against: the same rows, one transaction each (pgbench), and with no logic at all."""

import asyncio
import re
import subprocess
import tempfile
import time
from pathlib import Path

import asyncpg

from ops.infrastructure.postgres import wheel_programs

PGBENCH_CLIENTS = 16
_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)

# The lane, the player's account, the journal row and the house account of one bet, statement after statement in one
# transaction, as a service writes them that takes one command at a time.
STATEMENTS = r"""
\set user random(1, 10000)
\set lane mod(:user, 12)
\set amount random(1, 5000)
BEGIN;
UPDATE lanes SET position = position + 1, head = sha256(head), decided_at = now() WHERE lane = :lane
    RETURNING position, encode(head, 'hex') AS head \gset
INSERT INTO accounts AS a (lane, user_id, currency, cash, reserved)
    VALUES (:lane, :user, 'USD', -(:amount)::bigint, 0)
    ON CONFLICT (lane, user_id, currency) DO UPDATE SET cash = a.cash + excluded.cash RETURNING cash \gset
INSERT INTO transactions (lane, position, id, kind, status, user_id, amount, currency, debit, credit, reference_id,
    round_id, cash_after, reserved_after, occurred_at, created_at, key_id, checksum)
    VALUES (:lane, :position, gen_random_uuid(), 'GAME_BET', 'posted', :user, :amount, 'USD', 'cash', 'revenue',
    'game-' || (:user)::bigint, 'r-' || (:amount)::bigint, :cash, 0, now(), now(), 'k1', decode(:head, 'hex'));
INSERT INTO house_accounts AS h (lane, account, currency, balance)
    VALUES (:lane, 'revenue', 'USD', (:amount)::bigint)
    ON CONFLICT (lane, account, currency) DO UPDATE SET balance = h.balance + excluded.balance;
COMMIT;
"""

# The same rows in one statement: the fewest round trips that a transaction per command can have.
ONE_STATEMENT = r"""
\set user random(1, 10000)
\set lane mod(:user, 12)
\set amount random(1, 5000)
WITH l AS (
    UPDATE lanes SET position = position + 1, head = sha256(head), decided_at = now() WHERE lane = :lane
    RETURNING position, head
), a AS (
    INSERT INTO accounts AS a (lane, user_id, currency, cash, reserved)
    VALUES (:lane, :user, 'USD', -(:amount)::bigint, 0)
    ON CONFLICT (lane, user_id, currency) DO UPDATE SET cash = a.cash + excluded.cash RETURNING cash
), h AS (
    INSERT INTO house_accounts AS h (lane, account, currency, balance)
    VALUES (:lane, 'revenue', 'USD', (:amount)::bigint)
    ON CONFLICT (lane, account, currency) DO UPDATE SET balance = h.balance + excluded.balance
)
INSERT INTO transactions (lane, position, id, kind, status, user_id, amount, currency, debit, credit, reference_id,
    round_id, cash_after, reserved_after, occurred_at, created_at, key_id, checksum)
SELECT :lane, l.position, gen_random_uuid(), 'GAME_BET', 'posted', :user, :amount, 'USD', 'cash', 'revenue',
    'game-' || (:user)::bigint, 'r-' || (:amount)::bigint, a.cash, 0, now(), now(), 'k1', l.head
FROM l, a;
"""


def pgbench(dsn: str, command: str, seconds: int) -> float:
    """Commands per second of pgbench with prepared statements, from PGBENCH_CLIENTS clients."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "command.sql")
        script.write_text(command)
        options = ["--no-vacuum", "--protocol=prepared", f"--client={PGBENCH_CLIENTS}", "--jobs=2"]
        run = subprocess.run(
            [
                *(str(wheel_programs() / "pgbench"), *options, f"--time={seconds}", f"--file={script}"),
                f"{dsn}?options=-csearch_path%3Dwallet",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + 60,
        )
    found = _TPS.search(run.stdout)
    if run.returncode or found is None:
        raise SystemExit(f"pgbench failed: {run.stderr[-2000:]}")
    return float(found[1])


_COLUMNS = (
    "lane, position, id, kind, status, reason, user_id, amount, currency, debit, credit, provider, reference_id, "
    "round_id, stated_reason, actor, cash_after, reserved_after, facts, occurred_at, created_at, key_id, checksum"
)
# fmt: off
_TYPES = (
    "smallint", "bigint", "uuid", "wallet.transaction_kind", "wallet.transaction_status", "text", "bigint", "bigint",
    "text", "wallet.account_class", "wallet.account_class", "text", "text", "text", "text", "text", "bigint", "bigint",
    "json", "timestamptz", "timestamptz", "text", "bytea",
)
# fmt: on
_ARRAYS = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(_TYPES, 1))
_INSERT_ROWS = f"INSERT INTO wallet.transactions ({_COLUMNS}) SELECT * FROM unnest({_ARRAYS})"  # noqa: S608
_ACCOUNTS = """INSERT INTO wallet.accounts (lane, user_id, currency, cash, reserved)
    SELECT DISTINCT ON (lane, user_id) lane, user_id, 'USD', cash, 0
    FROM unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::bigint[]) AS r(lane, user_id, cash, position)
    ORDER BY lane, user_id, position DESC
    ON CONFLICT (lane, user_id, currency) DO UPDATE SET cash = excluded.cash"""
_HOUSE = """INSERT INTO wallet.house_accounts AS h (lane, account, currency, balance)
    SELECT lane, 'revenue', 'USD', sum(amount)
    FROM unnest($1::smallint[], $2::bigint[]) AS r(lane, amount) GROUP BY lane
    ON CONFLICT (lane, account, currency) DO UPDATE SET balance = h.balance + excluded.balance"""
_LANES = """INSERT INTO wallet.lanes AS l (lane, position, head, next_offset, published, decided_at)
    SELECT lane, max(position), '', 0, 0, now()
    FROM unnest($1::smallint[], $2::bigint[]) AS r(lane, position) GROUP BY lane
    ON CONFLICT (lane) DO UPDATE SET position = excluded.position"""


def bare_inserts(source_dsn: str, target_dsn: str, batch: int) -> float:
    """Rows per second when the journal of one database is written into another: the same rows and derived tables,
    set-based, a transaction per batch, with no decision, no chain and no broker."""
    return asyncio.run(_bare_inserts(source_dsn, target_dsn, batch))


async def _bare_inserts(source_dsn: str, target_dsn: str, batch: int) -> float:
    source = await asyncpg.connect(source_dsn)
    target = await asyncpg.connect(target_dsn)
    try:
        rows = await source.fetch(f"SELECT {_COLUMNS} FROM wallet.transactions ORDER BY created_at, lane, position")  # noqa: S608
        batches = [
            [list(column) for column in zip(*rows[i : i + batch], strict=True)] for i in range(0, len(rows), batch)
        ]
        started = time.perf_counter()
        for columns in batches:
            lanes, positions, users, amounts, cash = (columns[index] for index in (0, 1, 6, 7, 16))
            async with target.transaction():
                await target.execute(_INSERT_ROWS, *columns)
                await target.execute(_ACCOUNTS, lanes, users, cash, positions)
                await target.execute(_HOUSE, lanes, amounts)
                await target.execute(_LANES, lanes, positions)
        return len(rows) / (time.perf_counter() - started)
    finally:
        await source.close()
        await target.close()
