"""What the statements have in common: array types, a journal row's columns, keys as arrays."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, BYTEA, SMALLINT, TIMESTAMP
from sqlalchemy.dialects.postgresql import TEXT as PG_TEXT
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.types import TypeEngine

from shared.signing import ChainedRow
from wallet_service.domain.needs import HeldKey, JournalRow, MovementKey

SMALLINTS, BIGINTS, TEXTS = ARRAY(SMALLINT), ARRAY(BIGINT), ARRAY(PG_TEXT)
UUIDS, BYTES, MOMENTS = ARRAY(PG_UUID), ARRAY(BYTEA), ARRAY(TIMESTAMP(timezone=True))


def sql(statement: str, **types: TypeEngine[Any]) -> TextClause:
    """A statement whose parameters have the given types."""
    return text(statement).bindparams(*(bindparam(name, type_=kind) for name, kind in types.items()))


# In the order of JournalRow: ChainedRow's fields, then the checksum.
ROW = """t.lane, t.position, t.id, t.kind::text, t.status::text, t.reason, t.user_id, t.amount, t.currency,
    t.debit::text, t.credit::text, t.provider, t.reference_id, t.round_id, t.stated_reason, t.actor,
    t.cash_after, t.reserved_after, t.facts::text, t.occurred_at, t.created_at, t.key_id, t.checksum"""

# What a row moves on one of the player's own accounts.
MOVED_CASH, MOVED_RESERVED = (
    f"CASE WHEN t.status = 'posted' THEN (CASE t.credit WHEN '{account}' THEN t.amount ELSE 0 END) "
    f"- (CASE t.debit WHEN '{account}' THEN t.amount ELSE 0 END) ELSE 0 END"
    for account in ("cash", "reserved")
)


def journal_row(row: Sequence[Any]) -> JournalRow:
    """A row that was selected as ROW."""
    values = tuple(row)
    return JournalRow(ChainedRow._make(values[:-1]), values[-1])


def movement_arrays(keys: Sequence[MovementKey]) -> dict[str, list[Any]]:
    """Keys as the parameters lanes, users, kinds, references and rounds."""
    lanes, users, kinds, references, rounds = zip(*keys, strict=True)
    return {
        "lanes": list(lanes),
        "users": list(users),
        "kinds": [kind.value for kind in kinds],
        "references": list(references),
        "rounds": list(rounds),
    }


def held_arrays(keys: Iterable[HeldKey]) -> dict[str, list[Any]]:
    """Keys as the parameters lanes, users, currencies, references and rounds."""
    lanes, users, currencies, references, rounds = zip(*keys, strict=True)
    return {
        "lanes": list(lanes),
        "users": list(users),
        "currencies": list(currencies),
        "references": list(references),
        "rounds": list(rounds),
    }
