"""Fraud outside: what staff asks for, and lists in pages."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, computed_field

from gateway.domain.views import cursor_of
from shared.contracts.fields import Moment, Text
from shared.contracts.fraud import (
    MAX_TRIED,
    BacktestResult,
    FlagView,
    JobView,
    ListedFlag,
    Note,
    ResolvedStatus,
    RuleSnoozeView,
    ScoreLine,
)
from shared.money import to_decimal


class _Body(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class ResolutionRequest(_Body):
    """What became of a flag, and why: `confirmed` or `dismissed`; or where it goes back to, `open` or `in_review`."""

    status: ResolvedStatus
    note: Note


class SnoozeRequest(_Body):
    """Leave a flag alone until a moment, and why; it wakes by itself."""

    until: Moment
    note: Note


class AssignmentRequest(_Body):
    """Whose a flag is; nobody's where `assignee` is null."""

    assignee: Text | None


class NoteRequest(_Body):
    """Something to write to a flag."""

    note: Note


class RuleRequest(_Body):
    """A draft: the rule as `GET /fraud/rules` shows one in `body`, and why it is wanted."""

    rule: dict[str, JsonValue]
    reason: Note


class RuleSnoozeRequest(_Body):
    """Let a rule add nothing to a player's score until a moment, and why; it wakes by itself."""

    rule_id: Text
    until: Moment
    note: Note


class BacktestRequest(_Body):
    """Rules to try on a period, from a moment up to another, beside the active ones.

    `versions` are of rules that there are, `rules` as `GET /fraud/rules` shows one in `body`. Each takes the place of
    the active one of its id.
    """

    rules: list[dict[str, JsonValue]] = Field(default=[], max_length=MAX_TRIED)
    versions: list[int] = Field(default=[], max_length=MAX_TRIED)
    since: Moment = Field(alias="from")
    until: Moment = Field(alias="to")


class RuleSnoozes(BaseModel):
    """A player's snoozed rules, the newest first; of a long list, its newest part."""

    snoozes: list[RuleSnoozeView]


class BacktestOutcome(BacktestResult):
    """As the fraud service has it, with what is at stake as decimal strings per currency."""

    at_stake_minor: dict[str, int] = Field(exclude=True)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def at_stake(self) -> dict[str, str]:
        """What those newly flagged moved in the period."""
        return {currency: to_decimal(minor, currency) for currency, minor in self.at_stake_minor.items()}


class BacktestView(JobView):
    """A backtest: how far it has come, and in the end its result."""

    result: BacktestOutcome | None


class ScoreHistory(BaseModel):
    """How a player's score changed, the newest first. `next_cursor` is null on the last page."""

    model_config = ConfigDict(extra="forbid")

    scores: list[ScoreLine]
    next_cursor: str | None


class FlagPage(BaseModel):
    """Flags, the highest score first, then the oldest. `next_cursor` is null on the last page."""

    model_config = ConfigDict(extra="forbid")

    flags: list[FlagView]
    next_cursor: str | None


def history(found: Sequence[ScoreLine], limit: int) -> dict[str, Any]:
    """A page of at most `limit` scores, of one more where there is a next page."""
    next_cursor = cursor_of(found[limit - 1].number) if len(found) > limit else None
    return ScoreHistory(scores=list(found[:limit]), next_cursor=next_cursor).model_dump(mode="json")


def backtest(found: JobView) -> BacktestView:
    """A job as a BacktestView."""
    return BacktestView.model_validate(found.model_dump())


def progress(found: JobView) -> dict[str, Any]:
    """How far a job has come: what an event of its stream has."""
    return found.model_dump(mode="json", exclude={"result", "requested_by"})


def flags(found: Sequence[ListedFlag], limit: int) -> dict[str, Any]:
    """A page of at most `limit` flags, of one more where there is a next page."""
    next_cursor = found[limit - 1].cursor if len(found) > limit else None
    listed = [flag.model_dump(mode="json", exclude={"cursor"}) for flag in found[:limit]]
    return {"flags": listed, "next_cursor": next_cursor}
