"""How long players play: what they set, and how they stand. Times are of bets, as the ledger has them."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, model_validator

from shared.contracts.exclusions import Exclusion
from shared.contracts.fields import Moment

DAY_MINUTES = 1440


class PlaySettingName(StrEnum):
    """What a player sets. `time_out_hours` is the break that follows where a limit is reached; 0 is none."""

    SESSION_MINUTES = "session_minutes"
    DAY_MINUTES = "day_minutes"
    TIME_OUT_HOURS = "time_out_hours"
    REALITY_CHECK_MINUTES = "reality_check_minutes"


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


Minutes = Annotated[int, Field(ge=1, le=DAY_MINUTES, strict=True, description="1440 is no limit.")]


class PlayLimitsRequest(_Asked):
    """How long a player wants to play at most. What is not there stays as it is."""

    session_minutes: Minutes | None = None
    day_minutes: Minutes | None = None
    time_out_hours: Annotated[int, Field(ge=0, le=24 * 42, strict=True)] | None = None

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError("must have one of session_minutes, day_minutes, time_out_hours")
        return self


class RealityCheckRequest(_Asked):
    """How often a player wants to be told how long it has played."""

    interval_minutes: Annotated[int, Field(ge=5, le=240, strict=True)]


class PlaySetting(_Part):
    """What holds, and what is asked for that is less strict: it holds when it is asked for again from a moment on."""

    value: int
    pending: int | None = None
    pending_from: Moment | None = None


class PlaySession(_Part):
    """A run of bets with short gaps. `active` while the next bet would belong to it. Minutes are whole ones, played.

    `remaining_minutes` is the least that the limits leave, null where there are none.
    """

    started_at: Moment
    last_bet_at: Moment
    active: bool
    minutes: NonNegativeInt
    day_minutes: NonNegativeInt
    remaining_minutes: NonNegativeInt | None


class RealityCheck(_Part):
    """How often a player is told how long it has played. `next_at` is null where it does not play.

    `due`: the session has passed an interval since the player last acknowledged a check.
    """

    interval_minutes: int
    chosen_by: str = Field(description="player or jurisdiction")
    next_at: Moment | None
    due: bool


class Protection(_Part):
    """How a player is protected beside its limits of money. `exclusion` is the one in force."""

    user_id: int
    jurisdiction: str
    excluded: bool
    exclusion: Exclusion | None
    requested: list[Exclusion]
    settings: dict[PlaySettingName, PlaySetting]
    session: PlaySession | None
    reality_check: RealityCheck
