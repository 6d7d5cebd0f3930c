"""Exclusions: their types, which a command names in its `reference_id`; how they are asked for, and how they read."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, StringConstraints

from shared.contracts.fields import Moment, Text

# Lines may break in it.
Details = Annotated[str, StringConstraints(min_length=1, max_length=4000, pattern=r"^[^\x00]+$")]
Hours = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]


class ExclusionType(StrEnum):
    """How long, and whether it can be ended early. The jurisdiction's pack has the bounds of each."""

    TEMPORARY = "TEMPORARY"
    EXTENDED = "EXTENDED"
    PERMANENT = "PERMANENT"


class ExclusionState(StrEnum):
    """How an exclusion stands. While its end is requested it is still in force."""

    NONE = "none"
    REQUESTED = "requested"
    IN_FORCE = "in_force"
    END_REQUESTED = "end_requested"
    ENDED = "ended"
    EXPIRED = "expired"
    REFUSED = "refused"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExclusionRequest(_Asked):
    """An exclusion that is asked for. Only a permanent one has no duration."""

    type: ExclusionType
    duration_hours: Hours | None = None
    reason: Text


class TimeOutRequest(_Asked):
    """A short break that is asked for: a temporary exclusion of fewer hours."""

    duration_hours: Hours
    reason: Text = "a break"


class SuspensionRequest(_Asked):
    """A suspension that is asked for: a permanent exclusion, and the record of its incident."""

    reason: Text
    details: Details | None = Field(default=None, description="What happened; kept with the incident alone.")


class Incident(_Part):
    """Why a player was suspended, by whom, and by which exclusion."""

    id: UUID
    user_id: int
    exclusion_id: UUID
    opened_at: Moment
    actor: str
    reason: str
    details: str | None


class Exclusion(_Part):
    """One exclusion. `since` is when the wallet acknowledged it, `lane` and `position` its place in the journal.

    A permanent one has no `until`. `ends_at` is when the requested end takes effect. One that was extended has ended,
    and `replaced_by` names the one that holds in its place. `refusal` says why the wallet refused it. `time_out`: it is
    a break, which no request ends. `actor` and `reason` are null where they are staff's, and the reader is not.
    """

    id: UUID
    user_id: int
    type: ExclusionType
    time_out: bool
    state: ExclusionState
    reason: str | None
    actor: str | None
    by_staff: bool
    requested_at: Moment
    since: Moment | None = None
    until: Moment | None = None
    lane: NonNegativeInt | None = None
    position: NonNegativeInt | None = None
    ends_at: Moment | None = None
    ended_at: Moment | None = None
    replaced_by: UUID | None = None
    refusal: str | None = None


class NumberedExclusion(_Part):
    """An exclusion of a history, with its number, by which pages go."""

    number: int
    exclusion: Exclusion


class Suspension(_Part):
    """What a suspension made: the incident's record, and the exclusion, which may have been in force before."""

    incident: Incident
    exclusion: Exclusion


class ExclusionPage(_Part):
    """Exclusions of a player, the newest first. `next_cursor` is null on the last page."""

    exclusions: Sequence[Exclusion]
    next_cursor: str | None
