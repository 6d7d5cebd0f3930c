"""How well fraud detection does: which rules say nothing, because they never hold or always do, and which are right."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

# Of fewer times it cannot be said that a rule never holds, or too often.
FEWEST_ASKED = 100


class Counted(NamedTuple):
    """A version in force: how often it was asked of a player, and how often it held."""

    rule: str
    version: int
    state: str
    since: datetime
    asked: int
    fired: int

    @property
    def permille(self) -> int:
        """How often it held, of a thousand times that it was asked."""
        return self.fired * 1000 // self.asked if self.asked else 0


class Precision(NamedTuple):
    """Of a rule, over resolved flags that it was a reason of: how many were confirmed, and how many dismissed."""

    rule: str
    confirmed: int
    dismissed: int

    @property
    def permille(self) -> int:
        """How many were confirmed, of a thousand."""
        return self.confirmed * 1000 // (self.confirmed + self.dismissed)


def silent(rules: Iterable[Counted]) -> list[Counted]:
    """Those that never held, though they were asked."""
    return [rule for rule in rules if rule.asked >= FEWEST_ASKED and rule.fired == 0]


def noisy(rules: Iterable[Counted], above_permille: int) -> list[Counted]:
    """Those that hold more often than this."""
    return [rule for rule in rules if rule.asked >= FEWEST_ASKED and rule.permille > above_permille]
