"""How exclusions read outside."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from gateway.domain.callers import Caller, Scope
from gateway.domain.views import cursor_of
from shared.contracts.exclusions import Exclusion, NumberedExclusion, Suspension
from shared.contracts.kinds import Reason

_REFUSED: Mapping[str, str] = {
    Reason.EXCLUSION_SHORTENED: "An exclusion is never shortened, and another one that is in force lasts longer.",
}


def view(found: Exclusion, caller: Caller) -> dict[str, Any]:
    """An exclusion as this caller may read it: a player reads no reason of staff's."""
    shown = found.model_dump(mode="json")
    if found.by_staff and Scope.READ_EXCLUSIONS not in caller.scopes:
        shown |= {"actor": None, "reason": None}
    return shown


def page(found: Sequence[NumberedExclusion], limit: int, caller: Caller) -> dict[str, Any]:
    """At most `limit` exclusions as an ExclusionPage; one more than that tells that there is a next page."""
    shown = [view(each.exclusion, caller) for each in found[:limit]]
    return {"exclusions": shown, "next_cursor": cursor_of(found[limit - 1].number) if len(found) > limit else None}


def suspension(found: Suspension, caller: Caller) -> dict[str, Any]:
    """A suspension."""
    return {"incident": found.incident.model_dump(mode="json"), "exclusion": view(found.exclusion, caller)}


def explain(found: Exclusion) -> str:
    """One sentence about an exclusion that the wallet refused."""
    return _REFUSED.get(found.refusal or "", f"The wallet refused it: {found.refusal}.")


def path_of(user_id: int, exclusion_id: UUID) -> str:
    """Where an exclusion is read, below the API's root."""
    return f"/users/{user_id}/exclusions/{exclusion_id}"
