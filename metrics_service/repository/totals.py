"""Adding up: what a batch of ledger rows adds, in a fixed number of statements."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from metrics_service.domain.fold import Increments, OwedKey, Total, TotalKey, by_day
from metrics_service.tables import ALL_LANES
from shared import database
from shared.figures.facts import LARGEST_WINS, Cut, Win
from shared.figures.rules import Owed

_ALIKE = "currency, kind, of_kind, status, reason, game, provider"
_TEXTS = ", ".join(["text[]"] * 7)


def _add(table: str, when: str, kinds: str) -> str:
    placeholders = ", ".join(
        f"${n}::{kind}" for n, kind in enumerate(f"smallint[], {kinds}, {_TEXTS}, bigint[], numeric[]".split(", "), 1)
    )
    return f"""INSERT INTO {table} AS t (lane, {when}, {_ALIKE}, rows, amount)
        SELECT * FROM unnest({placeholders})
        ON CONFLICT (lane, {when}, {_ALIKE})
        DO UPDATE SET rows = t.rows + excluded.rows, amount = t.amount + excluded.amount"""  # noqa: S608


# Rows are added in the order of their keys, so that no two batches wait for each other in a circle.
_DAYS = _add("daily_totals", "day", "date[]")
_HOURS = _add("hourly_totals", "day, hour", "date[], smallint[]")
_OWED = """INSERT INTO daily_owed AS t (lane, day, currency, cash, reserved)
    SELECT * FROM unnest($1::smallint[], $2::date[], $3::text[], $4::numeric[], $5::numeric[])
    ON CONFLICT (lane, day, currency)
    DO UPDATE SET cash = t.cash + excluded.cash, reserved = t.reserved + excluded.reserved"""
_BETTORS = """INSERT INTO daily_players (day, currency, user_id)
    SELECT * FROM unnest($1::date[], $2::text[], $3::bigint[]) ON CONFLICT DO NOTHING"""
# Most players are known: they are looked up, and not written.
_PLAYERS = """INSERT INTO players AS t (user_id, currency, first_day)
    SELECT n.* FROM unnest($1::bigint[], $2::text[], $3::date[]) AS n(user_id, currency, first_day)
    LEFT JOIN players p USING (user_id, currency) WHERE p.first_day IS NULL OR p.first_day > n.first_day
    ON CONFLICT (user_id, currency) DO UPDATE SET first_day = least(t.first_day, excluded.first_day)"""
_WINS = f"""WITH new AS (
        SELECT * FROM unnest(
            $1::smallint[], $2::bigint[], $3::date[], $4::text[], $5::bigint[], $6::bigint[], $7::text[]
        ) AS n(lane, position, day, currency, amount, user_id, game)
    ), ranked AS (
        SELECT lane, position, is_new,
            row_number() OVER (PARTITION BY lane, day, currency ORDER BY amount DESC, position) AS place
        FROM (
            SELECT lane, position, day, currency, amount, true AS is_new FROM new
            UNION ALL
            SELECT w.lane, w.position, w.day, w.currency, w.amount, false FROM largest_wins w
            WHERE (w.lane, w.day, w.currency) IN (SELECT lane, day, currency FROM new)
        ) every_win
    ), dropped AS (
        DELETE FROM largest_wins w USING ranked r
        WHERE NOT r.is_new AND r.place > {LARGEST_WINS} AND w.lane = r.lane AND w.position = r.position
    )
    INSERT INTO largest_wins (lane, position, day, currency, amount, user_id, game)
    SELECT n.* FROM new n JOIN ranked r USING (lane, position) WHERE r.is_new AND r.place <= {LARGEST_WINS}
"""  # noqa: S608
_HEADS = """INSERT INTO lane_heads (lane, position, head)
    SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
    ON CONFLICT (lane) DO UPDATE SET position = excluded.position, head = excluded.head"""


def _merge(table: str, alike: str, added: Sequence[str]) -> str:
    sums, sum_up = ", ".join(f"sum({name})" for name in added), ", ".join(f"{n} = t.{n} + excluded.{n}" for n in added)
    return f"""WITH each AS (DELETE FROM {table} WHERE day = ANY($1::date[]) AND lane <> {ALL_LANES} RETURNING *)
        INSERT INTO {table} AS t (lane, day, {alike}, {", ".join(added)})
        SELECT {ALL_LANES}, day, {alike}, {sums} FROM each GROUP BY day, {alike}
        ON CONFLICT (lane, day, {alike}) DO UPDATE SET {sum_up}"""  # noqa: S608


_MERGED = (_merge("daily_totals", _ALIKE, ("rows", "amount")), _merge("daily_owed", "currency", ("cash", "reserved")))


async def merge(connection: AsyncConnection, days: Sequence[date]) -> None:
    """Make one row of the lanes' rows, on days that nobody adds to until the transaction ends."""
    driver = await database.driver(connection)
    for statement in _MERGED:
        await driver.execute(statement, days)


async def save(connection: AsyncConnection, increments: Increments) -> None:
    """Add a batch's increments, in the transaction that `connection` is in."""
    driver = await database.driver(connection)
    await driver.execute(_DAYS, *_columns(by_day(increments.totals), hours=False))
    await driver.execute(_HOURS, *_columns(increments.totals, hours=True))
    await driver.execute(_HEADS, *_heads(increments.cut))
    if increments.owed:
        await driver.execute(_OWED, *_owed(increments.owed))
    if increments.bettors:
        bettors = [(day, player.currency, player.user_id) for day, player in sorted(increments.bettors)]
        await driver.execute(_BETTORS, *_turned(bettors, 3))
    if increments.first_days:
        await driver.execute(_PLAYERS, *_turned([(*p, day) for p, day in sorted(increments.first_days.items())], 3))
    if increments.wins:
        await driver.execute(_WINS, *_turned([_win(win) for win in increments.wins], 7))


def _columns(totals: Mapping[TotalKey, Total], *, hours: bool) -> Sequence[Sequence[Any]]:
    columns = _turned([(*key, *total) for key, total in sorted(totals.items())], len(TotalKey._fields) + 2)
    return columns if hours else [*columns[:2], *columns[3:]]


def _owed(owed: Mapping[OwedKey, Owed]) -> Sequence[Sequence[Any]]:
    return _turned([(*key, *change) for key, change in sorted(owed.items())], 5)


def _heads(cut: Mapping[int, Cut]) -> Sequence[Sequence[Any]]:
    return _turned([(lane, at.position, bytes.fromhex(at.head)) for lane, at in sorted(cut.items())], 3)


def _win(win: Win) -> tuple[Any, ...]:
    return win.lane, win.position, win.day, win.currency, win.amount_minor, win.user_id, win.game


def _turned(rows: Sequence[Sequence[Any]], width: int) -> Sequence[Sequence[Any]]:
    """Rows as columns."""
    return [[row[number] for row in rows] for number in range(width)]
