"""The sandbox's books, and the webhooks that it has still to send: a SQLite file, written through before any answer."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ops.sandbox.models import Direction, Faults, Movement, Outcome, Payment

_SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    payment_id TEXT PRIMARY KEY, direction TEXT NOT NULL, user_id INTEGER NOT NULL, amount_minor INTEGER NOT NULL,
    currency TEXT NOT NULL, method TEXT NOT NULL, instrument TEXT, of_reference TEXT, reference TEXT NOT NULL UNIQUE,
    outcome TEXT NOT NULL, reason TEXT, fee_minor INTEGER NOT NULL, created_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS movements (
    payment_id TEXT NOT NULL, back INTEGER NOT NULL, at REAL NOT NULL, PRIMARY KEY (payment_id, back)
);
CREATE TABLE IF NOT EXISTS webhooks (
    id INTEGER PRIMARY KEY, paypal INTEGER NOT NULL, body BLOB NOT NULL, forged INTEGER NOT NULL, due_at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS idx_webhooks_due ON webhooks (due_at) WHERE done = 0;
CREATE TABLE IF NOT EXISTS faults (id INTEGER PRIMARY KEY CHECK (id = 1), plan TEXT NOT NULL);
"""

_INSERT = "INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Webhook(NamedTuple):
    """One to be sent: its body, in whose form, and whether its signature is to be nobody's."""

    paypal: bool
    body: bytes
    forged: bool
    due_at: float


class Due(NamedTuple):
    """One whose time has come, and how often it was tried."""

    id: int
    paypal: bool
    body: bytes
    forged: bool
    attempts: int


class Books:
    """Opened by one process. Each method is one transaction."""

    def __init__(self, file: Path) -> None:
        self._connection = sqlite3.connect(file, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def add(self, payment: Payment, webhooks: Sequence[Webhook]) -> None:
        """Enter a payment with what is to be told of it."""
        with self._connection:
            self._connection.execute(_INSERT, payment)
            self._queue(webhooks)

    def settle(self, payment: Payment, webhooks: Sequence[Webhook], moved: Movement | None) -> None:
        """Change how a payment stands, with what is to be told of it, and what moved with that."""
        with self._connection:
            if moved is not None:
                row = (payment.payment_id, moved.back, moved.at)
                self._connection.execute("INSERT OR IGNORE INTO movements VALUES (?, ?, ?)", row)
            self._connection.execute(
                "UPDATE payments SET outcome = ?, reason = ? WHERE payment_id = ?",
                (payment.outcome, payment.reason, payment.payment_id),
            )
            self._queue(webhooks)

    def tell(self, webhooks: Sequence[Webhook]) -> None:
        """Have webhooks sent."""
        with self._connection:
            self._queue(webhooks)

    def find(self, payment_id: str) -> Payment | None:
        """A payment by our id."""
        return next(iter(self._payments("WHERE payment_id = ?", (payment_id,))), None)

    def by_reference(self, reference: str) -> Payment | None:
        """A payment by its reference here."""
        return next(iter(self._payments("WHERE reference = ?", (reference,))), None)

    def refunded(self, reference: str) -> int:
        """How much of a deposit has gone back, or is to go."""
        total: int = self._connection.execute(
            "SELECT COALESCE(SUM(amount_minor), 0) FROM payments WHERE of_reference = ? AND outcome != ?",
            (reference, Outcome.FAILED),
        ).fetchone()[0]
        return total

    def all(self, start: float, end: float) -> list[Payment]:
        """What was asked for in a time, the oldest first."""
        return self._payments("WHERE created_at >= ? AND created_at < ? ORDER BY created_at, reference", (start, end))

    def settled(self, start: float, end: float) -> list[Payment]:
        """What moved of what was asked for in a time, whatever became of it later."""
        came_back = "payment_id IN (SELECT payment_id FROM movements)"
        return self._payments(
            f"WHERE created_at >= ? AND created_at < ? AND (outcome = ? OR {came_back}) ORDER BY created_at, reference",
            (start, end, Outcome.COMPLETED),
        )

    def moved(self, start: float, end: float) -> list[Movement]:
        """What moved in a time of what was settled before, the oldest first."""
        rows = self._connection.execute(
            "SELECT payment_id, back, at FROM movements WHERE at >= ? AND at < ? ORDER BY at, payment_id", (start, end)
        ).fetchall()
        return [
            Movement(payment, bool(back), at)
            for payment_id, back, at in rows
            for payment in self._payments("WHERE payment_id = ?", (payment_id,))
        ]

    def due(self, now: float, most: int) -> list[Due]:
        """The webhooks whose time has come."""
        rows = self._connection.execute(
            "SELECT id, paypal, body, forged, attempts FROM webhooks WHERE done = 0 AND due_at <= ? "
            "ORDER BY due_at, id LIMIT ?",
            (now, most),
        )
        return [Due(row[0], bool(row[1]), row[2], bool(row[3]), row[4]) for row in rows]

    def waiting(self) -> int:
        """How many webhooks are still to be sent."""
        count: int = self._connection.execute("SELECT COUNT(*) FROM webhooks WHERE done = 0").fetchone()[0]
        return count

    def sent(self, webhook_id: int) -> None:
        """It was taken, or is given up."""
        with self._connection:
            self._connection.execute("UPDATE webhooks SET done = 1 WHERE id = ?", (webhook_id,))

    def postpone(self, webhook_id: int, due_at: float) -> None:
        """It was not taken."""
        with self._connection:
            self._connection.execute(
                "UPDATE webhooks SET due_at = ?, attempts = attempts + 1 WHERE id = ?", (due_at, webhook_id)
            )

    def faults(self) -> Faults:
        """What is to go wrong."""
        row = self._connection.execute("SELECT plan FROM faults").fetchone()
        return Faults() if row is None else Faults.model_validate_json(row[0])

    def plan(self, faults: Faults) -> None:
        """Say what is to go wrong from now on."""
        with self._connection:
            self._connection.execute("INSERT OR REPLACE INTO faults VALUES (1, ?)", (faults.model_dump_json(),))

    def _queue(self, webhooks: Sequence[Webhook]) -> None:
        self._connection.executemany(
            "INSERT INTO webhooks (paypal, body, forged, due_at) VALUES (?, ?, ?, ?)", webhooks
        )

    def _payments(self, where: str, values: Sequence[str | float]) -> list[Payment]:
        rows = self._connection.execute(f"SELECT * FROM payments {where}", values)  # noqa: S608 - ours alone
        return [Payment(*row)._replace(direction=Direction(row[1]), outcome=Outcome(row[9])) for row in rows]
