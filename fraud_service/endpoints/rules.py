"""Rules: what there is, drafts, and what is in force."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.domain import rules as domain
from fraud_service.domain.readings import NAMES
from fraud_service.domain.rules import RuleBody
from fraud_service.repository import rules
from fraud_service.repository.rules import RuleReads, RuleVersion
from fraud_service.settings import Settings
from shared import database
from shared.clock import Clock
from shared.contracts.commands import field_errors
from shared.contracts.fraud import NewRule, RuleMove, RuleState, RulesView, RuleView
from shared.errors import InvalidInput
from shared.service import internal_only

COUNTED_DAYS = 7


def router(settings: Settings, engine: AsyncEngine, clock: Clock) -> APIRouter:
    """The endpoints of rules."""
    endpoints = APIRouter(dependencies=[Depends(internal_only(settings))])
    reads = RuleReads(engine)
    parameters = settings.parameters().named()

    @endpoints.get("/fraud/rules", summary="Rules, and what their conditions can name")
    async def get_rules(
        state: Annotated[list[RuleState] | None, Query(description="Several may be given. Else all.")] = None,
        rule_id: Annotated[str | None, Query(max_length=63)] = None,
    ) -> RulesView:
        versions = await reads.versions(state or list(RuleState), rule_id)
        counted = await reads.fired_since(clock().date() - timedelta(days=COUNTED_DAYS - 1))
        async with database.reading(engine) as connection:
            revision = await rules.revision(connection)
        views = [_view(version, counted) for version in versions]
        return RulesView(revision=revision, rules=views, features=dict(NAMES), parameters=parameters)

    @endpoints.post("/fraud/rules", summary="Draft a rule: checked, and not in force", status_code=201)
    async def post_rule(asked: NewRule) -> RuleView:
        try:
            body = RuleBody.model_validate(asked.rule)
        except ValidationError as error:
            raise InvalidInput(field_errors(error)) from None
        domain.draft(body)
        async with database.transaction(engine) as connection:
            return _view(await rules.put_draft(connection, body, asked.author, asked.reason), {})

    @endpoints.post("/fraud/rules/{version}/activation", summary="Let a version act; it retires the one that did")
    async def post_activation(version: int, asked: RuleMove) -> RuleView:
        return await move(version, RuleState.ACTIVE, asked)

    @endpoints.post("/fraud/rules/{version}/shadow", summary="Let a version run live, and never act")
    async def post_shadow(version: int, asked: RuleMove) -> RuleView:
        return await move(version, RuleState.SHADOW, asked)

    @endpoints.post("/fraud/rules/{version}/retirement", summary="Take a version out of force for good")
    async def post_retirement(version: int, asked: RuleMove) -> RuleView:
        return await move(version, RuleState.RETIRED, asked)

    async def move(version: int, to: RuleState, asked: RuleMove) -> RuleView:
        async with database.transaction(engine) as connection:
            return _view(await rules.move(connection, version, to, asked.by), {})

    return endpoints


def _view(version: RuleVersion, counted: Mapping[int, tuple[int, int]]) -> RuleView:
    asked, fired = counted.get(version.version, (0, 0))
    told = {**version._asdict(), "state": version.state.value, "body": version.body.model_dump(mode="json")}
    return RuleView(**told, asked=asked, fired=fired)
