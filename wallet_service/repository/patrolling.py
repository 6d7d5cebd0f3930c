"""What a patrol reads: how long each lane is, and a stretch of one."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database
from shared.signing import Entry
from wallet_service import tables
from wallet_service.repository.sealing import entries_of

_l = tables.lanes.c


class Beat:
    """Reads of the journal, each short. All raise DatabaseUnavailable."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def lanes(self) -> Sequence[tuple[int, int]]:
        """Each lane, and its last position."""
        async with database.reading(self._engine) as connection:
            rows = await connection.execute(select(_l.lane, _l.position).order_by(_l.lane))
            return [(row.lane, row.position) for row in rows]

    async def stretch(self, lane: int, after: int, through: int) -> Sequence[Entry]:
        """A lane's rows of (after, through], in order."""
        async with database.reading(self._engine) as connection:
            return await entries_of(connection, lane, after, through)
