"""What is read outside a batch, and the mark of what was published."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database
from shared.contracts.kinds import Kind
from shared.money import NO_CURRENCY
from wallet_service.domain.events import Dispute, ReadRow
from wallet_service.domain.expiring import ExpiredHold
from wallet_service.domain.needs import JournalRow
from wallet_service.repository.sql import BIGINTS, ROW, SMALLINTS, TEXTS, journal_row, sql

_MARK_PUBLISHED = sql(
    """UPDATE lanes l SET published = greatest(l.published, m.published)
    FROM unnest(:lanes, :published) AS m(lane, published),
        (SELECT lane FROM lanes WHERE lane = ANY(:lanes) FOR UPDATE SKIP LOCKED) AS free
    WHERE l.lane = m.lane AND l.lane = free.lane""",
    lanes=SMALLINTS,
    published=BIGINTS,
)
# A row with its dispute, by the row that opened or resolved it.
_READ_ROW = f"{ROW}, d.state::text, marked.id, marked.stated_reason, marked.actor, marked.created_at"
_DISPUTES = """LEFT JOIN disputes d ON d.lane = t.lane AND d.id = t.id
    LEFT JOIN transactions marked ON marked.lane = d.lane AND marked.position = d.position"""
_WIDTH_OF_DISPUTE = len(Dispute._fields)
_TRANSACTION = sql(
    f"SELECT {_READ_ROW} FROM transactions t {_DISPUTES} WHERE t.lane = ANY(:lanes) AND t.id = :id",  # noqa: S608
    lanes=SMALLINTS,
    id=PG_UUID(),
)
_HISTORY = sql(
    f"""SELECT {_READ_ROW} FROM transactions t {_DISPUTES}
    WHERE t.lane = :lane AND t.user_id = :user_id AND t.position < :before AND t.kind::text = ANY(:kinds)
    ORDER BY t.position DESC LIMIT :limit""",  # noqa: S608
    kinds=TEXTS,
)
_HELD_PAYOUTS = sql(
    f"""SELECT h.held, {_READ_ROW} FROM held_payouts h CROSS JOIN LATERAL (
        SELECT * FROM transactions t WHERE t.lane = h.lane
            AND hashtextextended(t.reference_id || '/' || coalesce(t.round_id, ''), t.user_id)
                = hashtextextended(h.reference_id || '/' || h.round_id, h.user_id)
            AND t.kind IN ('GAME_BET', 'GAME_PAYOUT') AND t.status = 'posted' AND t.kind = 'GAME_PAYOUT'
            AND t.credit = 'reserved' AND t.user_id = h.user_id AND t.currency = h.currency
            AND t.reference_id = h.reference_id AND coalesce(t.round_id, '') = h.round_id
        ORDER BY t.position LIMIT 1
    ) t {_DISPUTES}
    WHERE h.lane = ANY(:lanes) AND h.held > 0 ORDER BY t.created_at, t.lane, t.position LIMIT :limit""",  # noqa: S608
    lanes=SMALLINTS,
)
_AS_OF = text(
    f"""SELECT DISTINCT ON (currency) currency, position, cash_after AS cash, reserved_after AS reserved
    FROM transactions WHERE lane = :lane AND user_id = :user_id AND created_at <= :moment
        AND currency <> '{NO_CURRENCY}'
    ORDER BY currency, position DESC"""  # noqa: S608
)


_EXPIRED_HOLDS = text(
    """SELECT lane, user_id, reference_id, currency, remaining, hold_until
    FROM holds WHERE remaining > 0 AND hold_until <= now() ORDER BY hold_until LIMIT :limit"""
)
ALL_KINDS = tuple(Kind)


class LaneMark(NamedTuple):
    """How far a lane's rows were published, and how long ago its last batch was decided (seconds)."""

    lane: int
    position: int
    published: int
    head: bytes
    idle_s: float


class Past(NamedTuple):
    """A player's balances at a moment, by currency, and the database's clock when they were read."""

    balances: Sequence[Row[Any]]
    now: datetime


class Reads:
    """What is read outside a batch."""

    def __init__(self, engine: AsyncEngine, lanes: int) -> None:
        self._engine = engine
        self._lanes = list(range(lanes))

    async def balances(self, lane: int, user_id: int) -> Sequence[Row[Any]]:
        """A player's accounts: currency, cash, reserved (minor units), by currency."""
        async with database.reading(self._engine) as connection:
            rows = await connection.execute(
                text(
                    "SELECT currency, cash, reserved FROM accounts WHERE lane = :lane AND user_id = :user_id "
                    "ORDER BY currency"
                ),
                {"lane": lane, "user_id": user_id},
            )
            return rows.all()

    async def as_of(self, lane: int, user_id: int, moment: datetime) -> Past:
        """What a player's last rows up to a moment say.

        Waits for a batch that is under way on the lane: its rows are dated before they are committed.
        """
        async with database.transaction(self._engine) as connection:
            waited = text("SELECT lane FROM lanes WHERE lane = :lane FOR SHARE")
            await connection.execute(waited, {"lane": lane})
            now: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
            rows = await connection.execute(_AS_OF, {"lane": lane, "user_id": user_id, "moment": moment})
            return Past(rows.all(), now)

    async def transaction(self, command_id: UUID) -> ReadRow | None:
        """The row that decided a command, on whichever lane it is."""
        async with database.reading(self._engine) as connection:
            row = (await connection.execute(_TRANSACTION, {"lanes": self._lanes, "id": command_id})).first()
            return None if row is None else _read_row(row)

    async def history(
        self, lane: int, user_id: int, before: int | None, limit: int, kinds: Collection[Kind] = ALL_KINDS
    ) -> Sequence[ReadRow]:
        """A player's rows of some kinds below a position, the newest first."""
        asked = {"lane": lane, "user_id": user_id, "kinds": list(kinds), "before": before or 2**63 - 1, "limit": limit}
        async with database.reading(self._engine) as connection:
            return [_read_row(row) for row in await connection.execute(_HISTORY, asked)]

    async def held_payouts(self, limit: int) -> Sequence[tuple[int, ReadRow]]:
        """What waits in reserved (minor units) and the first payout of each reference of it, the oldest first."""
        async with database.reading(self._engine) as connection:
            rows = await connection.execute(_HELD_PAYOUTS, {"lanes": self._lanes, "limit": limit})
            return [(row[0], _read_row(row[1:])) for row in rows]

    async def journal(self, lane: int, after: int, limit: int) -> Sequence[JournalRow]:
        """A lane's rows above a position, in order."""
        async with database.reading(self._engine) as connection:
            rows = await connection.execute(
                text(
                    f"SELECT {ROW} FROM transactions t WHERE t.lane = :lane AND t.position > :after "  # noqa: S608
                    "ORDER BY t.position LIMIT :limit"
                ),
                {"lane": lane, "after": after, "limit": limit},
            )
            return [journal_row(row) for row in rows]

    async def expired_holds(self, limit: int) -> Sequence[ExpiredHold]:
        """Holds of which something is left after their time, the longest expired first."""
        async with database.reading(self._engine) as connection:
            rows = await connection.execute(_EXPIRED_HOLDS, {"limit": limit})
            return [ExpiredHold(*row) for row in rows]

    async def lanes(self) -> Sequence[LaneMark]:
        """Where each lane stands."""
        async with database.reading(self._engine) as connection:
            rows = await connection.execute(
                text(
                    "SELECT lane, position, published, head, "
                    "extract(epoch FROM clock_timestamp() - decided_at)::float8 AS idle_s FROM lanes ORDER BY lane"
                )
            )
            return [LaneMark(row.lane, row.position, row.published, row.head, row.idle_s) for row in rows]

    async def mark_published(self, published: Mapping[int, int]) -> None:
        """Note up to which position each lane's events were acknowledged by the broker. Waits for nobody."""
        async with database.transaction(self._engine) as connection:
            await connection.execute(_MARK_PUBLISHED, {"lanes": list(published), "published": list(published.values())})


def _read_row(row: Sequence[Any]) -> ReadRow:
    """A row that was selected as _READ_ROW."""
    dispute = Dispute._make(row[-_WIDTH_OF_DISPUTE:])
    return ReadRow(journal_row(row[:-_WIDTH_OF_DISPUTE]), None if dispute.state is None else dispute)
