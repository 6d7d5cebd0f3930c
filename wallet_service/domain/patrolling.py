"""What is wrong with some of a lane's rows, held again to the chain that they are in."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from shared.signing import ChainKeys, Entry, key_id_of


class FaultKind(StrEnum):
    """CHECKSUM: the row is not what was written. UNVERIFIED: it is missing, or its key is not known here."""

    CHECKSUM = "checksum"
    UNVERIFIED = "unverified"


class Fault(NamedTuple):
    """What is wrong at a position of a lane."""

    position: int
    kind: FaultKind
    what: str


class Patrolled(NamedTuple):
    """What was found in a stretch of a lane, and the checksum that the next stretch follows; None where none does."""

    faults: Sequence[Fault]
    head: bytes | None


def patrol(after: int, through: int, head: bytes | None, entries: Sequence[Entry], chain: ChainKeys) -> Patrolled:
    """Hold the rows of (after, through] to the row before them, whose checksum is `head`; None holds the first to none.

    After a wrong row it goes on from what stands there: one altered row is one fault.
    """
    faults = []
    position = after
    for at, checksum, content in entries:
        if at != position + 1:
            faults.append(Fault(position + 1, FaultKind.UNVERIFIED, f"rows are missing before position {at}"))
            head = None
        key_id = key_id_of(content)
        if not chain.knows(key_id):
            faults.append(Fault(at, FaultKind.UNVERIFIED, f"the row is under key {key_id!r}, which is not known here"))
        elif head is not None and chain.checksum_of(head, key_id, content) != checksum:
            faults.append(Fault(at, FaultKind.CHECKSUM, "verification error: checksum mismatch"))
        position, head = at, checksum
    if position < through:
        faults.append(Fault(position + 1, FaultKind.UNVERIFIED, f"rows are missing up to position {through}"))
        head = None
    return Patrolled(faults, head)
