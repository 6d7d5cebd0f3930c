"""`game.rounds.v1`: how a round of a game ended for one player, as its game server tells it."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from shared.contracts.fields import Currency, Moment, Text, UserId


class Outcome(StrEnum):
    """How a round ended for the player."""

    WIN = "win"
    LOSS = "loss"
    PUSH = "push"
    VOID = "void"


class GameRound(BaseModel):
    """One player's part in one round. `round_id` and `user_id` together name it: told again, it counts once."""

    model_config = ConfigDict(frozen=True, extra="ignore", title="GameRound")

    round_id: Text
    user_id: UserId
    game_id: Text
    outcome: Outcome | str = Field(
        union_mode="left_to_right", description="Outcomes may be added: pass by those that are not known."
    )
    stake_minor: NonNegativeInt = 0
    payout_minor: NonNegativeInt = 0
    currency: Currency
    win_probability_ppm: int | None = Field(
        default=None, ge=1, le=999_999, description="The game's own chance of a win, in millionths."
    )
    opponent_user_id: UserId | None = Field(default=None, description="Where one other player had the other side.")
    country: str | None = Field(default=None, pattern="^[A-Z]{2}$", description="From where: ISO 3166-1, two letters.")
    occurred_at: Moment
