"""Whatever changes a day that is closed leaves a restatement: which figure, from what to what, when, and why."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection

from metrics_service.domain.restating import differences
from metrics_service.repository import days, facts
from shared.clock import Clock
from shared.figures import figures
from shared.figures.figures import Days


@asynccontextmanager
async def restating(connection: AsyncConnection, causes: Mapping[date, str], clock: Clock) -> AsyncIterator[None]:
    """Around what changes these days, each for its cause, in the transaction that `connection` is in.

    What a day changes of what is owed to players holds for every day after it, so the closed days after a late one
    are looked at too.
    """
    closed = await days.closed_since(connection, min(causes))
    late = sorted(closed & causes.keys())
    if not late:
        yield
        return
    # Two that restate at once would each miss what the other one did.
    await days.lock_restating(connection)
    before = await _figures(connection, late[0], max(closed))
    yield
    after = await _figures(connection, late[0], max(closed))
    found = [each for each in differences(before, after) if each.day in closed]
    await days.restate(connection, found, {day: causes[day] for day in late}, clock())


async def _figures(connection: AsyncConnection, first: date, last: date) -> Days:
    return figures.of_days(await facts.read(connection, first, last))
