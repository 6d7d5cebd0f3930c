"""How fast a player bets: pure functions over ledger rows and counts per minute.

A bet belongs to the minute of its `created_at`, when the wallet decided it. The client's `occurred_at` is a claim: a
wrong clock would move bets to where nobody looks, and a forged one would spread a burst over an hour.
A bet that is rolled back later stays counted: it was made, and this is about how fast.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind, Status


class PlayerMinute(NamedTuple):
    """One player's calendar minute, named by its first moment in UTC."""

    user_id: int
    minute: datetime


class Bucket(NamedTuple):
    """The bets of one player in one calendar minute."""

    minute: datetime
    bets: int


@dataclass(frozen=True, slots=True)
class Increments:
    """What a batch of ledger rows adds: each named player's lane, bets per minute, and the latest row's time."""

    lanes: Mapping[int, int]
    bets: Mapping[PlayerMinute, int]
    latest: datetime


@dataclass(frozen=True, slots=True)
class Velocity:
    """How fast a player bets. `above_threshold`: more than the threshold in any minute of the window."""

    bets_last_minute: int
    peak_per_minute: int
    above_threshold: bool


def minute_of(moment: datetime) -> datetime:
    """The first moment of the calendar minute, in UTC."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


def window_start(now: datetime, minutes: int) -> datetime:
    """The first of the `minutes` calendar minutes that end with the current one."""
    return minute_of(now) - timedelta(minutes=minutes - 1)


def fold(events: Sequence[LedgerEvent]) -> Increments:
    """What a batch of at least one row adds."""
    bets = Counter(
        PlayerMinute(event.user_id, minute_of(event.created_at))
        for event in events
        if event.kind is Kind.GAME_BET and event.status is Status.POSTED
    )
    return Increments(
        lanes={event.user_id: event.lane for event in events},
        bets=bets,
        latest=max(event.created_at for event in events),
    )


def velocity(buckets: Iterable[Bucket], now: datetime, threshold: int) -> Velocity:
    """A window's figures; the last minute is the current calendar minute."""
    bets = {bucket.minute: bucket.bets for bucket in buckets}
    peak = max(bets.values(), default=0)
    return Velocity(
        bets_last_minute=bets.get(minute_of(now), 0),
        peak_per_minute=peak,
        above_threshold=peak > threshold,
    )
