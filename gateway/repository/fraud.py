"""Scores, flags and rules, which the fraud service owns: its answers pass as they are, refusals included."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import NamedTuple, TypeVar
from uuid import UUID

import httpx2
from pydantic import BaseModel, JsonValue, TypeAdapter

from gateway.repository import decoded, get
from gateway.repository.passing import Passed, passed, read
from shared.contracts.fraud import (
    FlagStatus,
    FlagView,
    JobView,
    ListedFlag,
    MonitoringView,
    RuleSnoozeView,
    RuleState,
    RulesView,
    ScoreLine,
    ScoreView,
)
from shared.errors import FieldError, InvalidInput

M = TypeVar("M", bound=BaseModel)

_SCORE = TypeAdapter(ScoreView)
_HISTORY = TypeAdapter(list[ScoreLine])
_FLAG = TypeAdapter(FlagView)
_FLAGS = TypeAdapter(list[ListedFlag])
_RULES = TypeAdapter(RulesView)
_SNOOZES = TypeAdapter(list[RuleSnoozeView])
_JOB = TypeAdapter(JobView)
_MONITORING = TypeAdapter(MonitoringView)


class SoughtFlags(NamedTuple):
    """Which flags are asked for. Without a status: those that are not resolved."""

    status: Sequence[FlagStatus] | None
    min_score: int
    user_id: int | None


class Fraud:
    """What the fraud service knows. All raise ServiceUnavailable where there is no answer."""

    def __init__(self, fraud: httpx2.AsyncClient) -> None:
        self._fraud = fraud

    async def score(self, user_id: int) -> ScoreView:
        """A player's score now. Raises NotFound for a player of whom nothing is known."""
        return decoded(_SCORE, await get(self._fraud, f"/users/{user_id}/fraud-score"))

    async def history(self, user_id: int, *, limit: int, before: int | None) -> Sequence[ScoreLine]:
        """At most `limit` of a player's scores below a number, the newest first."""
        query = {"limit": limit} if before is None else {"limit": limit, "before": before}
        return decoded(_HISTORY, await get(self._fraud, f"/users/{user_id}/fraud-score/history", query))

    async def flags(self, sought: SoughtFlags, *, limit: int, after: str | None) -> Sequence[ListedFlag]:
        """At most `limit` flags behind a cursor, by score and age. Raises InvalidInput for what is no cursor."""
        asked = {**sought._asdict(), "limit": limit, "after": after}
        query = {name: value for name, value in asked.items() if value is not None}
        answer = await passed(self._fraud, self._fraud.build_request("GET", "/fraud/flags", params=query))
        if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY and after is not None:
            raise InvalidInput([FieldError("cursor", "must be the next_cursor of a page before")])
        return decoded(_FLAGS, answer.body)

    async def flag(self, flag_id: UUID) -> FlagView:
        """A flag. Raises NotFound."""
        return decoded(_FLAG, await get(self._fraud, f"/fraud/flags/{flag_id}"))

    async def snoozes(self, user_id: int) -> Sequence[RuleSnoozeView]:
        """A player's snoozed rules, the newest first."""
        return decoded(_SNOOZES, await get(self._fraud, f"/users/{user_id}/fraud-snoozes"))

    async def job(self, kind: str, job_id: UUID) -> JobView:
        """A job of `backtests` or `reprocessing`. Raises NotFound."""
        return decoded(_JOB, await get(self._fraud, f"/fraud/{kind}/{job_id}"))

    async def monitoring(self, days: int, noisy_above_permille: int) -> MonitoringView:
        """How well fraud detection does, over so many days."""
        query = {"days": days, "noisy_above_permille": noisy_above_permille}
        return decoded(_MONITORING, await get(self._fraud, "/fraud/monitoring", query))

    async def rules(self, states: Sequence[RuleState] | None, rule_id: str | None) -> RulesView:
        """Versions of rules by rule, the newest first, and what their conditions can name."""
        asked = {"state": states, "rule_id": rule_id}
        query = {name: value for name, value in asked.items() if value is not None}
        return decoded(_RULES, await get(self._fraud, "/fraud/rules", query))

    async def ask(self, model: type[M], path: str, body: Mapping[str, JsonValue]) -> M | Passed:
        """Change something in somebody's name; the problem document where it is refused."""
        answer = await passed(self._fraud, self._fraud.build_request("POST", path, json=dict(body)))
        return read(model, answer) if answer.status < HTTPStatus.BAD_REQUEST else answer
