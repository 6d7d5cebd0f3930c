"""What a player may deposit, lose, bet and win: whose limit holds, over which time, and how much of it is used.

The windows: a calendar day, ISO week and month in the platform's time zone; or rolling 24 hours, 7 days and 30 days,
which move by the minute. A limit's use is the difference of two totals of the account: now, and when the window began.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from shared.contracts.limits import IN_SECONDS, LimitName
from wallet_service.domain.restrictions import Tiers


class Window(StrEnum):
    """How far back a limit looks."""

    # As its text's: an enum's own is a function in Python, and slow.
    __hash__ = str.__hash__

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Measure(StrEnum):
    """What a limit counts."""

    DEPOSITS = "deposits"
    LOSS = "loss"
    WAGERS = "wagers"


class Windowed(NamedTuple):
    """A limit on a measure in a window."""

    name: LimitName
    measure: Measure
    window: Window


WINDOWED = (
    Windowed(LimitName.DAILY_DEPOSIT_LIMIT, Measure.DEPOSITS, Window.DAY),
    Windowed(LimitName.WEEKLY_DEPOSIT_LIMIT, Measure.DEPOSITS, Window.WEEK),
    Windowed(LimitName.MONTHLY_DEPOSIT_LIMIT, Measure.DEPOSITS, Window.MONTH),
    Windowed(LimitName.DAILY_LOSS_LIMIT, Measure.LOSS, Window.DAY),
    Windowed(LimitName.WEEKLY_LOSS_LIMIT, Measure.LOSS, Window.WEEK),
    Windowed(LimitName.MONTHLY_LOSS_LIMIT, Measure.LOSS, Window.MONTH),
    Windowed(LimitName.DAILY_WAGER_LIMIT, Measure.WAGERS, Window.DAY),
    Windowed(LimitName.WEEKLY_WAGER_LIMIT, Measure.WAGERS, Window.WEEK),
    Windowed(LimitName.MONTHLY_WAGER_LIMIT, Measure.WAGERS, Window.MONTH),
)


_OF_MEASURE = {measure: tuple(each for each in WINDOWED if each.measure is measure) for measure in Measure}


class WindowMode(StrEnum):
    """How windows begin."""

    CALENDAR = "calendar"
    ROLLING = "rolling"


ROLLING = {Window.DAY: timedelta(hours=24), Window.WEEK: timedelta(days=7), Window.MONTH: timedelta(days=30)}


class Windows(NamedTuple):
    """When windows begin."""

    mode: WindowMode
    zone: ZoneInfo

    def start(self, window: Window, now: datetime) -> datetime:
        """The moment from which what was done counts in this window."""
        if self.mode is WindowMode.ROLLING:
            return _minute(now - ROLLING[window])
        day = now.astimezone(self.zone).date()
        if window is Window.WEEK:
            day -= timedelta(days=day.weekday())
        elif window is Window.MONTH:
            day = day.replace(day=1)
        return self._midnight(day).astimezone(now.tzinfo)

    def days(self, count: int, now: datetime) -> datetime:
        """The moment at which the last so many days began, today being one of them."""
        today = now.astimezone(self.zone).date()
        return self._midnight(today - timedelta(days=count - 1)).astimezone(now.tzinfo)

    def period(self, now: datetime) -> datetime:
        """The start of the shortest stretch of time that no window divides. An account's totals are kept for each."""
        return _period(self, now)

    def _midnight(self, day: date) -> datetime:
        # Where the clocks skip midnight, or have it twice, the day begins at the first moment with its date.
        return datetime(day.year, day.month, day.day, tzinfo=self.zone)


# All commands of a batch are decided at one moment.
@lru_cache(maxsize=64)
def _period(windows: Windows, now: datetime) -> datetime:
    return _minute(now) if windows.mode is WindowMode.ROLLING else windows.start(Window.DAY, now)


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


class Totals(NamedTuple):
    """What an account came to since its beginning, in minor units: gross deposits, bets, and payouts.

    What was taken back is not in it.
    """

    deposits_minor: int = 0
    bets_minor: int = 0
    payouts_minor: int = 0

    def plus(self, more: "Totals", times: int = 1) -> "Totals":
        """The sum, with `more` taken so many times."""
        return Totals(
            self.deposits_minor + times * more.deposits_minor,
            self.bets_minor + times * more.bets_minor,
            self.payouts_minor + times * more.payouts_minor,
        )

    def of(self, measure: Measure) -> int:
        """A measure, in minor units."""
        if measure is Measure.DEPOSITS:
            return self.deposits_minor
        return self.bets_minor if measure is Measure.WAGERS else self.bets_minor - self.payouts_minor


class PlayerLimit(NamedTuple):
    """What is set for one player, of one limit in one currency. None: nothing is.

    `override` replaces the operator's value. `own` is the player's; a raise of it is `pending`, and can be confirmed
    from `pending_from` on.
    """

    override: int | None = None
    own: int | None = None
    pending: int | None = None
    pending_from: datetime | None = None


Values = Mapping[LimitName, int]
NO_PLAYER_LIMIT = PlayerLimit()


class Rules(NamedTuple):
    """The operator's limits and the jurisdiction's, by currency. One that the operator has no limits in is refused.

    Beside them, what the tiers allow.
    """

    operator: Mapping[str, Values]
    jurisdiction: Mapping[str, Values]
    windows: Windows
    raise_wait: timedelta
    hold_for: timedelta
    tiers: Tiers
    # Whether a permanent exclusion can be ended.
    permanent_ends: bool

    def allows(self, currency: str) -> bool:
        """Whether there are limits in this currency, without which nothing can be checked."""
        return currency in self.operator

    def limit(self, name: LimitName, currency: str, player: PlayerLimit = NO_PLAYER_LIMIT) -> int | None:
        """The limit that holds: the lowest of the operator's (or its override), the jurisdiction's and the player's.

        None where nobody set one. Of cooldowns the longest holds.
        """
        operators = self.operator.get(currency, {}).get(name) if player.override is None else player.override
        jurisdictions = self.jurisdiction.get(currency, {}).get(name)
        values = [value for value in (operators, jurisdictions, player.own) if value is not None]
        strictest = max if name in IN_SECONDS else min
        return strictest(values, default=None)

    def values(self, currency: str, player: Mapping[LimitName, PlayerLimit]) -> Values | None:
        """Every limit that holds for a player in a currency; None for a currency that is not allowed."""
        if not self.allows(currency):
            return None
        found = {name: self.limit(name, currency, player.get(name, NO_PLAYER_LIMIT)) for name in LimitName}
        return {name: value for name, value in found.items() if value is not None}


class Standing(NamedTuple):
    """How a player stands with its limits in one currency.

    `limits` has no entry for a limit that nobody set; it is None for a currency that is not allowed. `totals` are the
    account's now, `began` those when each window began.
    """

    limits: Values | None
    totals: Totals = Totals()
    began: Mapping[Window, Totals] = {}
    deposited_at: datetime | None = None

    def limit(self, name: LimitName) -> int | None:
        """The limit that holds; None where there is none."""
        return None if self.limits is None else self.limits.get(name)

    def used_minor(self, measure: Measure, window: Window) -> int:
        """What a window has already."""
        return self.totals.of(measure) - self.began[window].of(measure)


class Excess(NamedTuple):
    """A limit that would be passed: the limit, and what is used of it, in minor units."""

    name: LimitName
    limit_minor: int
    used_minor: int

    @property
    def remaining_minor(self) -> int:
        """What could still be done. Never below zero: a limit may have been lowered under what was used."""
        return max(self.limit_minor - self.used_minor, 0)


def first_excess(standing: Standing, measure: Measure, amount_minor: int) -> Excess | None:
    """The limit on a measure that leaves the least, where it leaves less than the amount; of equals the shortest."""
    limits = standing.limits or {}
    least: Excess | None = None
    for name, _, window in _OF_MEASURE[measure]:
        limit = limits.get(name)
        if limit is None:
            continue
        used = standing.used_minor(measure, window)
        if used + amount_minor <= limit:
            continue
        excess = Excess(name, limit, used)
        if least is None or excess.remaining_minor < least.remaining_minor:
            least = excess
    return least
