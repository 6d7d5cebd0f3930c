"""A lane's next checkpoint over its new rows."""

import pytest

from shared import merkle
from shared.checkpoints import NO_CHECKPOINT, SigningKeys, hash_of, leaf_of, wrong_successor
from shared.contracts.checkpoints import Checkpoint
from shared.contracts.kinds import Kind
from shared.errors import IntegrityViolation
from shared.signing import ChainKeys, Entry, content
from tests.wallet_service.support import CHAIN_KEYS, CHECKPOINT_KEYS, NOW, MemoryWallet, command
from wallet_service.domain.sealing import seal

CHAIN = ChainKeys.parse(CHAIN_KEYS)
SIGNING = SigningKeys.parse(CHECKPOINT_KEYS)


@pytest.fixture
def entries() -> list[Entry]:
    wallet = MemoryWallet()
    wallet.take(command(Kind.DEPOSIT, amount) for amount in range(1, 11))
    return [(row.content.position, row.checksum, content(row.content)) for row in wallet.rows]


def sealed(before: Checkpoint | None, entries: list[Entry]) -> Checkpoint:
    return seal(0, before, entries, NOW, chain=CHAIN, signing=SIGNING)


def test_it_says_what_it_covers(entries: list[Entry]) -> None:
    first = sealed(None, entries[:4])
    assert (first.number, first.first_position, first.last_position, first.rows) == (1, 1, 4, 4)
    assert first.previous == NO_CHECKPOINT.hex()
    assert first.head == entries[3][1].hex()
    assert first.root == merkle.root([leaf_of(*each[1:]) for each in entries[:4]]).hex()
    assert SIGNING.public().problem(first) is None
    second = sealed(first, entries[4:])
    assert (second.number, second.first_position, second.last_position) == (2, 5, 10)
    assert second.previous == hash_of(first).hex()
    assert wrong_successor(second, first) is None


def test_time_does_not_run_backwards(entries: list[Entry]) -> None:
    first = sealed(None, entries[:4]).model_copy(update={"sealed_at": NOW.replace(year=2030)})
    assert sealed(first, entries[4:]).sealed_at == first.sealed_at


def test_rows_that_do_not_follow_are_not_sealed(entries: list[Entry]) -> None:
    position, checksum, row = entries[2]
    changed = (position, checksum, row.replace(b"\n3\nUSD\n", b"\n9\nUSD\n"))
    assert changed != entries[2]
    with pytest.raises(IntegrityViolation, match="position 3: the checksum is not this row's"):
        sealed(None, [*entries[:2], changed, *entries[3:]])
    with pytest.raises(IntegrityViolation, match="position 3 is missing"):
        sealed(None, [*entries[:2], *entries[3:]])
    with pytest.raises(IntegrityViolation, match="position 1: the checksum"):
        sealed(None, [(1, bytes(32), entries[0][2]), *entries[1:]])
    with pytest.raises(IntegrityViolation, match="position 5: the checksum"):
        sealed(sealed(None, entries[:4]).model_copy(update={"head": "00" * 32}), entries[4:])


def test_a_key_that_is_not_known_here_stops_it(entries: list[Entry]) -> None:
    other = ChainKeys({"k9": bytes(32)}, "k9")
    with pytest.raises(IntegrityViolation, match="'k2' is not known here"):
        seal(0, None, entries, NOW, chain=other, signing=SIGNING)
