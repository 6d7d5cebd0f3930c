"""Reading the facts of a period, all from one snapshot: they are those of exactly the positions that it names."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import database
from shared.figures.facts import LARGEST_WINS, Cut, Facts, Fee, HourLine, Line, OwedOn, Players, Win
from shared.figures.rules import Owed

_LINES = text("""
    SELECT day, currency, kind, coalesce(of_kind, ''), status, coalesce(reason, ''), coalesce(game, ''),
        coalesce(provider, ''), sum(rows)::bigint, sum(amount)
    FROM daily_totals WHERE day BETWEEN :first AND :last
    GROUP BY GROUPING SETS (
        (day, currency, kind, of_kind, status), (currency, kind, of_kind, status, reason, game, provider))
""")
_ACTIVE = text("""
    SELECT day, currency, count(*) FROM daily_players WHERE day BETWEEN :first AND :last GROUP BY day, currency
    UNION ALL
    SELECT NULL, currency, count(*) FROM (
        SELECT DISTINCT currency, user_id FROM daily_players WHERE day BETWEEN :first AND :last
    ) each GROUP BY currency
""")
_NEW = text("""
    SELECT first_day, currency, count(*) FROM players WHERE first_day BETWEEN :first AND :last
    GROUP BY GROUPING SETS ((first_day, currency), (currency))
""")
_OWED = text("""
    SELECT greatest(day, :eve) AS since, currency, sum(cash), sum(reserved) FROM daily_owed WHERE day <= :last
    GROUP BY since, currency
""")
_FEES = text("""
    SELECT day, currency, provider, sum(fee)::bigint FROM provider_fees WHERE day BETWEEN :first AND :last
    GROUP BY day, currency, provider
""")
_WINS = text(f"""
    SELECT currency, amount, lane, position, user_id, game, day FROM (
        SELECT *, row_number() OVER (PARTITION BY currency ORDER BY amount DESC, lane, position) AS place
        FROM largest_wins WHERE day BETWEEN :first AND :last
    ) ranked WHERE place <= {LARGEST_WINS} ORDER BY currency, place
""")  # noqa: S608
_CUT = text("SELECT lane, position, encode(head, 'hex') FROM lane_heads ORDER BY lane")
_HOURS = text("""
    SELECT hour, currency, kind, of_kind, sum(rows)::bigint, sum(amount) FROM hourly_totals
    WHERE day = :day AND status = 'posted' GROUP BY hour, currency, kind, of_kind
""")
_ALL_LINES = text("""
    SELECT NULL, currency, kind, of_kind, status, reason, game, provider, sum(rows)::bigint, sum(amount)
    FROM daily_totals GROUP BY currency, kind, of_kind, status, reason, game, provider
""")
_POSITIONS = text("SELECT lane, position FROM inbox ORDER BY lane")


class Totals(NamedTuple):
    """Totals of all days, and per lane the last journal position that is in them."""

    lines: Sequence[Line]
    positions: Mapping[int, int]


async def read(connection: AsyncConnection, first: date, last: date) -> Facts:
    """The facts of the days from `first` to `last`, in the snapshot that `connection` has."""

    async def rows(query: TextClause, **bound: date) -> Sequence[tuple[Any, ...]]:
        return [tuple(row) for row in await connection.execute(query, bound)]

    days = {"first": first, "last": last}
    return Facts(
        first=first,
        last=last,
        lines=[Line._make(_whole(row)) for row in await rows(_LINES, **days)],
        active=[Players(*row) for row in await rows(_ACTIVE, **days)],
        new=[Players(*row) for row in await rows(_NEW, **days)],
        owed=[
            OwedOn(day, currency, Owed(int(cash), int(reserved)))
            for day, currency, cash, reserved in await rows(_OWED, last=last, eve=first - timedelta(days=1))
        ],
        fees=[Fee(*row) for row in await rows(_FEES, **days)],
        wins=[Win(*row) for row in await rows(_WINS, **days)],
        cut={row[0]: Cut(row[1], row[2]) for row in await rows(_CUT)},
    )


async def hours(connection: AsyncConnection, day: date) -> Sequence[HourLine]:
    """What each hour of a day moved."""
    found = await connection.execute(_HOURS, {"day": day})
    return [HourLine._make(_whole(row)) for row in found]


class Reads:
    """What the endpoints read of all days. Raises DatabaseUnavailable."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def totals(self) -> Totals:
        """The totals of all days over all lanes."""
        async with database.reading(self._engine) as connection:
            lines = [Line._make(_whole(row)) for row in await connection.execute(_ALL_LINES)]
            return Totals(lines, {row.lane: row.position for row in await connection.execute(_POSITIONS)})


def _whole(row: Sequence[Any]) -> tuple[Any, ...]:
    # A sum of bigints comes as a decimal.
    return *row[:-1], int(row[-1])
