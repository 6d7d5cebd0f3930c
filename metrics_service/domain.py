"""Daily figures: pure functions over ledger rows and totals.

A row belongs to the UTC day of its `created_at`, when the wallet decided it: the client's `occurred_at` is a claim,
and a figure that was reported must not change because a late row says that it is old.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date
from typing import NamedTuple

from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind, Status
from shared.money import NO_CURRENCY

# Gross gaming revenue: bets less what was taken back of them, less payouts, plus what was taken back of those.
_GGR_SIGNS: Mapping[str, int] = {
    Kind.GAME_BET: 1,
    Kind.BET_ROLLBACK: -1,
    Kind.GAME_PAYOUT: -1,
    Kind.PAYOUT_ROLLBACK: 1,
}


class TotalKey(NamedTuple):
    """What one total is of. `reason` is empty where the rows have none."""

    lane: int
    day: date
    currency: str
    kind: str
    status: str
    reason: str


class Total(NamedTuple):
    """How many rows, and the sum of their amounts in minor units."""

    rows: int
    amount_minor: int


class Line(NamedTuple):
    """A total over all lanes, and over whatever days were asked for."""

    currency: str
    kind: str
    status: str
    reason: str
    rows: int
    amount_minor: int


@dataclass(slots=True)
class KindFigures:
    """Rows of one kind: posted, refused, and what the posted ones moved, in minor units."""

    posted: int = 0
    refused: int = 0
    amount_minor: int = 0


@dataclass(slots=True)
class CurrencyFigures:
    """One currency's figures. Refusals are counted by reason."""

    kinds: dict[str, KindFigures] = field(default_factory=lambda: defaultdict(KindFigures))
    ggr_minor: int = 0
    refusals: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def fold(events: Iterable[LedgerEvent]) -> dict[TotalKey, Total]:
    """What a batch of ledger rows adds."""
    totals: dict[TotalKey, Total] = {}
    for event in events:
        key = TotalKey(
            lane=event.lane,
            day=event.created_at.astimezone(UTC).date(),
            currency=event.currency,
            kind=event.kind,
            status=event.status,
            reason=event.reason or "",
        )
        before = totals.get(key, Total(0, 0))
        totals[key] = Total(before.rows + 1, before.amount_minor + event.amount_minor)
    return totals


def figures(lines: Iterable[Line]) -> dict[str, CurrencyFigures]:
    """Totals as a report shows them: by currency, then by kind."""
    currencies: dict[str, CurrencyFigures] = defaultdict(CurrencyFigures)
    for line in lines:
        # What is about a player as a whole is no figure of any currency.
        if line.currency == NO_CURRENCY:
            continue
        currency = currencies[line.currency]
        kind = currency.kinds[line.kind]
        if line.status == Status.POSTED:
            kind.posted += line.rows
            kind.amount_minor += line.amount_minor
            currency.ggr_minor += _GGR_SIGNS.get(line.kind, 0) * line.amount_minor
        else:
            kind.refused += line.rows
            currency.refusals[line.reason] += line.rows
    return currencies
