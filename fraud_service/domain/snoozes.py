"""Snoozes: for a player, a rule adds nothing for a while. It goes on being observed, and wakes by itself.

A snooze holds by the times of the player's events, so that reading the topics again gives the same scores.
"""

from collections.abc import Iterable
from typing import NamedTuple

NOTHING: frozenset[str] = frozenset()


class Snooze(NamedTuple):
    """A rule's snooze, from a moment up to another, in milliseconds."""

    rule: str
    since: int
    until: int


def asleep(snoozes: Iterable[Snooze], at: int) -> frozenset[str]:
    """The rules that add nothing at a moment."""
    return frozenset(snooze.rule for snooze in snoozes if snooze.since <= at < snooze.until)
