"""The closed loop: money goes back first to the instruments that it came from, the oldest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from shared.errors import FieldError, InvalidInput

# A withdrawal goes to so many instruments at most.
MAX_PARTS = 20


class Place(NamedTuple):
    """Where money can go: an instrument at a provider. Without a token, the player's account there."""

    provider: str
    method: str
    instrument: str | None


class Source(NamedTuple):
    """A place that money came from: what of it has not gone back there, and since when."""

    place: Place
    net_minor: int
    since: datetime


class Part(NamedTuple):
    """What of a withdrawal goes to one place. `returned` is whether it came from there."""

    place: Place
    amount_minor: int
    returned: bool


def split(amount_minor: int, sources: Sequence[Source], chosen: Place) -> tuple[Part, ...]:
    """The parts of a withdrawal, which sum up to it: back to each source what came from it, and the rest as chosen.

    Raises InvalidInput where it would go to too many places.
    """
    parts: list[Part] = []
    left = amount_minor
    for source in sorted(sources, key=lambda source: (source.since, source.place.provider, str(source.place))):
        back = min(left, max(source.net_minor, 0))
        if back:
            parts.append(Part(source.place, back, returned=True))
            left -= back
    if left:
        parts.append(Part(chosen, left, returned=False))
    if len(parts) > MAX_PARTS:
        raise InvalidInput([FieldError("amount", f"would go to {len(parts)} places, more than {MAX_PARTS}")])
    return tuple(parts)
