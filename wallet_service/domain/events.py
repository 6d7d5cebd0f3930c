"""A journal row as the rest of the platform sees it."""

from typing import Any

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
