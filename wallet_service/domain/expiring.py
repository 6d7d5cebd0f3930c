"""Holds that nobody captured or released in time: the command that releases what is left of one."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid5

from shared.contracts import actors
from shared.contracts.commands import Command
from shared.contracts.kinds import Kind

# It never changes: whoever finds a hold expired sends the same command, and the first decides.
_NAMESPACE = UUID("5e0c9a52-7f0d-5b0b-8c55-0b4b3d0c1f6e")
REASON = "the hold expired"


class ExpiredHold(NamedTuple):
    """What is left of a hold whose time is over, in minor units."""

    lane: int
    user_id: int
    reference_id: str
    currency: str
    remaining_minor: int
    until: datetime


def release_of(hold: ExpiredHold, now: datetime) -> Command:
    """The command that releases it. What is left is part of its id: after a capture in between, another is due."""
    name = f"{hold.user_id}/{hold.reference_id}/{hold.until.isoformat()}/{hold.remaining_minor}"
    return Command(
        command_id=uuid5(_NAMESPACE, name),
        kind=Kind.WITHDRAWAL_RELEASE,
        user_id=hold.user_id,
        amount_minor=hold.remaining_minor,
        currency=hold.currency,
        reference_id=hold.reference_id,
        reason=REASON,
        actor=actors.HOLD_EXPIRY,
        occurred_at=now,
    )
