"""The chain: every journal row carries an HMAC-SHA256 over the previous row's checksum and its own content.

The content is the row's fields, in the order of `ChainedRow`, as text, joined by a line feed. No field can hold a
line feed (the contracts refuse control characters), a missing value is the empty text, and no present value is
empty, so two different rows never have the same content. Anyone who holds the key can compute it, in any language:

    checksum = HMAC-SHA256(key, previous_checksum (32 bytes) + "langsense.journal.v1" + "\\n" + fields...)

The first row of a lane has 32 zero bytes as its previous checksum.
"""

import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared import clock
from shared.errors import ConfigurationError

GENESIS = bytes(32)
MIN_KEY_BYTES = 32
_FORMAT = "langsense.journal.v1"


class ChainedRow(NamedTuple):
    """What the chain covers: all of a journal row but the checksum itself."""

    lane: int
    position: int
    command_id: UUID
    kind: str
    status: str
    reason: str | None
    user_id: int
    amount_minor: int
    currency: str
    debit: str
    credit: str
    provider: str | None
    reference_id: str | None
    round_id: str | None
    stated_reason: str | None
    actor: str | None
    cash_minor: int
    reserved_minor: int
    facts: str | None
    occurred_at: datetime
    created_at: datetime
    key_id: str


class ChainKeys:
    """The HMAC keys by id. New rows are signed with `current`; old rows verify with the key they name."""

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        if current not in keys:
            raise ConfigurationError(f"CHAIN_KEYS: the current key {current!r} is not among them")
        for key_id, key in keys.items():
            if len(key) < MIN_KEY_BYTES:
                raise ConfigurationError(f"CHAIN_KEYS: key {key_id!r} must have at least {MIN_KEY_BYTES} bytes")
        self._keys = dict(keys)
        self.current = current

    @classmethod
    def parse(cls, text: str) -> "ChainKeys":
        """From a setting: `id:hex[,id:hex…]`, the newest first. Raises ConfigurationError."""
        keys: dict[str, bytes] = {}
        for part in text.split(","):
            key_id, colon, key_hex = part.strip().partition(":")
            try:
                key = bytes.fromhex(key_hex)
            except ValueError:
                key = b""
            if not colon or not key or not key_id.isalnum() or len(key_id) > 8 or key_id in keys:
                raise ConfigurationError(
                    "CHAIN_KEYS must be id:hex[,id:hex…], newest first; ids of up to 8 letters and digits, each once"
                )
            keys[key_id] = key
        return cls(keys, next(iter(keys)))

    def knows(self, key_id: str) -> bool:
        """Whether a row signed with this key can be verified here."""
        return key_id in self._keys

    def checksum(self, previous: bytes, row: ChainedRow) -> bytes:
        """The 32 bytes that a row carries. Raises KeyError for a key id that is not known here."""
        return hmac.digest(self._keys[row.key_id], previous + content(row), "sha256")


def content(row: ChainedRow) -> bytes:
    """The bytes of a row that its checksum covers, after the previous checksum."""
    return "\n".join(
        (
            _FORMAT,
            str(row.lane),
            str(row.position),
            str(row.command_id),
            row.kind,
            row.status,
            row.reason or "",
            str(row.user_id),
            str(row.amount_minor),
            row.currency,
            row.debit,
            row.credit,
            row.provider or "",
            row.reference_id or "",
            row.round_id or "",
            row.stated_reason or "",
            row.actor or "",
            str(row.cash_minor),
            str(row.reserved_minor),
            row.facts or "",
            clock.to_text(row.occurred_at),
            clock.to_text(row.created_at),
            row.key_id,
        )
    ).encode()
