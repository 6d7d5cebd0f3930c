"""Changes of one player's limits: staff's overrides, and the player's own, which it lowers at once and raises later.

Source of the wait: UK Gambling Commission, RTS 12B: a decrease acts at once; an increase only after 24 hours, and
only when the customer then confirms it.
"""

from datetime import datetime

from shared import clock
from shared.contracts.commands import Command
from shared.contracts.kinds import Reason
from shared.contracts.limits import LimitName
from wallet_service.domain.limits import PlayerLimit
from wallet_service.domain.state import Concerned, Decision, Facts, noted, refused


def override(command: Command, concerned: Concerned, now: datetime) -> Decision:
    """Put a value of the player's own in the place of the operator's."""
    if not concerned.rules.allows(command.currency):
        return refused(command, concerned, Reason.CURRENCY_NOT_ALLOWED)
    after = concerned.limit._replace(override=command.amount_minor)
    return _changed(command, concerned, after)


def remove_override(command: Command, concerned: Concerned, now: datetime) -> Decision:
    """Let the operator's value hold again."""
    if concerned.limit.override is None:
        return refused(command, concerned, Reason.NO_OVERRIDE)
    return _changed(command, concerned, concerned.limit._replace(override=None))


def request(command: Command, concerned: Concerned, now: datetime) -> Decision:
    """A player's own limit: at once where it is the first or no higher than the one there is; else it waits.

    The last request is the one that counts: a raise that waited before it is gone.
    """
    if not concerned.rules.allows(command.currency):
        return refused(command, concerned, Reason.CURRENCY_NOT_ALLOWED)
    limit, asked = concerned.limit, command.amount_minor
    if limit.own is None or asked <= limit.own:
        after = limit._replace(own=asked, pending=None, pending_from=None)
    else:
        after = limit._replace(pending=asked, pending_from=now + concerned.rules.raise_wait)
    return _changed(command, concerned, after)


def confirm(command: Command, concerned: Concerned, now: datetime) -> Decision:
    """The raise that waited long enough becomes the player's limit. It names the raise's value."""
    limit = concerned.limit
    if limit.pending is None or limit.pending_from is None or limit.pending != command.amount_minor:
        return refused(command, concerned, Reason.NO_PENDING_RAISE)
    if now < limit.pending_from:
        return refused(command, concerned, Reason.RAISE_WAITS, pending_from=clock.to_text(limit.pending_from))
    return _changed(command, concerned, limit._replace(own=limit.pending, pending=None, pending_from=None))


def revoke(command: Command, concerned: Concerned, now: datetime) -> Decision:
    """The raise that waits is given up."""
    limit = concerned.limit
    if limit.pending is None:
        return refused(command, concerned, Reason.NO_PENDING_RAISE)
    return _changed(command, concerned, limit._replace(pending=None, pending_from=None))


def _changed(command: Command, concerned: Concerned, after: PlayerLimit) -> Decision:
    """A row with what held before and what holds now: all in all, by staff, and by the player."""
    assert command.reference_id is not None
    name, before = LimitName(command.reference_id), concerned.limit
    facts: Facts = {}
    for key, limit in (("before", before), ("after", after)):
        effective = concerned.rules.limit(name, command.currency, limit)
        for part, value in (("", effective), ("_override", limit.override), ("_own", limit.own)):
            if value is not None:
                facts[f"{key}{part}"] = value
    if after.pending is not None and after.pending_from is not None:
        facts |= {"pending": after.pending, "pending_from": clock.to_text(after.pending_from)}
    return noted(command, concerned, **facts)._replace(limit=after)
