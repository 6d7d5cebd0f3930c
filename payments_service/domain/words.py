"""What staff says of a payment: which words count, and whose stands."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple


class Word(NamedTuple):
    """What somebody of staff said of a payment."""

    actor: str
    verdict: str
    at: datetime


def waiting_since(moves: Sequence[tuple[datetime, str | None]]) -> datetime:
    """When a payment came to wait for what it waits for now, by its moves: their moments and what it waited for then.

    The oldest is first; there is at least one.
    """
    since, waits_for = moves[-1]
    for at, waited_for in reversed(moves):
        if waited_for != waits_for:
            break
        since = at
    return since


def standing(words: Sequence[Word], since: datetime) -> dict[str, str]:
    """Each person's verdict, by its last word since that moment: what was said before was about something else."""
    return {word.actor: word.verdict for word in words if word.at >= since}
