"""Which reports are due: of each day at an hour of it, and of the week and month before when they have ended."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from shared.contracts.reports import Every

_NAMESPACE = UUID("5a3b7e52-8a41-5f53-9d0c-0f6f2d6f0c11")
# What was missed longer ago is asked for by hand.
LOOKS_BACK = timedelta(days=31)


class Run(NamedTuple):
    """One report that is made by itself. The same period has the same id at every instance."""

    id: UUID
    every: Every
    first_day: date
    last_day: date
    due_at: datetime


def missed(
    wanted: frozenset[Every], made: Mapping[Every, datetime], now: datetime, at: time, zone: ZoneInfo
) -> list[Run]:
    """What became due after the last that was made of its kind, the oldest first. Where none was made: the last one."""
    found = [run for run in due(now - LOOKS_BACK, now, at, zone) if run.every in wanted]
    last = {run.every: run.due_at for run in found}
    return [
        run for run in found if (run.due_at > made[run.every] if run.every in made else run.due_at == last[run.every])
    ]


def due(after: datetime, until: datetime, at: time, zone: ZoneInfo) -> Iterator[Run]:
    """What is due after one moment, until another. `at` is the hour of the day in UTC; days are the platform's."""
    moment = datetime.combine(after.astimezone(UTC).date(), at, UTC)
    while moment <= until:
        if moment > after:
            yield from _at(moment, moment.astimezone(zone).date())
        moment += timedelta(days=1)


def _at(moment: datetime, today: date) -> Iterator[Run]:
    yield _run("day", today, today, moment)
    eve = today - timedelta(days=1)
    if today.weekday() == 0:
        yield _run("week", today - timedelta(days=7), eve, moment)
    if today.day == 1:
        yield _run("month", eve.replace(day=1), eve, moment)


def _run(every: Every, first: date, last: date, moment: datetime) -> Run:
    return Run(uuid5(_NAMESPACE, f"{every}/{first.isoformat()}"), every, first, last, moment)
