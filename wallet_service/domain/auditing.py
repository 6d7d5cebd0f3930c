"""An audit of one player: is each of its rows what it was when it was decided, and do its balances follow from them?"""

from collections.abc import Iterable
from typing import NamedTuple

from shared.signing import GENESIS, ChainKeys, key_id_of


class AuditedRow(NamedTuple):
    """A player's row, the checksum of the lane's row in front of it, and what the balances should be after it.

    `previous` is None for a lane's first row, and where the row in front of it is missing. Amounts in minor units.
    """

    position: int
    checksum: bytes
    content: bytes
    previous: bytes | None
    cash: int
    reserved: int
    folded_cash: int
    folded_reserved: int


class Finding(NamedTuple):
    """What is wrong with a player's row."""

    position: int
    what: str


def findings(rows: Iterable[AuditedRow], chain: ChainKeys) -> list[Finding]:
    """What is wrong with these rows, in their order."""
    return [Finding(row.position, what) for row in rows for what in (_chain(row, chain), _fold(row)) if what]


def _chain(row: AuditedRow, chain: ChainKeys) -> str | None:
    previous = GENESIS if row.position == 1 else row.previous
    key_id = key_id_of(row.content)
    if previous is None:
        return "the row in front of it is missing"
    if not chain.knows(key_id):
        return f"is signed with key {key_id!r}, which is not known here"
    return None if chain.checksum_of(previous, key_id, row.content) == row.checksum else "checksum mismatch"


def _fold(row: AuditedRow) -> str | None:
    if (row.cash, row.reserved) == (row.folded_cash, row.folded_reserved):
        return None
    return (
        f"says cash {row.cash} and reserved {row.reserved}; the rows up to it give {row.folded_cash} and "
        f"{row.folded_reserved}"
    )
