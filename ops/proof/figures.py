"""Figures from the journal itself: the facts of a period up to a cut, added up by PostgreSQL over the wallet's rows.

It shares with the metrics service what counts as what (`shared.figures`), and none of its tables.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, SMALLINT
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts.kinds import GAME_KINDS, MOVES_NOTHING, Kind
from shared.figures.facts import LARGEST_WINS, Cut, Facts, Fee, Line, OwedOn, Players, Win
from shared.figures.rules import GAME_ENDS_AT, REVERSED_KIND, Owed


def _listed(kinds: frozenset[Kind]) -> str:
    return ", ".join(f"'{kind}'" for kind in sorted(kinds))


def _game() -> str:
    name = "t.reference_id"
    for end in GAME_ENDS_AT:
        name = f"split_part({name}, '{end}', 1)"
    return f"CASE WHEN t.kind IN ({_listed(GAME_KINDS)}) THEN coalesce({name}, '') ELSE '' END"


# Every row up to the cut, as it counts.
_COUNTED = f"""WITH counted AS (
    SELECT t.lane, t.position, t.user_id, (t.created_at AT TIME ZONE :zone)::date AS day, t.currency,
        t.kind::text AS kind, t.status::text AS status, coalesce(t.reason, '') AS reason,
        CASE WHEN t.kind = '{Kind.REVERSAL}' THEN coalesce(t.facts->>'{REVERSED_KIND}', '') ELSE '' END AS of_kind,
        {_game()} AS game, coalesce(t.provider, '') AS provider, t.amount,
        ((t.credit = 'cash')::int - (t.debit = 'cash')::int) * t.amount::numeric AS cash,
        ((t.credit = 'reserved')::int - (t.debit = 'reserved')::int) * t.amount::numeric AS reserved,
        t.status = 'posted' AND t.amount > 0 AND t.kind NOT IN ({_listed(MOVES_NOTHING)}) AS moved
    FROM transactions t JOIN unnest(:lanes, :positions) AS cut(lane, position) ON t.lane = cut.lane
    WHERE t.position <= cut.position)"""  # noqa: S608
_LINES = """SELECT day, currency, kind, coalesce(of_kind, ''), status, coalesce(reason, ''), coalesce(game, ''),
    coalesce(provider, ''), count(*), sum(amount) FROM counted WHERE day BETWEEN :first AND :last
    GROUP BY GROUPING SETS (
        (day, currency, kind, of_kind, status), (currency, kind, of_kind, status, reason, game, provider))"""
_ACTIVE = """SELECT day, currency, count(DISTINCT user_id) FROM counted
    WHERE moved AND kind = 'GAME_BET' AND day BETWEEN :first AND :last
    GROUP BY GROUPING SETS ((day, currency), (currency))"""
_NEW = """SELECT day, currency, count(*) FROM (
        SELECT user_id, currency, min(day) AS day FROM counted WHERE moved GROUP BY user_id, currency
    ) firsts WHERE day BETWEEN :first AND :last GROUP BY GROUPING SETS ((day, currency), (currency))"""
_OWED = """SELECT greatest(day, :eve) AS since, currency, sum(cash), sum(reserved) FROM counted
    WHERE moved AND day <= :last GROUP BY since, currency"""
_WINS = f"""SELECT currency, amount, lane, position, user_id, game, day FROM (
        SELECT *, row_number() OVER (PARTITION BY currency ORDER BY amount DESC, lane, position) AS place
        FROM counted WHERE moved AND kind = 'GAME_PAYOUT' AND day BETWEEN :first AND :last
    ) ranked WHERE place <= {LARGEST_WINS} ORDER BY currency, place"""  # noqa: S608
_HEADS = text(
    """SELECT t.lane, t.position, encode(t.checksum, 'hex') FROM transactions t
    JOIN unnest(:lanes, :positions) AS cut(lane, position) USING (lane, position)"""
).bindparams(bindparam("lanes", type_=ARRAY(SMALLINT)), bindparam("positions", type_=ARRAY(BIGINT)))


async def facts(
    connection: AsyncConnection, first: date, last: date, zone: str, cut: Mapping[int, Cut], fees: Sequence[Fee]
) -> Facts:
    """The facts of the days from `first` to `last`, of the rows up to `cut`. `fees` are taken as they are."""
    days = {"first": first, "last": last}

    async def rows(query: str, **bound: date) -> Sequence[tuple[Any, ...]]:
        return [tuple(row) for row in await counted(connection, query, zone, cut, **bound)]

    return Facts(
        first=first,
        last=last,
        lines=[Line._make((*row[:9], int(row[9]))) for row in await rows(_LINES, **days)],
        active=[Players(*row) for row in await rows(_ACTIVE, **days)],
        new=[Players(*row) for row in await rows(_NEW, **days)],
        owed=[
            OwedOn(day, currency, Owed(int(cash), int(reserved)))
            for day, currency, cash, reserved in await rows(_OWED, last=last, eve=first - timedelta(days=1))
        ],
        fees=[fee for fee in fees if first <= fee.day <= last],
        wins=[Win(*row) for row in await rows(_WINS, **days)],
        cut=cut,
    )


async def counted(
    connection: AsyncConnection, query: str, zone: str, cut: Mapping[int, Cut], **bound: date
) -> Sequence[Row[Any]]:
    """What a query over `counted` finds: every row up to the cut, as it counts."""
    asked = text(f"{_COUNTED} {query}").bindparams(
        bindparam("lanes", type_=ARRAY(SMALLINT)), bindparam("positions", type_=ARRAY(BIGINT))
    )
    lanes = {"lanes": list(cut), "positions": [at.position for at in cut.values()]}
    return (await connection.execute(asked, {**lanes, "zone": zone, **bound})).all()


async def cut_now(connection: AsyncConnection) -> dict[int, Cut]:
    """The end of each lane."""
    found = await connection.execute(text("SELECT lane, position, encode(head, 'hex') FROM lanes ORDER BY lane"))
    return {row[0]: Cut(row[1], row[2]) for row in map(tuple, found)}


async def heads(connection: AsyncConnection, cut: Mapping[int, Cut]) -> dict[int, Cut]:
    """What the journal has where each lane was cut; nothing for a lane that has no such row."""
    asked = {"lanes": list(cut), "positions": [at.position for at in cut.values()]}
    return {row[0]: Cut(row[1], row[2]) for row in map(tuple, await connection.execute(_HEADS, asked))}
