"""Changes of what a player may do: an exclusion or a block begins, is extended or ends; a tier is given."""

from datetime import datetime

from shared import clock
from shared.contracts.commands import Command
from shared.contracts.exclusions import ExclusionType
from shared.contracts.kinds import Reason
from wallet_service.domain.restrictions import Block, Restrictions
from wallet_service.domain.state import Concerned, Decision, Facts, noted, refused


def exclude(command: Command, concerned: Concerned, now: datetime) -> Decision:
    """Begin an exclusion, or extend the one in force. It is never shortened."""
    before = concerned.restrictions
    after = before._replace(exclusion=ExclusionType(command.reference_id or ""), excluded_until=command.until)
    if not after.excluded(now) or (before.excluded(now) and _sooner(after.excluded_until, before.excluded_until)):
        return refused(command, concerned, Reason.EXCLUSION_SHORTENED, **_until("excluded_until", before))
    return noted(command, concerned, **_until("before", before), **_until("until", after))._replace(restrictions=after)


def end_exclusion(command: Command, concerned: Concerned, now: datetime) -> Decision:
    """End the exclusion in force. The jurisdiction says whether a permanent one ever ends."""
    before = concerned.restrictions
    if not before.excluded(now):
        return refused(command, concerned, Reason.NOT_EXCLUDED)
    if before.exclusion is ExclusionType.PERMANENT and not concerned.rules.permanent_ends:
        return refused(command, concerned, Reason.EXCLUSION_PERMANENT)
    after = before._replace(exclusion=None, excluded_until=None)
    return noted(command, concerned, **_until("before", before))._replace(restrictions=after)


def assign_tier(command: Command, concerned: Concerned, now: datetime) -> Decision:
    """Give the player a tier, which says what its account may do."""
    tiers, before = concerned.rules.tiers, concerned.restrictions
    if command.reference_id is None or command.reference_id not in tiers.by_name:
        return refused(command, concerned, Reason.TIER_UNKNOWN)
    facts: Facts = {"before": before.tier or tiers.initial, "after": command.reference_id}
    return noted(command, concerned, **facts)._replace(restrictions=before._replace(tier=command.reference_id))


def block(command: Command, concerned: Concerned, now: datetime) -> Decision:
    """Block the player for fraud, or extend the block in force: to a later end, or until it is lifted."""
    restrictions, stated = concerned.restrictions, command.reason
    assert stated is not None
    before = restrictions.block if restrictions.blocked(now) else None
    after = Block(before.since if before else now, command.until, stated)
    if not after.in_force(now) or (before and _sooner(after.until, before.until)):
        return refused(command, concerned, Reason.BLOCK_SHORTENED, **_block_until("blocked_until", before))
    facts = _block_until("before", before) | _block_until("until", after)
    return noted(command, concerned, **facts)._replace(restrictions=restrictions._replace(block=after))


def unblock(command: Command, concerned: Concerned, now: datetime) -> Decision:
    """Lift the block in force."""
    restrictions = concerned.restrictions
    if not restrictions.blocked(now):
        return refused(command, concerned, Reason.NOT_BLOCKED)
    after = restrictions._replace(block=None)
    return noted(command, concerned, **_block_until("before", restrictions.block))._replace(restrictions=after)


def _sooner(one: datetime | None, other: datetime | None) -> bool:
    """Whether one end comes before the other. None is no end."""
    if one is None:
        return False
    return other is None or one < other


def _until(name: str, restrictions: Restrictions) -> Facts:
    if restrictions.exclusion is None:
        return {}
    return {name: clock.to_text(restrictions.excluded_until) if restrictions.excluded_until else "for ever"}


def _block_until(name: str, block: Block | None) -> Facts:
    if block is None:
        return {}
    return {name: clock.to_text(block.until) if block.until else "further notice"}
