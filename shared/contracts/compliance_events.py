"""`compliance.events.v1`: what the compliance service says. States and codes; no free text and no KYC value."""

from collections.abc import Mapping
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from shared.contracts.fields import Moment, UserId


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ExclusionChanged(_Event):
    """An exclusion, as it stands after a step. `lane` and `position`: its decision in the ledger."""

    exclusion_id: UUID
    user_id: UserId
    type: str
    time_out: bool
    state: str
    since: Moment | None
    until: Moment | None
    ends_at: Moment | None
    ended_at: Moment | None
    replaced_by: UUID | None
    lane: int | None
    position: int | None


class PlayerSuspended(_Event):
    """Staff suspended a player: the exclusion, and the incident behind it."""

    user_id: UserId
    incident_id: UUID
    exclusion_id: UUID


class KycMoved(_Event):
    """How far a player is known is another; the player is the event's subject. `reason` is a code."""

    submission_id: UUID | None
    before: str
    state: str
    reason: str
    tier: str


class PlayLimitReached(_Event):
    """A player reached a limit of play by session or day."""

    user_id: UserId
    started_at: Moment
    at: Moment
    played_s: int
    day_played_s: int
    limit: str
    minutes: int


class RealityCheckDue(_Event):
    """A player is to be told how long it has played."""

    user_id: UserId
    started_at: Moment
    at: Moment
    played_s: int
    day_played_s: int
    interval_minutes: int


_EXCLUSION_STEPS = ("requested", "started", "end-requested", "end-revoked", "ended", "expired")
_KYC_MOVES = ("submitted", "verified", "rejected", "review", "expired", "erased")

# By CloudEvents type.
COMPLIANCE_EVENT_TYPES: Mapping[str, type[BaseModel]] = {
    **{f"compliance.exclusion.{step}.v1": ExclusionChanged for step in _EXCLUSION_STEPS},
    "compliance.player.suspended.v1": PlayerSuspended,
    **{f"compliance.kyc.{move}.v1": KycMoved for move in _KYC_MOVES},
    "compliance.play-limit.reached.v1": PlayLimitReached,
    "compliance.reality-check.due.v1": RealityCheckDue,
}
