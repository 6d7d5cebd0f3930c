"""Flags: a player above the alert's score, for people to look at. What may become of one, and when one is raised."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from fraud_service.domain.scoring import Level, Score
from shared.contracts.fraud import FlagStatus

UNRESOLVED = frozenset({FlagStatus.OPEN, FlagStatus.IN_REVIEW, FlagStatus.SNOOZED})
RESOLVED = frozenset(FlagStatus) - UNRESOLVED

MOVES: Mapping[FlagStatus, frozenset[FlagStatus]] = {
    FlagStatus.OPEN: frozenset(FlagStatus) - {FlagStatus.OPEN},
    FlagStatus.IN_REVIEW: frozenset(FlagStatus) - {FlagStatus.IN_REVIEW},
    # It wakes as open.
    FlagStatus.SNOOZED: frozenset(FlagStatus),
    FlagStatus.CONFIRMED: frozenset(),
    FlagStatus.DISMISSED: frozenset(),
}


class Standing(NamedTuple):
    """A player's latest flag: its status, and the time of the last thing that it was raised or kept up for (ms)."""

    status: FlagStatus
    seen_at: int


class Raise(StrEnum):
    """What becomes of a player's flags."""

    NONE = "none"
    NEW = "new"
    KEEP_UP = "keep_up"


def seen_at(score: Score) -> int:
    """When the latest of a score's reasons was so."""
    return max((reason.seen_at for reason in score.reasons), default=0)


def raising(score: Score, latest: Standing | None) -> Raise:
    """One flag a player while it is unresolved; after that, none for what was looked at already."""
    if score.level is not Level.FRAUDULENT:
        return Raise.NONE
    if latest is None:
        return Raise.NEW
    if latest.status in UNRESOLVED:
        return Raise.KEEP_UP if seen_at(score) > latest.seen_at else Raise.NONE
    return Raise.NEW if seen_at(score) > latest.seen_at else Raise.NONE


def may_become(status: FlagStatus, wanted: FlagStatus) -> bool:
    """Whether people may move a flag so."""
    return wanted in MOVES[status]
