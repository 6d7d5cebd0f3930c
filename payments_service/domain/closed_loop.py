"""The closed loop: money goes back first to the instruments that it came from, the oldest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.errors import FieldError, InvalidInput

# A withdrawal goes to so many instruments and back by so many deposits at most.
MAX_PARTS = 100


class Place(NamedTuple):
    """Where money can go: an instrument at a provider. Without a token, the player's account there."""

    provider: str
    method: str
    instrument: str | None


class Source(NamedTuple):
    """A place that money came from: what of it has not gone back there, and since when.

    `deposit_id` is the deposit as whose refund it goes back, where its provider knows no other way.
    """

    place: Place
    net_minor: int
    since: datetime
    deposit_id: UUID | None = None


class Part(NamedTuple):
    """What of a withdrawal goes to one place. `returned` is whether it came from there; `deposit_id` as in Source."""

    place: Place
    amount_minor: int
    returned: bool
    deposit_id: UUID | None = None


class Refundable(NamedTuple):
    """A deposit and what of it has not gone back. `refused`: its provider would not take back what was sent there."""

    deposit_id: UUID
    left_minor: int
    refused: bool = False


def by_deposits(source: Source, deposits: Sequence[Refundable]) -> list[Source]:
    """A place that money goes back to as refunds alone, by its deposits, the oldest first.

    What of its net no deposit can take is left out: it cannot go back there.
    """
    found, left = [], source.net_minor
    for deposit in deposits:
        back = 0 if deposit.refused else min(left, deposit.left_minor)
        if back > 0:
            found.append(source._replace(net_minor=back, deposit_id=deposit.deposit_id))
            left -= back
    return found


def split(amount_minor: int, sources: Sequence[Source], chosen: Place) -> tuple[Part, ...]:
    """The parts of a withdrawal, which sum up to it: back to each source what came from it, and the rest as chosen.

    Raises InvalidInput where it would go to too many places.
    """
    parts: list[Part] = []
    left = amount_minor
    for source in sorted(sources, key=lambda source: (source.since, source.place.provider, str(source.place))):
        back = min(left, max(source.net_minor, 0))
        if back:
            parts.append(Part(source.place, back, returned=True, deposit_id=source.deposit_id))
            left -= back
    if left:
        parts.append(Part(chosen, left, returned=False))
    if len(parts) > MAX_PARTS:
        raise InvalidInput([FieldError("amount", f"would go back in {len(parts)} parts, more than {MAX_PARTS}")])
    return tuple(parts)
