"""The audit log's checkpoints: what is unsealed, and what was sealed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_service.tables import audit_checkpoints, audit_log
from shared import database
from shared.audit import CHAIN, AuditRow, content
from shared.contracts.checkpoints import Checkpoint
from shared.signing import Entry

# Whoever seals holds it until its transaction ends; the number is arbitrary and ours.
_SEALING = 0x61756469
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:key), clock_timestamp()")
_c = audit_checkpoints.c
_ROW = [audit_log.c[name] if name not in ("before", "after") else text(f"{name}::text") for name in AuditRow._fields]


class Due(NamedTuple):
    """What the next checkpoint is made from: the one before it, the rows after that, and when the first was written."""

    before: Checkpoint | None
    entries: Sequence[Entry]
    since: datetime
    now: datetime


class AuditSeals:
    """Checkpoints outside the transaction that seals. Raises DatabaseUnavailable."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def after(self, number: int, limit: int) -> Sequence[Checkpoint]:
        """The checkpoints above a number, in order."""
        query = select(audit_checkpoints).where(_c.number > number).order_by(_c.number).limit(limit)
        async with database.reading(self._engine) as connection:
            return [_checkpoint(row) for row in await connection.execute(query)]


async def load_due(connection: AsyncConnection, limit: int) -> Due | None:
    """Rows for the next checkpoint, `limit` at most and of one month alone, so that a month ends with a checkpoint.

    None where nothing is unsealed, or another instance is sealing.
    """
    locked, now = (await connection.execute(_TRY_LOCK, {"key": _SEALING})).one()
    if not locked:
        return None
    last = (await connection.execute(select(audit_checkpoints).order_by(_c.number.desc()).limit(1))).first()
    before = _checkpoint(last) if last else None
    after = before.last_position if before else 0
    query = select(*_ROW, audit_log.c.checksum).select_from(audit_log).where(audit_log.c.number > after)
    found = (await connection.execute(query.order_by(audit_log.c.number).limit(limit))).all()
    if not found:
        return None
    rows = [(AuditRow(*row[:-1]), bytes(row.checksum)) for row in found]
    since = rows[0][0].at
    same_month = [(row, checksum) for row, checksum in rows if (row.at.year, row.at.month) == (since.year, since.month)]
    return Due(before, [(row.number, checksum, content(row)) for row, checksum in same_month], since, now)


async def save_checkpoint(connection: AsyncConnection, checkpoint: Checkpoint) -> None:
    """Write a checkpoint."""
    digests = {name: bytes.fromhex(getattr(checkpoint, name)) for name in ("head", "root", "previous", "signature")}
    rest = checkpoint.model_dump(exclude={"lane", "rows", *digests})
    await connection.execute(insert(audit_checkpoints).values(**rest, **digests))


def _checkpoint(row: Row[Any]) -> Checkpoint:
    return Checkpoint(
        lane=CHAIN,
        number=row.number,
        first_position=row.first_position,
        last_position=row.last_position,
        rows=row.last_position - row.first_position + 1,
        head=row.head.hex(),
        root=row.root.hex(),
        previous=row.previous.hex(),
        sealed_at=row.sealed_at,
        key_id=row.key_id,
        signature=row.signature.hex(),
    )
