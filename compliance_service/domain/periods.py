"""The weeks and months that compliance audits are made of by themselves."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

Every = Literal["week", "month"]

_NAMESPACE = UUID("8b1f3a0e-6a57-5d0c-8c2b-19d7f0a2c6e4")
# What was decided at a period's end has been heard of by then.
SETTLES_WITHIN = timedelta(hours=1)


class Due(NamedTuple):
    """A period that is over. `end` is not in it. The same period has the same id at every instance."""

    id: UUID
    start: datetime
    end: datetime


def due(every: frozenset[Every], now: datetime, zone: ZoneInfo) -> Iterator[Due]:
    """The last ISO week and the last month that are over in the platform's time zone, of those that are wanted."""
    today = (now - SETTLES_WITHIN).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    if "week" in every:
        end = today - timedelta(days=today.weekday())
        yield _due("week", end - timedelta(days=7), end)
    if "month" in every:
        end = today.replace(day=1)
        yield _due("month", (end - timedelta(days=1)).replace(day=1), end)


def _due(every: Every, start: datetime, end: datetime) -> Due:
    return Due(uuid5(_NAMESPACE, f"{every}/{start.isoformat()}"), start, end)
