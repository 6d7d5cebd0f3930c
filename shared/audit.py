"""The audit log's chain: each row carries an HMAC-SHA256 over the previous row's checksum and its own content.

The content is three lines: the form's name, the row's fields in the order of `AuditRow` as a JSON array (times as
text, JSON values as the text that is kept), and the id of the key. JSON has no bare line feed, so two different rows
never have the same content, whatever people write into a reason.

    checksum = HMAC-SHA256(key, previous_checksum (32 bytes) + content)

There is one chain, numbered from 1 without a gap. Its checkpoints are as a lane's, under keys of their own.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import orjson

from shared import clock
from shared.checkpoints import NO_CHECKPOINT, Sealed, SigningKeys, hash_of, leaf_of
from shared.contracts.checkpoints import Checkpoint
from shared.errors import IntegrityViolation
from shared.merkle import root
from shared.signing import GENESIS, ChainKeys, Entry, key_id_of

# What the checkpoints of the one chain say as their lane.
CHAIN = 0
_FORMAT = "langsense.audit.v1"


class AuditRow(NamedTuple):
    """What the chain covers: all of a row but the two checksums. `before` and `after` are JSON as it is kept."""

    number: int
    at: datetime
    actor: str
    action: str
    user_id: int | None
    reason: str | None
    before: str | None
    after: str | None
    request_id: str | None
    key_id: str


def content(row: AuditRow) -> bytes:
    """The bytes of a row that its checksum covers, after the previous checksum."""
    number, at, *rest = row
    return b"\n".join((_FORMAT.encode(), orjson.dumps([number, clock.to_text(at), *rest]), row.key_id.encode()))


def seal(
    before: Checkpoint | None, entries: Sequence[Entry], now: datetime, *, chain: ChainKeys, signing: SigningKeys
) -> Checkpoint:
    """The checkpoint after `before` over these rows, of which there is at least one.

    Raises IntegrityViolation where a row does not follow from the one in front of it: who signs looks first.
    """
    number, head = (before.last_position, bytes.fromhex(before.head)) if before else (0, GENESIS)
    first = number + 1
    for at, checksum, row_content in entries:
        number += 1
        if at != number:
            raise IntegrityViolation(f"audit log: entry {number} is missing")
        key_id = key_id_of(row_content)
        if not chain.knows(key_id) or chain.checksum_of(head, key_id, row_content) != checksum:
            raise IntegrityViolation(f"audit log, entry {number}: the checksum is not this row's")
        head = checksum
    return signing.signed(
        Sealed(
            lane=CHAIN,
            number=before.number + 1 if before else 1,
            first_position=first,
            last_position=number,
            head=head,
            root=root([leaf_of(checksum, row_content) for _, checksum, row_content in entries]),
            previous=hash_of(before) if before else NO_CHECKPOINT,
            sealed_at=max(now, before.sealed_at) if before else now,
        )
    )
