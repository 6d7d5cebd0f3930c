"""What of the ledger's rows a compliance audit counts: tiers, exclusions, play, limit changes, deposits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from shared import clock
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import LIMIT_KINDS, Kind, Status

# What an excluded player may not do.
BARRED = frozenset({Kind.GAME_BET, Kind.DEPOSIT})


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Per currency, in minor units: from where a deposit is large, and from where one is just under that.

    So many of the latter within so many hours are structured.
    """

    large: Mapping[str, int]
    percent: int
    count: int
    within_h: int

    def of(self, currency: str, amount_minor: int) -> bool | None:
        """True for a large deposit, False for one just under it, None for all others."""
        large = self.large.get(currency)
        if large is None or amount_minor * 100 < large * self.percent:
            return None
        return amount_minor >= large


class TierRow(NamedTuple):
    """A player's tier since a moment; None for one that was not given a tier in these rows."""

    user_id: int
    since: datetime | None
    tier: str | None


class ExclusionRow(NamedTuple):
    """An exclusion that began or was extended, or, without a type, ended. `until` None: for ever."""

    user_id: int
    position: int
    at: datetime
    until: datetime | None
    lane: int
    type: str | None


class PlayRow(NamedTuple):
    """A bet or deposit that was accepted."""

    user_id: int
    position: int
    at: datetime
    lane: int
    kind: str


class LimitRow(NamedTuple):
    """A change of a player's limit, with the end of its wait where it is a raise that waits."""

    user_id: int
    position: int
    at: datetime
    waits_until: datetime | None
    lane: int
    kind: str
    name: str
    currency: str


class DepositRow(NamedTuple):
    """A deposit that is large, or just under it."""

    user_id: int
    position: int
    amount: int
    at: datetime
    lane: int
    currency: str
    large: bool


@dataclass(slots=True)
class Watched:
    """What of a batch is kept."""

    tiers: dict[int, TierRow] = field(default_factory=dict)
    exclusions: list[ExclusionRow] = field(default_factory=list)
    play: list[PlayRow] = field(default_factory=list)
    limits: list[LimitRow] = field(default_factory=list)
    deposits: list[DepositRow] = field(default_factory=list)


def watched(events: Iterable[LedgerEvent], thresholds: Thresholds) -> Watched:
    """What of these rows is kept. A refused row changed nothing; it names a player all the same."""
    kept = Watched()
    for event in events:
        kept.tiers.setdefault(event.user_id, TierRow(event.user_id, None, None))
        if event.status is Status.POSTED:
            _add(kept, event, thresholds)
    return kept


def _add(kept: Watched, event: LedgerEvent, thresholds: Thresholds) -> None:
    who, at, lane = event.user_id, event.created_at, event.lane
    if event.kind == Kind.KYC_TIER:
        kept.tiers[who] = TierRow(who, at, event.reference_id)
    elif event.kind == Kind.EXCLUSION:
        kept.exclusions.append(ExclusionRow(who, event.position, at, moment(event, "until"), lane, event.reference_id))
    elif event.kind == Kind.EXCLUSION_END:
        kept.exclusions.append(ExclusionRow(who, event.position, at, None, lane, None))
    elif event.kind in LIMIT_KINDS:
        waits_until = moment(event, "pending_from")
        kept.limits.append(
            LimitRow(who, event.position, at, waits_until, lane, event.kind, event.reference_id or "", event.currency)
        )
    elif event.kind in BARRED:
        kept.play.append(PlayRow(who, event.position, at, lane, event.kind))
        large = thresholds.of(event.currency, event.amount_minor)
        if event.kind == Kind.DEPOSIT and large is not None:
            kept.deposits.append(DepositRow(who, event.position, event.amount_minor, at, lane, event.currency, large))


def moment(event: LedgerEvent, fact: str) -> datetime | None:
    """A moment among a row's facts. What is no moment, such as `for ever`, is none."""
    text = (event.facts or {}).get(fact)
    try:
        return clock.from_text(text) if isinstance(text, str) else None
    except ValueError:
        return None
