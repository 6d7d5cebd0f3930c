"""What a batch of ledger rows adds to the figures. The order in which batches come makes no difference."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from heapq import nsmallest
from typing import NamedTuple
from zoneinfo import ZoneInfo

from shared.contracts.events import LanePosition, LedgerEvent
from shared.contracts.kinds import MOVES_NOTHING, Kind, Status
from shared.figures import rules
from shared.figures.facts import LARGEST_WINS, Cut, Win
from shared.figures.rules import Owed


class TotalKey(NamedTuple):
    """What one total is of: rows that count alike. Texts are empty where the rows have none."""

    lane: int
    day: date
    hour: int
    currency: str
    kind: str
    of_kind: str
    status: str
    reason: str
    game: str
    provider: str


class Total(NamedTuple):
    """How many rows, and the sum of their amounts in minor units."""

    rows: int
    amount_minor: int

    def and_also(self, other: "Total") -> "Total":
        """Both together."""
        return Total(self.rows + other.rows, self.amount_minor + other.amount_minor)


class OwedKey(NamedTuple):
    """Where what is owed to players changes."""

    lane: int
    day: date
    currency: str


class Player(NamedTuple):
    """One player in one currency."""

    user_id: int
    currency: str


@dataclass(slots=True)
class Increments:
    """What a batch adds.

    `bettors` are the days on which players bet, `first_days` the first on which money moved, `wins` the largest of
    each lane, day and currency, `cut` the last row of each lane, `named` some row of each day, for who asks why a day
    changed.
    """

    totals: dict[TotalKey, Total] = field(default_factory=dict)
    owed: dict[OwedKey, Owed] = field(default_factory=dict)
    bettors: set[tuple[date, Player]] = field(default_factory=set)
    first_days: dict[Player, date] = field(default_factory=dict)
    wins: list[Win] = field(default_factory=list)
    cut: dict[int, Cut] = field(default_factory=dict)
    named: dict[date, LanePosition] = field(default_factory=dict)

    def days(self) -> set[date]:
        """The days that change."""
        return set(self.named)


_NOTHING, _NO_ROWS = Owed(0, 0), Total(0, 0)


def fold(events: Iterable[LedgerEvent], zone: ZoneInfo) -> Increments:
    """What these rows add, each lane's in order."""
    found = Increments()
    wins: dict[OwedKey, list[Win]] = {}
    for event in events:
        day, hour = rules.hour_of(event.created_at, zone)
        found.named.setdefault(day, LanePosition(event.lane, event.position))
        found.cut[event.lane] = Cut(event.position, event.checksum)
        game = rules.game_of(event.kind, event.reference_id)
        key = TotalKey(
            event.lane,
            day,
            hour,
            event.currency,
            str(event.kind),
            rules.reversed_kind(event),
            str(event.status),
            event.reason or "",
            game,
            event.provider or "",
        )
        found.totals[key] = found.totals.get(key, _NO_ROWS).and_also(Total(1, event.amount_minor))
        if event.status is not Status.POSTED or event.kind in MOVES_NOTHING or not event.amount_minor:
            continue
        place, player = OwedKey(event.lane, day, event.currency), Player(event.user_id, event.currency)
        found.owed[place] = found.owed.get(place, _NOTHING).and_also(rules.owed_by(event))
        found.first_days[player] = min(day, found.first_days.get(player, day))
        if event.kind == Kind.GAME_BET:
            found.bettors.add((day, player))
        elif event.kind == Kind.GAME_PAYOUT:
            wins.setdefault(place, []).append(
                Win(event.currency, event.amount_minor, event.lane, event.position, event.user_id, game, day)
            )
    found.wins = [win for some in wins.values() for win in nsmallest(LARGEST_WINS, some, key=rank)]
    return found


def by_day(totals: dict[TotalKey, Total]) -> dict[TotalKey, Total]:
    """Totals of hours as totals of days, under the hour 0."""
    found: dict[TotalKey, Total] = {}
    for key, total in totals.items():
        day = key._replace(hour=0)
        found[day] = found.get(day, _NO_ROWS).and_also(total)
    return found


def rank(win: Win) -> tuple[int, int, int]:
    """How wins stand: the largest first; of equal ones the one on the lower lane, then position."""
    return -win.amount_minor, win.lane, win.position
