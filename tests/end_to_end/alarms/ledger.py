"""What is wrong with the ledger and the audit log: somebody who may do everything in the database does it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from ops.vigilance.alarms import Severity
from tests.end_to_end.alarms.stage import PLAYER, USER, Cause, Stage
from tests.end_to_end.support import until

_UNSEALED = """SELECT FROM wallet.transactions t WHERE position >
    (SELECT coalesce(max(last_position), 0) FROM wallet.checkpoints c WHERE c.lane = t.lane) LIMIT 1"""
_UNSEALED_ENTRIES = """SELECT FROM compliance.audit_log WHERE number >
    (SELECT coalesce(max(last_position), 0) FROM compliance.audit_checkpoints) LIMIT 1"""


def _until_all_is_sealed(stage: Stage, unsealed: str) -> None:
    """What was there before is sealed by age, and takes what comes meanwhile along."""
    until(lambda: not stage.sql(unsealed), within_s=60)


@contextmanager
def _a_row_is_altered(stage: Stage) -> Iterator[None]:
    """Before it is sealed, so that its lane cannot be."""
    _until_all_is_sealed(stage, _UNSEALED)
    row = stage.deposit(PLAYER + 1)
    stage.sql(f"UPDATE wallet.transactions SET amount = amount + 1 WHERE id = '{row}'")
    yield
    stage.sql(f"UPDATE wallet.transactions SET amount = amount - 1 WHERE id = '{row}'")


@contextmanager
def _a_row_is_under_a_key_that_nobody_has(stage: Stage) -> Iterator[None]:
    row = stage.deposit(PLAYER + 2)
    (before,) = stage.sql(f"SELECT key_id FROM wallet.transactions WHERE id = '{row}'")
    stage.sql(f"UPDATE wallet.transactions SET key_id = 'lost' WHERE id = '{row}'")
    yield
    stage.sql(f"UPDATE wallet.transactions SET key_id = '{before['key_id']}' WHERE id = '{row}'")


@contextmanager
def _a_balance_is_out_of_step(stage: Stage) -> Iterator[None]:
    stage.deposit(PLAYER + 3)
    stage.sql(f"UPDATE wallet.accounts SET cash = cash + 1 WHERE user_id = {PLAYER + 3}")
    _reconcile(stage)
    yield
    stage.sql(f"UPDATE wallet.accounts SET cash = cash - 1 WHERE user_id = {PLAYER + 3}")
    _reconcile(stage)


def _reconcile(stage: Stage) -> None:
    now = datetime.now(UTC)
    period = {"from": (now - timedelta(days=1)).isoformat(), "to": now.isoformat()}
    path = f"/reconciliations/{stage.done('finance', 'POST', '/reconciliations', period)['id']}"
    until(lambda: stage.ask("finance", "GET", path).json()["status"] == "finished")


@contextmanager
def _the_audit_log_is_altered(stage: Stage) -> Iterator[None]:
    """Before the entry is sealed; it comes from the ledger, on its own time."""
    _until_all_is_sealed(stage, _UNSEALED_ENTRIES)
    reason = f"asked for {uuid4()}"
    override = {"amount": "900.00", "currency": "USD", "reason": reason}
    stage.done("risk", "PUT", f"{USER}/limits/MAX_BET_AMOUNT", override)
    altered = f"SET actor = actor || '!' WHERE reason = '{reason}' RETURNING number"
    until(lambda: bool(stage.sql(f"UPDATE compliance.audit_log {altered}")))
    yield
    stage.sql(f"UPDATE compliance.audit_log SET actor = rtrim(actor, '!') WHERE reason = '{reason}'")


# What is first is put right last: a row that is altered is out of step, too.
CAUSES = (
    Cause(_a_balance_is_out_of_step, {"BalanceDiscrepancies": Severity.CRITICAL}),
    Cause(_a_row_is_altered, {"ChecksumsFailed": Severity.CRITICAL, "LanesNotSealed": Severity.CRITICAL}),
    Cause(_a_row_is_under_a_key_that_nobody_has, {"VerificationErrors": Severity.CRITICAL}),
    Cause(_the_audit_log_is_altered, {"AuditLogNotSealed": Severity.CRITICAL}),
)
