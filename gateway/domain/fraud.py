"""Fraud outside: what staff asks for, and lists in pages."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from gateway.domain.views import cursor_of
from shared.contracts.fields import Moment, Text
from shared.contracts.fraud import FlagView, ListedFlag, Note, ResolvedStatus, ScoreLine


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


def flags(found: Sequence[ListedFlag], limit: int) -> dict[str, Any]:
    """A page of at most `limit` flags, of one more where there is a next page."""
    next_cursor = found[limit - 1].cursor if len(found) > limit else None
    listed = [flag.model_dump(mode="json", exclude={"cursor"}) for flag in found[:limit]]
    return {"flags": listed, "next_cursor": next_cursor}
