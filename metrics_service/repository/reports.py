"""Reports: all that one says is read from one snapshot."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from metrics_service.repository import days, facts
from shared import database
from shared.figures import figures
from shared.figures.facts import Facts
from shared.figures.report import Corrected, days_before


class Read(NamedTuple):
    """What a report is made of."""

    facts: Facts
    before: Facts
    open_days: Sequence[date]
    corrected: Sequence[Corrected]


async def read(engine: AsyncEngine, first: date, last: date) -> Read:
    """What a report of the days from `first` to `last` is made of. Raises DatabaseUnavailable."""
    async with database.reading(engine) as connection:
        found = await facts.read(connection, first, last)
        before = await facts.read(connection, *days_before(first, last))
        closed = await days.closed(connection, first, last)
        corrected = await days.restated(connection, before.first, last)
    return Read(found, before, [day for day in figures.days_of(found) if day not in closed], corrected)
