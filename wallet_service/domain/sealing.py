"""A lane's next checkpoint, and the proof that a row is under one.

Whoever signs looks first: rows that do not follow are not sealed.
"""

from collections.abc import Sequence
from datetime import datetime

from shared import merkle
from shared.checkpoints import NO_CHECKPOINT, Sealed, SigningKeys, hash_of, leaf_of
from shared.contracts.checkpoints import Checkpoint, InclusionProof
from shared.errors import IntegrityViolation
from shared.signing import GENESIS, ChainKeys, Entry, key_id_of


def seal(
    lane: int,
    before: Checkpoint | None,
    entries: Sequence[Entry],
    now: datetime,
    *,
    chain: ChainKeys,
    signing: SigningKeys,
) -> Checkpoint:
    """The checkpoint after `before` over these rows, of which there is at least one.

    Raises IntegrityViolation where a row does not follow from the one in front of it.
    """
    position, head = (before.last_position, bytes.fromhex(before.head)) if before else (0, GENESIS)
    first = position + 1
    leaves = []
    for at, checksum, content in entries:
        position += 1
        if at != position:
            raise IntegrityViolation(f"lane {lane}: position {position} is missing")
        key_id = key_id_of(content)
        if not chain.knows(key_id):
            raise IntegrityViolation(f"lane {lane}, position {position}: key {key_id!r} is not known here")
        if chain.checksum_of(head, key_id, content) != checksum:
            raise IntegrityViolation(f"lane {lane}, position {position}: the checksum is not this row's")
        head = checksum
        leaves.append(leaf_of(checksum, content))
    return signing.signed(
        Sealed(
            lane=lane,
            number=before.number + 1 if before else 1,
            first_position=first,
            last_position=position,
            head=head,
            root=merkle.root(leaves),
            previous=hash_of(before) if before else NO_CHECKPOINT,
            sealed_at=max(now, before.sealed_at) if before else now,
        )
    )


def prove(checkpoint: Checkpoint, entries: Sequence[Entry], position: int) -> InclusionProof:
    """The proof that the row at a position is one of those that a checkpoint sealed, from all of them.

    Raises IntegrityViolation where they are not what it sealed.
    """
    leaves = [leaf_of(checksum, content) for _, checksum, content in entries]
    if len(leaves) != checkpoint.rows or merkle.root(leaves).hex() != checkpoint.root:
        raise IntegrityViolation(
            f"lane {checkpoint.lane}: rows {checkpoint.first_position} to {checkpoint.last_position} are not what "
            f"checkpoint {checkpoint.number} sealed"
        )
    index = position - checkpoint.first_position
    path = [sibling.hex() for sibling in merkle.path(leaves, index)]
    return InclusionProof(leaf_index=index, tree_size=len(leaves), path=path)
