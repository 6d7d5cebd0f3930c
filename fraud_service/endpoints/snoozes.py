"""Snoozes: for one player a rule adds nothing until a moment, and then wakes by itself."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.repository import snoozes
from fraud_service.settings import Settings
from shared import database
from shared.clock import Clock
from shared.contracts.fields import UserId
from shared.contracts.fraud import NewRuleSnooze, RuleSnoozeEnd, RuleSnoozeView
from shared.errors import FieldError, InvalidInput
from shared.service import internal_only

LONGEST = timedelta(days=366)


def router(settings: Settings, engine: AsyncEngine, clock: Clock) -> APIRouter:
    """The endpoints of snoozes."""
    endpoints = APIRouter(dependencies=[Depends(internal_only(settings))])

    @endpoints.get("/users/{user_id}/fraud-snoozes", summary="A player's snoozed rules, the newest first")
    async def get_snoozes(user_id: UserId) -> Sequence[RuleSnoozeView]:
        async with database.reading(engine) as connection:
            return [_view(row) for row in await snoozes.listed(connection, user_id)]

    @endpoints.post("/users/{user_id}/fraud-snoozes", summary="Let a rule add nothing until a moment", status_code=201)
    async def post_snooze(user_id: UserId, asked: NewRuleSnooze) -> RuleSnoozeView:
        if not timedelta() < asked.until - clock() <= LONGEST:
            raise InvalidInput([FieldError("until", f"must be in the next {LONGEST.days} days")])
        async with database.transaction(engine) as connection:
            return _view(await snoozes.put(connection, user_id, asked))

    @endpoints.post("/users/{user_id}/fraud-snoozes/{snooze_id}/ending", summary="Wake a rule now")
    async def post_ending(user_id: UserId, snooze_id: UUID, asked: RuleSnoozeEnd) -> RuleSnoozeView:
        async with database.transaction(engine) as connection:
            return _view(await snoozes.end(connection, user_id, snooze_id, asked.by))

    return endpoints


def _view(row: Row[Any]) -> RuleSnoozeView:
    return RuleSnoozeView.model_validate(dict(row._mapping))
