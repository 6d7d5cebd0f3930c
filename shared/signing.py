"""The chain: every journal row carries an HMAC-SHA256 over the previous row's checksum and its own content.

The content is the row's fields, in the order of `ChainedRow`, as text, joined by a line feed. No field can hold a
line feed (the contracts refuse control characters), a missing value is the empty text, and no present value is
empty, so two different rows never have the same content. Anyone who holds the key can compute it, in any language:

    checksum = HMAC-SHA256(key, previous_checksum (32 bytes) + "langsense.journal.v1" + "\\n" + fields...)

The first row of a lane has 32 zero bytes as its previous checksum.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from shared import clock, keys
from shared.errors import ConfigurationError

GENESIS = bytes(32)
MIN_KEY_BYTES = 32
_FORMAT = "langsense.journal.v1"
_BLOCK_BYTES = 64

# The same bytes as `content`, formed by PostgreSQL from the wallet's columns, for whoever reads very many rows.
CONTENT_SQL = f"""convert_to(concat_ws(E'\\n', '{_FORMAT}', t.lane, t.position, t.id, t.kind, t.status,
    coalesce(t.reason, ''), t.user_id, t.amount, t.currency, t.debit, t.credit, coalesce(t.provider, ''),
    coalesce(t.reference_id, ''), coalesce(t.round_id, ''), coalesce(t.stated_reason, ''), coalesce(t.actor, ''),
    t.cash_after, t.reserved_after, coalesce(t.facts::text, ''),
    to_char(t.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    to_char(t.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), t.key_id), 'UTF8')"""


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


# Position, checksum, content: a journal row as the chain sees it.
Entry = tuple[int, bytes, bytes]

_INTEGERS = ("lane", "position", "user_id", "amount_minor", "cash_minor", "reserved_minor")
_FACTS = ChainedRow._fields.index("facts")


class ChainKeys:
    """The HMAC keys by id. New rows are signed with `current`; old rows verify with the key they name."""

    def __init__(self, by_id: Mapping[str, bytes], current: str, setting: str = "CHAIN_KEYS") -> None:
        if current not in by_id:
            raise ConfigurationError(f"{setting}: the current key {current!r} is not among them")
        for key_id, key in by_id.items():
            if len(key) < MIN_KEY_BYTES:
                raise ConfigurationError(f"{setting}: key {key_id!r} must have at least {MIN_KEY_BYTES} bytes")
        self._hmacs = {key_id: _Hmac(key) for key_id, key in by_id.items()}
        self.current = current

    @classmethod
    def parse(cls, text: str, setting: str = "CHAIN_KEYS") -> "ChainKeys":
        """From a setting: `id:hex[,id:hex…]`, the newest first. Raises ConfigurationError."""
        found = keys.parse(setting, text, at_least=MIN_KEY_BYTES)
        return cls(found, next(iter(found)), setting)

    def knows(self, key_id: str) -> bool:
        """Whether a row signed with this key can be verified here."""
        return key_id in self._hmacs

    def checksum(self, previous: bytes, row: ChainedRow) -> bytes:
        """The 32 bytes that a row carries. Raises KeyError for a key id that is not known here."""
        return self._hmacs[row.key_id].digest(previous + content(row))

    def digest_with(self, key_id: str) -> Callable[[bytes], bytes] | None:
        """What makes checksums with this key from a previous checksum and a content; None where it is not known."""
        return self._hmacs[key_id].digest if key_id in self._hmacs else None

    def checksum_of(self, previous: bytes, key_id: str, row_content: bytes) -> bytes:
        """As `checksum`, of a row's content that is already bytes."""
        return self._hmacs[key_id].digest(previous + row_content)


class _Hmac:
    """HMAC-SHA256 (RFC 2104) with the key's two blocks hashed once: half the time of `hmac.digest` for a row."""

    def __init__(self, key: bytes) -> None:
        block = (sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def digest(self, message: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()


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


def key_id_of(row_content: bytes) -> str:
    """The id of the key that a row's content names: its last line."""
    return row_content[row_content.rindex(b"\n") + 1 :].decode()


def fields_of_content(row_content: bytes) -> dict[str, Any] | None:
    """A row's content as named JSON values, times as text; None where it is not as the wallet writes it."""
    form, *values = row_content.decode().split("\n")
    if form != _FORMAT or len(values) != len(ChainedRow._fields):
        return None
    fields: dict[str, Any] = {name: value or None for name, value in zip(ChainedRow._fields, values, strict=True)}
    fields |= {name: int(fields[name]) for name in _INTEGERS}
    if fields["facts"] is not None:
        fields["facts"] = orjson.loads(fields["facts"])
    return fields if content_of_fields(fields) == row_content else None


def content_of_fields(fields: Mapping[str, Any]) -> bytes:
    """The inverse of `fields_of_content`. Raises KeyError where one is missing."""
    values = [fields[name] for name in ChainedRow._fields]
    if (facts := values[_FACTS]) is not None:
        values[_FACTS] = orjson.dumps(facts, option=orjson.OPT_SORT_KEYS).decode()
    return "\n".join([_FORMAT, *("" if value is None else str(value) for value in values)]).encode()
