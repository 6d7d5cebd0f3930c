"""When days close: some time after their end in the platform's time zone, and each once."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

# So many at most at one look: the first look at an old ledger closes years.
MOST_AT_ONCE = 400


def to_close(
    first: date | None, last_closed: date | None, now: datetime, zone: ZoneInfo, after: timedelta
) -> Sequence[date]:
    """The days that are over for so long and not closed yet, the oldest first, from the first with a row on."""
    start = last_closed + timedelta(days=1) if last_closed else first
    if start is None:
        return []
    open_day = (now - after).astimezone(zone).date()
    count = min((open_day - start).days, MOST_AT_ONCE)
    return [start + timedelta(days=number) for number in range(max(count, 0))]
