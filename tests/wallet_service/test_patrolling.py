"""What is wrong with some of a lane's rows, over plain values."""

from collections.abc import Sequence

from shared.signing import GENESIS, ChainKeys, Entry
from tests.wallet_service.support import CHAIN_KEYS
from wallet_service.domain.patrolling import FaultKind, patrol

KEY = "k2"
KEYS = ChainKeys.parse(CHAIN_KEYS)


def chained(rows: int) -> list[Entry]:
    head, entries = GENESIS, list[Entry]()
    for position in range(1, rows + 1):
        content = f"row {position}\n{KEY}".encode()
        head = KEYS.checksum_of(head, KEY, content)
        entries.append((position, head, content))
    return entries


def kinds(after: int, through: int, entries: Sequence[Entry]) -> list[tuple[int, FaultKind]]:
    found = patrol(after, through, GENESIS if after == 0 else None, entries, KEYS)
    return [(fault.position, fault.kind) for fault in found.faults]


def test_rows_that_follow_have_no_fault_and_lead_to_the_next() -> None:
    entries = chained(5)
    found = patrol(0, 3, GENESIS, entries[:3], KEYS)
    assert (list(found.faults), found.head) == ([], entries[2][1])
    assert patrol(3, 5, found.head, entries[3:], KEYS).faults == []


def test_an_altered_row_is_one_fault() -> None:
    entries = chained(5)
    position, checksum, content = entries[2]
    entries[2] = (position, checksum, content.replace(b"row", b"raw"))
    assert kinds(0, 5, entries) == [(3, FaultKind.CHECKSUM)]


def test_an_altered_checksum_is_a_fault_there_and_at_the_row_that_follows() -> None:
    entries = chained(5)
    entries[2] = (3, bytes(32), entries[2][2])
    assert kinds(0, 5, entries) == [(3, FaultKind.CHECKSUM), (4, FaultKind.CHECKSUM)]


def test_rows_that_are_missing_are_said_where_they_were() -> None:
    entries = chained(5)
    assert kinds(0, 5, [*entries[:1], *entries[3:]]) == [(2, FaultKind.UNVERIFIED)]
    assert kinds(0, 5, entries[:3]) == [(4, FaultKind.UNVERIFIED)]
    assert kinds(0, 5, []) == [(1, FaultKind.UNVERIFIED)]


def test_a_row_under_a_key_that_is_not_known_cannot_be_verified() -> None:
    entries = chained(3)
    entries[1] = (2, entries[1][1], b"row 2\nlost")
    assert kinds(0, 3, entries) == [(2, FaultKind.UNVERIFIED)]
