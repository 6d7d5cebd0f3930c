"""The facts that a period's figures are made of: sums over the journal, whoever added them up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from shared.figures.rules import Owed

# So many of a currency's largest wins are kept, of a day and of a period.
LARGEST_WINS = 10


class Line(NamedTuple):
    """Rows that count alike, and the sum of their amounts in minor units.

    With a `day`, it is that day's total of a kind; without one, it is of the whole period, and tells apart reasons,
    games and providers as well. Texts are empty where the rows have none.
    """

    day: date | None
    currency: str
    kind: str
    of_kind: str
    status: str
    reason: str
    game: str
    provider: str
    rows: int
    amount_minor: int


class HourLine(NamedTuple):
    """Posted rows of one hour of a day, and the sum of their amounts in minor units."""

    hour: int
    currency: str
    kind: str
    of_kind: str
    rows: int
    amount_minor: int


class Players(NamedTuple):
    """How many players: of a day, or of the whole period where `day` is None."""

    day: date | None
    currency: str
    number: int


class OwedOn(NamedTuple):
    """How what is owed changed on a day; on the day before the period, what was owed when it began."""

    day: date
    currency: str
    change: Owed


class Fee(NamedTuple):
    """What a provider asks for the payments of a day, in minor units."""

    day: date
    currency: str
    provider: str
    fee_minor: int


class Win(NamedTuple):
    """One of the largest wins: a posted payout, by its place in the journal."""

    currency: str
    amount_minor: int
    lane: int
    position: int
    user_id: int
    game: str
    day: date


class Cut(NamedTuple):
    """Where a lane was cut: the last row that counts, and its checksum (hex), the head of the chain."""

    position: int
    head: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything about the days from `first` to `last`, both of them in it, up to a cut of the journal.

    Wins are a currency's largest, the largest first; of equal ones the one on the lower lane, then position.
    """

    first: date
    last: date
    lines: Sequence[Line]
    active: Sequence[Players] = ()
    new: Sequence[Players] = ()
    owed: Sequence[OwedOn] = ()
    fees: Sequence[Fee] = ()
    wins: Sequence[Win] = ()
    cut: Mapping[int, Cut] = field(default_factory=dict)
