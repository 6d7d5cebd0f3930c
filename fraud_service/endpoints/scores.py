"""A player's score with its reasons, now and before."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from fraud_service.domain.observations import milliseconds
from fraud_service.domain.scoring import Reason, RuleSet, score
from fraud_service.domain.snoozes import asleep
from fraud_service.repository.players import Players, moment, reasons_json
from fraud_service.settings import Settings
from shared.clock import Clock
from shared.contracts.fields import UserId
from shared.contracts.fraud import ReasonView, ScoreLine, ScoreView
from shared.errors import NotFound
from shared.service import internal_only

MAX_LINES = 500

RulesInForce = Callable[[], RuleSet]


def router(settings: Settings, players: Players, rules: RulesInForce, clock: Clock) -> APIRouter:
    """The endpoints of scores."""
    endpoints = APIRouter(dependencies=[Depends(internal_only(settings))])
    parameters, levels = settings.parameters(), settings.levels()

    @endpoints.get("/users/{user_id}/fraud-score", summary="A player's score now, with its reasons")
    async def get_score(user_id: UserId) -> ScoreView:
        features, slept = await players.features(user_id)
        if features is None:
            raise NotFound(f"nothing is known of player {user_id}")
        rule_set = rules()
        # A clock that is behind the wallet's does not make what happened vanish.
        now = max(milliseconds(clock()), features.latest)
        found = score(features, rule_set, parameters, levels, now, asleep(slept, now))
        return ScoreView(
            user_id=user_id,
            score=found.score,
            level=found.level.value,
            at=moment(found.at),
            rules_revision=rule_set.revision,
            latest_event_at=moment(features.latest),
            reasons=_of(found.reasons),
            shadow=_of(found.shadow),
            snoozed=_of(found.snoozed),
        )

    @endpoints.get("/users/{user_id}/fraud-score/history", summary="How a player's score changed, the newest first")
    async def get_history(
        user_id: UserId,
        before: Annotated[int | None, Query(ge=1)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LINES)] = 50,
    ) -> Sequence[ScoreLine]:
        return [
            ScoreLine(
                number=row.number,
                at=row.at,
                score=row.score,
                level=row.level,
                rules_revision=row.revision,
                reasons=reason_views(row.reasons),
            )
            for row in await players.history(user_id, before, limit)
        ]

    return endpoints


def reason_views(reasons: Iterable[Mapping[str, Any]]) -> list[ReasonView]:
    """Reasons as they are kept, as they are answered."""
    return [ReasonView(**{**reason, "seen_at": moment(reason["seen_at"])}) for reason in reasons]


def _of(reasons: Iterable[Reason]) -> list[ReasonView]:
    return reason_views(reasons_json(reasons))
