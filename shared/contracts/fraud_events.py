"""`fraud.events.v1`: what the fraud service says. Points are in thousandths; texts come from the rules."""

from collections.abc import Mapping
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue

from shared.contracts.fields import Moment, UserId


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    user_id: UserId

    def body(self) -> dict[str, JsonValue]:
        """As the outbox takes it."""
        found: dict[str, JsonValue] = self.model_dump(mode="json")
        return found


class AlertReason(BaseModel):
    """Why a player is flagged: a rule's text with its numbers, and what it added."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    rule: str
    version: int
    text: str
    points_milli: int


class AlertRaised(_Event):
    """A player's score is above the alert's: there is a flag for people to look at."""

    flag_id: UUID
    score: int
    level: str
    at: Moment
    reasons: list[AlertReason]


class ScoreChanged(_Event):
    """A player's level is another."""

    score: int
    level: str
    at: Moment


class BlockChanged(_Event):
    """A flag's block in the wallet began, ended or was refused. `reason` is for staff alone."""

    flag_id: UUID
    state: str
    reason: str


class RuleDisabled(_Event):
    """A rule failed and is out of force. `user_id`: of whom it was asked."""

    version: int
    rule: str
    error: str


ALERT_RAISED = "fraud.alert.raised.v1"
SCORE_CHANGED = "fraud.score.changed.v1"
BLOCK_STARTED = "fraud.block.started.v1"
BLOCK_LIFTED = "fraud.block.lifted.v1"
BLOCK_REFUSED = "fraud.block.refused.v1"
RULE_DISABLED = "fraud.rule.disabled.v1"

# By CloudEvents type.
FRAUD_EVENT_TYPES: Mapping[str, type[BaseModel]] = {
    ALERT_RAISED: AlertRaised,
    SCORE_CHANGED: ScoreChanged,
    **dict.fromkeys((BLOCK_STARTED, BLOCK_LIFTED, BLOCK_REFUSED), BlockChanged),
    RULE_DISABLED: RuleDisabled,
}
