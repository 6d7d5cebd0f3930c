"""The audit log: rows are added in their act's own transaction, and read in pages, the newest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_service.domain.audit import AuditEntry, ChainedEntry, Head, chained
from compliance_service.tables import audit_log
from shared import database
from shared.keyring import Keyring

_KEYS = "audit_keys"
_c = audit_log.c
_LOCK = text("SELECT number, at, checksum, clock_timestamp() AS now FROM audit_head FOR UPDATE")
_MOVE = text("UPDATE audit_head SET number = :number, at = :at, checksum = :checksum")
_MAKE_MONTH = text("SELECT make_audit_month(:at)")
_INSERT = """INSERT INTO audit_log (number, at, actor, action, user_id, reason, before, after, request_id, key_id,
    previous, checksum)
    SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::json[],
        $8::json[], $9::text[], $10::text[], $11::bytea[], $12::bytea[])"""


class Sought(NamedTuple):
    """Which entries are asked for; what is None is not asked. `start` is in, `end` is not."""

    user_id: int | None = None
    actor: str | None = None
    action: str | None = None
    start: datetime | None = None
    end: datetime | None = None


def signing_with(engine: AsyncEngine, keyring: Keyring) -> AsyncEngine:
    """The engine, on whose connections `record` signs with the keys as they are at that moment."""
    return engine.execution_options(**{_KEYS: keyring})


async def record(connection: AsyncConnection, *entries: AuditEntry) -> None:
    """Add entries to the chain, in the caller's transaction: they are there if and only if the act is.

    The head stays locked until that transaction ends, so do this last in it.
    """
    if not entries:
        return
    keyring: Keyring = connection.sync_connection.get_execution_options()[_KEYS]  # type: ignore[union-attr]
    found = (await connection.execute(_LOCK)).one()
    head = Head(found.number, found.at, bytes(found.checksum))
    made = chained(head, entries, found.now, keyring.chain)
    last = made[-1]
    await connection.execute(_MAKE_MONTH, {"at": last.row.at})
    raw = await database.driver(connection)
    await raw.execute(_INSERT, *_columns(made))
    await connection.execute(_MOVE, {"number": last.row.number, "at": last.row.at, "checksum": last.checksum})


class AuditLog:
    """The log as it is read. Raises DatabaseUnavailable."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(self, sought: Sought, *, before: int | None, limit: int) -> Sequence[Row[Any]]:
        """At most `limit` entries whose numbers are below one, the newest first."""
        query = select(audit_log).order_by(_c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(_c.number < before)
        for column, value in ((_c.user_id, sought.user_id), (_c.actor, sought.actor), (_c.action, sought.action)):
            if value is not None:
                query = query.where(column == value)
        if sought.start is not None:
            query = query.where(_c.at >= sought.start)
        if sought.end is not None:
            query = query.where(_c.at < sought.end)
        async with database.reading(self._engine) as connection:
            return (await connection.execute(query)).all()

    async def add(self, entries: Sequence[AuditEntry]) -> None:
        """Add what was done elsewhere, in a transaction of its own."""
        async with database.transaction(self._engine) as connection:
            await record(connection, *entries)


def _columns(made: Sequence[ChainedEntry]) -> list[list[Any]]:
    rows = [
        (r.number, r.at, r.actor, r.action, r.user_id, r.reason, r.before, r.after, r.request_id, r.key_id, p, c)
        for r, p, c in made
    ]
    return [list(column) for column in zip(*rows, strict=True)]
