"""Changes of what a player may do: an exclusion begins, is extended or ends; a tier is given."""

from datetime import datetime

from shared import clock
from shared.contracts.commands import Command
from shared.contracts.exclusions import ExclusionType
from shared.contracts.kinds import Reason
from wallet_service.domain.restrictions import Restrictions
from wallet_service.domain.state import Concerned, Decision, Facts, noted, refused


def exclude(command: Command, concerned: Concerned, now: datetime) -> Decision:
    """Begin an exclusion, or extend the one in force. It is never shortened."""
    before = concerned.restrictions
    after = before._replace(exclusion=ExclusionType(command.reference_id or ""), excluded_until=command.until)
    if not after.excluded(now) or (before.excluded(now) and _ends_before(after, before)):
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


def _ends_before(one: Restrictions, other: Restrictions) -> bool:
    if one.excluded_until is None:
        return False
    return other.excluded_until is None or one.excluded_until < other.excluded_until


def _until(name: str, restrictions: Restrictions) -> Facts:
    if restrictions.exclusion is None:
        return {}
    return {name: clock.to_text(restrictions.excluded_until) if restrictions.excluded_until else "for ever"}
