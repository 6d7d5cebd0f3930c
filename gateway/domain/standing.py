"""How a player stands, joined from what several services own; what one of them does not answer is named."""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from gateway.domain import exclusions, limits, views
from gateway.domain.callers import Caller, Scope
from gateway.domain.limits import LimitView
from gateway.domain.views import WalletView
from shared.contracts.kyc import KycView
from shared.contracts.play import Protection
from shared.contracts.readings import RestrictionsReading

# The state of KYC in which staff looks at a player, and the code that the player reads meanwhile.
_REVIEW, _IN_REVIEW = "review", "IN_REVIEW"


class _View(BaseModel):
    model_config = ConfigDict(extra="forbid")


class StalePart(_View):
    """A part as it was answered before, since its owner does not answer now."""

    part: str
    as_of: datetime


class MissingPart(_View):
    """A part whose owner does not answer; `code` says why."""

    part: str
    code: str


class _JoinedView(_View):
    user_id: int
    stale: list[StalePart]
    missing: list[MissingPart]


class BlockView(_View):
    """A block for fraud. `until` is null where it stands until it is lifted, `reason` where the reader is not staff."""

    since: datetime
    until: datetime | None
    reason: str | None


class RestrictionsView(_View):
    """What the wallet refuses a player now."""

    exclusion: str | None
    excluded_until: datetime | None
    tier: str
    blocked: bool
    block: BlockView | None


class FraudStanding(_View):
    """A player's score for fraud and its level; `GET /users/{id}/fraud-score` has the reasons."""

    score: int
    level: str
    at: datetime


class StatusView(_JoinedView):
    """How a player stands. A part that is null is named in `missing`; a caller who may not read one has none of it."""

    wallet: WalletView | None
    limits: list[LimitView] | None
    restrictions: RestrictionsView | None
    kyc: dict[str, Any] | None
    protection: dict[str, Any] | None
    metrics: dict[str, Any] | None
    fraud: FraudStanding | None = None


class ResponsibleGamingView(_JoinedView):
    """Limits with what is used of them and the raises that wait; exclusions; play, its limits and reality checks."""

    limits: list[LimitView] | None
    protection: Protection | None


class Joined(NamedTuple):
    """Parts by name, as their owners gave them; what is old, since when; what is not there, and why."""

    parts: Mapping[str, Any]
    stale: Mapping[str, datetime]
    missing: Mapping[str, str]

    def view(self, user_id: int, shown: Mapping[str, Any]) -> dict[str, Any]:
        """What is answered, with the parts as they are shown."""
        stale = [{"part": name, "as_of": as_of.isoformat()} for name, as_of in self.stale.items()]
        missing = [{"part": name, "code": code} for name, code in self.missing.items()]
        return {"user_id": user_id, **shown, "stale": stale, "missing": missing}


class LastKnown:
    """The last answers, for when an owner does not answer: not too old, and not too many."""

    def __init__(self, max_parts: int, max_age: timedelta) -> None:
        self._max_parts = max_parts
        self._max_age = max_age
        self._kept: OrderedDict[tuple[int, str], tuple[datetime, Any]] = OrderedDict()

    def keep(self, user_id: int, part: str, found: Any, now: datetime) -> None:
        """Keep an answer in the place of the one before it."""
        self._kept[user_id, part] = (now, found)
        self._kept.move_to_end((user_id, part))
        if len(self._kept) > self._max_parts:
            self._kept.popitem(last=False)

    def recall(self, user_id: int, part: str, now: datetime) -> tuple[datetime, Any] | None:
        """An answer, and of when it is."""
        found = self._kept.get((user_id, part))
        return None if found is None or now - found[0] > self._max_age else found


def shown(part: str, found: Any, caller: Caller, user_id: int) -> Any:
    """A part as this caller reads it."""
    if found is None:
        return None
    if part == "wallet":
        return views.wallet(user_id, found)
    if part == "limits":
        return [limits.limit(each) for each in found]
    if part == "kyc":
        return kyc(found, caller)
    if part == "protection":
        return protection(found, caller)
    if part == "restrictions":
        return restrictions(found, caller)
    if part == "fraud":
        return found.model_dump(mode="json", include=FraudStanding.model_fields.keys())
    if part == "metrics":
        body = found.model_dump(mode="json")
        return {**body, "currencies": views.figures(body["currencies"])}
    return found


def kyc(view: KycView, caller: Caller) -> dict[str, Any]:
    """What this caller may read: a player has neither staff's reasons nor a field in clear.

    Why somebody looks at a player is staff's too: the code alone would say that another one holds its document.
    """
    found = view.model_dump(mode="json", exclude_none=False)
    if Scope.READ_KYC_STATE not in caller.scopes and found["reason"] is not None:
        del found["reason"]["staff"]
        if view.state == _REVIEW:
            found["reason"]["code"] = _IN_REVIEW
    if Scope.READ_KYC not in caller.scopes or view.fields is None:
        del found["fields"]
    return found


def restrictions(found: RestrictionsReading, caller: Caller) -> dict[str, Any]:
    """What the wallet refuses a player. Why it is blocked is for staff: a player is not told what it was seen at."""
    body = found.model_dump(mode="json", exclude={"user_id"})
    if body["block"] is not None and Scope.READ_STATUS not in caller.scopes:
        body["block"]["reason"] = None
    return body


def protection(found: Protection, caller: Caller) -> dict[str, Any]:
    """How a player is protected, as this caller may read it."""
    body = found.model_dump(mode="json")
    in_force = found.exclusion
    body["exclusion"] = None if in_force is None else exclusions.view(in_force, caller)
    body["requested"] = [exclusions.view(each, caller) for each in found.requested]
    return body
