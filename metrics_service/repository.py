"""All of the metrics service's SQL."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple

from sqlalchemy import ARRAY, BigInteger, Date, Numeric, SmallInteger, Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from metrics_service.domain import Line, Total, TotalKey
from metrics_service.tables import daily_totals, inbox
from shared import database


class Snapshot(NamedTuple):
    """Totals, and per lane the last journal position that is in them."""

    lines: Sequence[Line]
    positions: Mapping[int, int]


class Reads:
    """What the endpoints read, each from one snapshot. Raises DatabaseUnavailable."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def totals(self, day: date | None = None) -> Snapshot:
        """The totals of one UTC day, or of all days, over all lanes."""
        total = daily_totals.c
        groups = (total.currency, total.kind, total.status, total.reason)
        query = select(*groups, func.sum(total.rows), func.sum(total.amount)).group_by(*groups).order_by(*groups)
        if day is not None:
            query = query.where(total.day == day)
        async with database.reading(self._engine) as connection:
            lines = [Line(*row[:4], int(row[4]), int(row[5])) for row in await connection.execute(query)]
            applied = await connection.execute(select(inbox.c.lane, inbox.c.position).order_by(inbox.c.lane))
            return Snapshot(lines, {row.lane: row.position for row in applied})


async def save(connection: AsyncConnection, increments: Mapping[TotalKey, Total]) -> None:
    """Add a batch's increments."""
    keys, totals = increments.keys(), increments.values()
    await connection.execute(
        _add,
        {
            "lanes": [key.lane for key in keys],
            "days": [key.day for key in keys],
            "currencies": [key.currency for key in keys],
            "kinds": [key.kind for key in keys],
            "statuses": [key.status for key in keys],
            "reasons": [key.reason for key in keys],
            "rows": [total.rows for total in totals],
            "amounts": [total.amount_minor for total in totals],
        },
    )


_COLUMNS = ("lane", "day", "currency", "kind", "status", "reason", "rows", "amount")
_new = (
    func.unnest(
        bindparam("lanes", type_=ARRAY(SmallInteger)),
        bindparam("days", type_=ARRAY(Date)),
        bindparam("currencies", type_=ARRAY(Text)),
        bindparam("kinds", type_=ARRAY(Text)),
        bindparam("statuses", type_=ARRAY(Text)),
        bindparam("reasons", type_=ARRAY(Text)),
        bindparam("rows", type_=ARRAY(BigInteger)),
        bindparam("amounts", type_=ARRAY(Numeric(38, 0))),
    )
    .table_valued(*_COLUMNS)
    .render_derived()
)
_insert = insert(daily_totals).from_select(_COLUMNS, select(*(_new.c[name] for name in _COLUMNS)))
_add = _insert.on_conflict_do_update(
    constraint=daily_totals.primary_key,
    set_={
        "rows": daily_totals.c.rows + _insert.excluded.rows,
        "amount": daily_totals.c.amount + _insert.excluded.amount,
    },
)
