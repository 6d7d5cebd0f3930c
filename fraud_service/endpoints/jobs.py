"""Jobs: players scored again, and backtests."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import ValidationError
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fraud_service.domain import rules as domain
from fraud_service.domain.rules import RuleBody
from fraud_service.repository import jobs, rules
from fraud_service.repository.jobs import JobKind
from fraud_service.settings import Settings
from shared import database
from shared.clock import to_text
from shared.contracts.commands import field_errors
from shared.contracts.fields import UserId
from shared.contracts.fraud import JobView, NewBacktest, NewReprocessing, RuleState
from shared.errors import FieldError, InvalidInput, NotFound
from shared.service import internal_only


def router(settings: Settings, engine: AsyncEngine) -> APIRouter:
    """The endpoints of jobs."""
    endpoints = APIRouter(dependencies=[Depends(internal_only(settings))])

    async def reprocess(user_id: int | None, by: str) -> JobView:
        async with database.transaction(engine) as connection:
            total = await jobs.count_players(connection, user_id)
            if user_id is not None and not total:
                raise NotFound(f"nothing is known of player {user_id}")
            return _view(await jobs.put(connection, JobKind.REPROCESSING, by, {"user_id": user_id}, total))

    @endpoints.post("/users/{user_id}/fraud-reprocessing", summary="Score a player again", status_code=202)
    async def post_player(user_id: UserId, asked: NewReprocessing) -> JobView:
        return await reprocess(user_id, asked.by)

    @endpoints.post("/fraud/reprocessing", summary="Score every player again", status_code=202)
    async def post_all(asked: NewReprocessing) -> JobView:
        return await reprocess(None, asked.by)

    @endpoints.get("/fraud/reprocessing/{job_id}", summary="How far scoring again has come")
    async def get_reprocessing(job_id: UUID) -> JobView:
        async with database.reading(engine) as connection:
            return _view(await jobs.get(connection, job_id, JobKind.REPROCESSING))

    @endpoints.post("/fraud/backtests", summary="Try rules on a period, beside the active ones", status_code=202)
    async def post_backtest(asked: NewBacktest) -> JobView:
        if asked.since >= asked.until:
            raise InvalidInput([FieldError("to", "must be after `from`")])
        async with database.transaction(engine) as connection:
            active, draft = await _sets(connection, asked)
            request = {"from": to_text(asked.since), "to": to_text(asked.until), "active": active, "draft": draft}
            return _view(await jobs.put(connection, JobKind.BACKTEST, asked.by, request))

    @endpoints.get("/fraud/backtests/{job_id}", summary="A backtest: its progress, and in the end its result")
    async def get_backtest(job_id: UUID) -> JobView:
        async with database.reading(engine) as connection:
            return _view(await jobs.get(connection, job_id, JobKind.BACKTEST))

    return endpoints


async def _sets(connection: AsyncConnection, asked: NewBacktest) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The active rules, and those with the draft's in their places. They are kept: later changes do not matter."""
    active = {
        known.rule_id: (known.version, known.body)
        for known in await rules.in_force(connection)
        if known.state is RuleState.ACTIVE
    }
    draft = dict(active)
    for version in asked.versions:
        found = await rules.get(connection, version)
        draft[found.rule_id] = (found.version, found.body)
    for rule in asked.rules:
        try:
            body = RuleBody.model_validate(rule)
        except ValidationError as error:
            raise InvalidInput(field_errors(error)) from None
        domain.draft(body)
        draft[body.id] = (0, body)
    kept = [
        [{"version": version, "body": body.model_dump(mode="json")} for _, (version, body) in sorted(chosen.items())]
        for chosen in (active, draft)
    ]
    return kept[0], kept[1]


def _view(job: Row[Any]) -> JobView:
    return JobView.model_validate(dict(job._mapping))
