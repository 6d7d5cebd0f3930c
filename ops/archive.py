"""`langsense archive-audit-log`: months of the audit log into files, and then, once these are verified, off the table.

For each month, the oldest first: write it, read it back and hold all of the log to its chain and its signed checkpoints
with the file in the month's place, put that on the record, drop the month. Whatever ends it in between, it is begun
again; nothing is dropped that was not archived and verified.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ops import proof
from ops.proof import Outside, audit_archive
from ops.proof.audit import ARCHIVED, pages
from shared import database
from shared.contracts.audit import NewAuditEntry
from shared.errors import IntegrityViolation
from shared.keyring import Keyring

SCHEMA = "compliance"
# Who drops a month waits for its readers, and lets nobody wait behind it for longer than this.
LOCK_TIMEOUT = "5s"

Record = Callable[[NewAuditEntry], Awaitable[None]]

_MONTHS = text(
    """SELECT inhrelid::regclass::text AS name FROM pg_inherits
    WHERE inhparent = 'audit_log'::regclass ORDER BY 1"""
)
_SEALED = text("SELECT 1 FROM audit_checkpoints WHERE last_position = :number")


class Month(NamedTuple):
    """A part of the table: its name there, and the month, such as 2026-08."""

    table: str
    month: str


@dataclass(frozen=True, slots=True)
class Archived:
    """A month that was archived: its file, and the number of its last entry."""

    month: str
    file: Path
    through: int


@dataclass(frozen=True, slots=True)
class Archive:
    """The archive of one audit log. `administrator` may drop its months; `dsn` reads it as the service does."""

    administrator: AsyncEngine
    dsn: str
    folder: Path
    keyring: Keyring
    outside: Outside | None
    record: Record
    actor: str

    async def run(self, now: datetime, keep: timedelta) -> Sequence[Archived]:
        """Archive and drop the months that were over so long ago. Raises IntegrityViolation where one does not hold."""
        async with database.reading(self.administrator) as connection:
            due = [month for month in await _months(connection) if _end_of(month, now) <= now - keep]
        return [archived for month in due if (archived := await self._archive(month)) is not None]

    async def _archive(self, month: Month) -> Archived | None:
        async with proof.snapshot(self.dsn, SCHEMA) as connection:
            bounds = text(f"SELECT min(number) - 1, max(number) FROM {month.table}")  # noqa: S608
            async with database.reading(self.administrator) as reading:
                after, through = (await reading.execute(bounds)).one()
            if through is None:
                return None
            if (await connection.execute(_SEALED, {"number": through})).first() is None:
                raise IntegrityViolation(f"the audit log of {month.month} does not end with a checkpoint yet")
            file = audit_archive.path_of(self.folder, month.month)
            await audit_archive.write(file, pages(connection, after, through))
            await self._verify(connection)
        await self.record(self._entry(month, file, through))
        await self._drop(month)
        return Archived(month.month, file, through)

    async def _verify(self, connection: AsyncConnection) -> None:
        keys = self.keyring
        check = await proof.audited(connection, keys.chain, keys.signing.public(), self.outside, self.folder)
        if not check.holds:
            raise IntegrityViolation(f"nothing is dropped: {check.findings[0]}")

    def _entry(self, month: Month, file: Path, through: int) -> NewAuditEntry:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        told = {"month": month.month, "through": through, "file": file.name, "sha256": digest}
        return NewAuditEntry(action=ARCHIVED, actor=self.actor, after={**told})

    async def _drop(self, month: Month) -> None:
        async with database.transaction(self.administrator) as connection:
            await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
            await connection.execute(text(f"ALTER TABLE audit_log DETACH PARTITION {month.table}"))
            await connection.execute(text(f"DROP TABLE {month.table}"))


async def _months(connection: AsyncConnection) -> list[Month]:
    names = (await connection.execute(_MONTHS)).scalars()
    return [Month(name, name.removeprefix("audit_log_").replace("_", "-")) for name in names]


def _end_of(month: Month, now: datetime) -> datetime:
    """The first moment after a month."""
    year, number = (int(part) for part in month.month.split("-"))
    return datetime(year + number // 12, number % 12 + 1, 1, tzinfo=now.tzinfo)
