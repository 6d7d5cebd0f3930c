"""Checkpoints: what is unsealed, what was sealed, and how far it was published."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import database
from shared.contracts.checkpoints import Checkpoint
from shared.signing import CONTENT_SQL, Entry
from wallet_service import tables

_MARKS = text(
    """SELECT l.lane, l.position - coalesce(c.last_position, 0) AS unsealed, coalesce(c.number, 0) AS sealed,
        coalesce(s.published, 0) AS published,
        coalesce(extract(epoch FROM clock_timestamp() - t.created_at)::float8, 0) AS age_s
    FROM lanes l
    LEFT JOIN seals s ON s.lane = l.lane
    LEFT JOIN LATERAL (
        SELECT number, last_position FROM checkpoints WHERE lane = l.lane ORDER BY number DESC LIMIT 1
    ) c ON true
    LEFT JOIN transactions t ON t.lane = l.lane AND t.position = coalesce(c.last_position, 0) + 1
    WHERE l.position > 0 ORDER BY l.lane"""
)
_ENTRIES = f"""SELECT t.position, t.checksum, {CONTENT_SQL}
    FROM transactions t WHERE t.lane = $1 AND t.position > $2 AND t.position <= $3 ORDER BY t.position"""  # noqa: S608
_c = tables.checkpoints.c


class SealMark(NamedTuple):
    """How a lane stands: its unsealed rows and the age of their first (seconds), its last checkpoint's number, and the
    number up to which checkpoints were published."""

    lane: int
    unsealed: int
    sealed: int
    published: int
    age_s: float


class Due(NamedTuple):
    """What the next checkpoint of a lane is made from."""

    before: Checkpoint | None
    entries: Sequence[Entry]
    now: datetime


class Seals:
    """Reads and marks outside the transaction that seals."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def marks(self) -> Sequence[SealMark]:
        """How each lane that has rows stands."""
        async with database.reading(self._engine) as connection:
            rows = await connection.execute(_MARKS)
            return [SealMark(row.lane, row.unsealed, row.sealed, row.published, row.age_s) for row in rows]

    async def after(self, lane: int, number: int, limit: int) -> Sequence[Checkpoint]:
        """A lane's checkpoints above a number, in order."""
        query = select(tables.checkpoints).where(_c.lane == lane, _c.number > number).order_by(_c.number).limit(limit)
        async with database.reading(self._engine) as connection:
            return [_checkpoint(row) for row in await connection.execute(query)]

    async def covering(self, lane: int, position: int) -> tuple[Checkpoint, Sequence[Entry]] | None:
        """The checkpoint that a row is under, and all rows that are under it; None where there is none yet."""
        last_before = select(tables.checkpoints).where(_c.lane == lane, _c.first_position <= position)
        async with database.reading(self._engine) as connection:
            found = await connection.execute(last_before.order_by(_c.first_position.desc()).limit(1))
            row = found.first()
            if row is None or row.last_position < position:
                return None
            return _checkpoint(row), await entries_of(connection, lane, row.first_position - 1, row.last_position)

    async def mark_published(self, lane: int, number: int) -> None:
        """Note up to which number a lane's checkpoints were acknowledged by the broker."""
        statement = text("UPDATE seals SET published = greatest(published, :number) WHERE lane = :lane")
        async with database.transaction(self._engine) as connection:
            await connection.execute(statement, {"lane": lane, "number": number})


async def load_due(connection: AsyncConnection, lane: int, limit: int) -> Due | None:
    """Lock a lane's seal, and read what the next checkpoint is made from.

    None where another instance is sealing it, or has sealed all.
    """
    await connection.execute(
        text("INSERT INTO seals (lane, published) VALUES (:lane, 0) ON CONFLICT DO NOTHING"), {"lane": lane}
    )
    locked = await connection.execute(
        text("SELECT clock_timestamp() AS now FROM seals WHERE lane = :lane FOR UPDATE SKIP LOCKED"), {"lane": lane}
    )
    seal = locked.first()
    if seal is None:
        return None
    last = select(tables.checkpoints).where(_c.lane == lane).order_by(_c.number.desc()).limit(1)
    row = (await connection.execute(last)).first()
    before = _checkpoint(row) if row else None
    position = before.last_position if before else 0
    # A range rather than a LIMIT: however the planner reads it, it reads no more than that.
    entries = await entries_of(connection, lane, position, position + limit)
    return Due(before, entries, seal.now) if entries else None


async def save_checkpoint(connection: AsyncConnection, checkpoint: Checkpoint) -> None:
    """Write a checkpoint."""
    digests = {name: bytes.fromhex(getattr(checkpoint, name)) for name in ("head", "root", "previous", "signature")}
    rest = checkpoint.model_dump(exclude={"rows", *digests})
    await connection.execute(insert(tables.checkpoints).values(**rest, **digests))


async def entries_of(connection: AsyncConnection, lane: int, after: int, through: int) -> Sequence[Entry]:
    """A lane's rows of (after, through], in order."""
    raw = await database.driver(connection)
    entries: Sequence[Entry] = await raw.fetch(_ENTRIES, lane, after, through)
    return entries


def _checkpoint(row: Row[Any]) -> Checkpoint:
    return Checkpoint(
        lane=row.lane,
        number=row.number,
        first_position=row.first_position,
        last_position=row.last_position,
        rows=row.last_position - row.first_position + 1,
        head=row.head.hex(),
        root=row.root.hex(),
        previous=row.previous.hex(),
        sealed_at=row.sealed_at,
        key_id=row.key_id,
        signature=row.signature.hex(),
    )
