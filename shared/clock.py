"""Time, in one place: aware UTC datetimes, and the text form that goes into messages and checksums."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


# A batch writes its one moment of decision into many rows.
@lru_cache(maxsize=1024)
def to_text(moment: datetime) -> str:
    """RFC 3339 in UTC with exactly six decimals, so that equal times have equal texts.

    >>> to_text(datetime(2026, 11, 24, 10, tzinfo=UTC))
    '2026-11-24T10:00:00.000000Z'
    """
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def from_text(text: str) -> datetime:
    """The inverse of `to_text`."""
    return datetime.fromisoformat(text)
