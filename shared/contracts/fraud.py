"""Scores, flags and rules, as the fraud service answers them. Times are RFC 3339; points are in thousandths."""

from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared.contracts.fields import Moment, Text

# Rules, and versions of rules, that one backtest tries.
MAX_TRIED = 50
Note = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=r"^[^\p{Cc}]+$")]


class FlagStatus(StrEnum):
    """Where a flag stands."""

    OPEN = "open"
    IN_REVIEW = "in_review"
    SNOOZED = "snoozed"
    CONFIRMED = "confirmed"
    DISMISSED = "dismissed"


class RuleState(StrEnum):
    """Where a version of a rule stands."""

    DRAFT = "draft"
    SHADOW = "shadow"
    ACTIVE = "active"
    RETIRED = "retired"
    DISABLED = "disabled"


# What people may say of a flag; it is snoozed with the moment until which.
ResolvedStatus = Literal[FlagStatus.CONFIRMED, FlagStatus.DISMISSED, FlagStatus.OPEN, FlagStatus.IN_REVIEW]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ReasonView(_Part):
    """Why a score is what it is: which rule, what it saw, against what, what it added, the events behind it."""

    rule: str
    version: int
    severity: str
    feature: str
    seen: int
    against: int
    points_milli: int
    seen_at: Moment
    text: str
    evidence: list[str]


class ScoreView(_Part):
    """A player's score at a moment. What shadow rules say, and rules that are snoozed for it, adds nothing to it."""

    user_id: int
    score: int
    level: str
    at: Moment
    rules_revision: int
    latest_event_at: Moment | None
    reasons: list[ReasonView]
    shadow: list[ReasonView] = []
    snoozed: list[ReasonView] = []


class ScoreLine(_Part):
    """A line of a player's history of scores. `number` is the cursor."""

    number: int
    at: Moment
    score: int
    level: str
    rules_revision: int
    reasons: list[ReasonView]


class NoteView(_Part):
    """What somebody wrote to a flag."""

    at: Moment
    by: str
    note: str


class FlagView(_Part):
    """A player above the alert's score, for people to look at."""

    id: UUID
    user_id: int
    score: int
    level: str
    status: FlagStatus
    assignee: str | None
    created_at: Moment
    changed_at: Moment
    snoozed_until: Moment | None
    resolved_at: Moment | None
    resolved_by: str | None
    resolution: str | None
    reasons: list[ReasonView]
    notes: list[NoteView]


class ListedFlag(FlagView):
    """A flag in a list; `cursor` continues the list behind it."""

    cursor: str


class Resolution(_Part):
    """What became of a flag: `confirmed` or `dismissed`, or `open` to take it back from review."""

    status: ResolvedStatus
    by: Text
    note: Note


class Snooze(_Part):
    """Leave a flag alone until a moment; it wakes by itself."""

    until: Moment
    by: Text
    note: Note


class Assignment(_Part):
    """Whose a flag is; nobody's, without an assignee."""

    assignee: Text | None
    by: Text


class NewNote(_Part):
    """Something to write to a flag."""

    by: Text
    note: Note


class RuleView(_Part):
    """A version of a rule. `asked` and `fired` count players over the last 7 days."""

    version: int
    rule_id: str
    state: RuleState
    body: dict[str, Any]
    author: str
    reason: str
    created_at: Moment
    changed_at: Moment
    changed_by: str
    error: str | None
    asked: int = 0
    fired: int = 0


class RulesView(_Part):
    """Rules, and what conditions can name."""

    revision: int
    rules: list[RuleView]
    features: dict[str, str]
    parameters: dict[str, int]


class NewRule(_Part):
    """A draft: the rule, who wrote it and why."""

    rule: dict[str, Any]
    author: Text
    reason: Note


class RuleMove(_Part):
    """Who moves a version of a rule."""

    by: Text


class NewRuleSnooze(_Part):
    """Let a rule add nothing to a player's score until a moment, and why."""

    rule_id: Text
    until: Moment
    by: Text
    note: Note


class RuleSnoozeEnd(_Part):
    """Who wakes a rule."""

    by: Text


class RuleSnoozeView(_Part):
    """A rule that adds nothing to a player's score from a moment up to another: who said so, and why.

    `ended_by` is who woke it before its time.
    """

    id: UUID
    user_id: int
    rule_id: str
    since: Moment
    until: Moment
    made_by: str
    note: str
    ended_by: str | None


class PlayingFlag(_Part):
    """An unresolved flag whose player has bet since it was raised."""

    id: UUID
    user_id: int
    score: int
    status: FlagStatus
    created_at: Moment
    last_bet_minute: Moment


class RuleFirings(_Part):
    """A version in force: how often it was asked of a player, and how often it held."""

    rule: str
    version: int
    state: RuleState
    since: Moment
    asked: int
    fired: int
    fired_permille: int


class DetectionLag(_Part):
    """Seconds from the wallet's decision to the score that counts it; upper bounds, and null before the first.

    Of the instance that answers, since it started.
    """

    events: int
    p50_s: float | None
    p99_s: float | None


class RulePrecision(_Part):
    """Of the resolved flags that a rule was a reason of: how many were confirmed."""

    rule: str
    confirmed: int
    dismissed: int
    precision_permille: int


class MonitoringView(_Part):
    """How well fraud detection does, over so many days.

    `playing` is of the thousand unresolved flags with the highest scores. A rule is silent that never held, and noisy
    that holds too often; one that was hardly asked is neither.
    """

    days: int
    unresolved: int
    playing: list[PlayingFlag]
    silent_rules: list[RuleFirings]
    noisy_rules: list[RuleFirings]
    detection: DetectionLag
    precision: list[RulePrecision]


class NewReprocessing(_Part):
    """Who has players scored again."""

    by: Text


class NewBacktest(_Part):
    """Rules and versions of rules to try on what the period held, beside the active ones.

    A rule takes the place of the active one of its id. The period goes from a moment up to, not including, another.
    """

    rules: list[dict[str, Any]] = Field(default=[], max_length=MAX_TRIED)
    versions: list[int] = Field(default=[], max_length=MAX_TRIED)
    since: Moment = Field(alias="from")
    until: Moment = Field(alias="to")
    by: Text


class BacktestSide(_Part):
    """What one set of rules flagged in the period. Shares are in millionths, null where nothing was resolved."""

    flagged: list[int]
    precision_ppm: int | None
    recall_ppm: int | None


class BacktestResult(_Part):
    """The active rules and the draft side by side. `at_stake_minor`: what those newly flagged moved, per currency."""

    players: int
    active: BacktestSide
    draft: BacktestSide
    newly: list[int]
    no_longer: list[int]
    overlap: list[int]
    at_stake_minor: dict[str, int]
    failed_rules: list[str]


class JobView(_Part):
    """A job's progress: players scored again, or events replayed. `result` is a backtest's, once it has finished."""

    id: UUID
    kind: str
    requested_by: str
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    done: int
    total: int
    error: str | None
    result: BacktestResult | None
