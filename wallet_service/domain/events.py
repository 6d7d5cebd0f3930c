"""A journal row as the rest of the platform sees it."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from shared.signing import ChainedRow
from wallet_service.domain.needs import JournalRow


def event(row: JournalRow) -> dict[str, Any]:
    """A row as `shared.contracts.events.LedgerEvent` has it."""
    fields: dict[str, Any] = dict(zip(ChainedRow._fields, row.content, strict=True))
    if row.content.facts is not None:
        fields["facts"] = orjson.Fragment(row.content.facts)
    # asyncpg's UUIDs are of a class of their own, which orjson does not take.
    fields["command_id"] = str(row.content.command_id)
    fields["checksum"] = row.checksum.hex()
    return fields


class Dispute(NamedTuple):
    """A transaction's dispute, as `shared.contracts.readings.Dispute` has it: the row that opened or resolved it."""

    state: str
    transaction_id: UUID
    reason: str | None
    actor: str | None
    since: datetime


class ReadRow(NamedTuple):
    """A journal row as it is read back, with its dispute, where there is or was one."""

    row: JournalRow
    dispute: Dispute | None = None


def reading(read: ReadRow) -> dict[str, Any]:
    """A row as `shared.contracts.readings.ReadTransaction` has it."""
    return event(read.row) | {"dispute": disputed(read)}


def disputed(read: ReadRow) -> dict[str, Any] | None:
    """A row's dispute alone."""
    if read.dispute is None:
        return None
    return read.dispute._asdict() | {"transaction_id": str(read.dispute.transaction_id)}
