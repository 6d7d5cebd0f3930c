"""Exclusions at the door: a player excludes itself or takes a break; staff excludes and suspends; both read."""

from http import HTTPStatus
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, JsonValue

from gateway.domain import exclusions as views
from gateway.domain.callers import Caller, Scope
from gateway.domain.requests import read_body
from gateway.domain.views import position_of
from gateway.endpoints import API, described, headers
from gateway.endpoints.answers import PENDING_RETRY_AFTER_S, Json
from gateway.endpoints.door import Door
from gateway.endpoints.players import MAX_PAGE_ROWS, PAGE_ROWS, UserId, next_page
from gateway.endpoints.rates import Rates
from gateway.repository.exclusions import Exclusions
from gateway.repository.passing import Passed, body_of
from shared import problems
from shared.contracts.exclusions import (
    Exclusion,
    ExclusionPage,
    ExclusionRequest,
    ExclusionState,
    Suspension,
    SuspensionRequest,
    TimeOutRequest,
)
from shared.service import request_id_of

M = TypeVar("M", bound=BaseModel)

_BEGUN: described.Answers = {201: {"model": Exclusion}, 202: {"model": Exclusion}}
_SUSPENDED: described.Answers = {201: {"model": Suspension}, 202: {"model": Suspension}}


class Guarding:
    """Passes what is asked for on in its caller's name."""

    def __init__(self, rates: Rates, exclusions: Exclusions) -> None:
        self._rates = rates
        self._exclusions = exclusions

    async def begin(self, request: Request, caller: Caller, user_id: int, path: str, **wanted: BaseModel) -> Response:
        """Ask for an exclusion; the client's key, where there is one, makes a retry the same exclusion."""
        found = await self.ask(request, caller, user_id, path, Exclusion, **self._numbered(request, caller, wanted))
        return found if isinstance(found, Response) else _begun(found, views.view(found, caller))

    async def suspend(self, request: Request, caller: Caller, user_id: int, wanted: SuspensionRequest) -> Response:
        """Ask for a suspension; retried as an exclusion is."""
        body = self._numbered(request, caller, {"suspension": wanted})
        found = await self.ask(request, caller, user_id, "suspension", Suspension, **body)
        return found if isinstance(found, Response) else _begun(found.exclusion, views.suspension(found, caller))

    async def change(self, request: Request, caller: Caller, user_id: int, path: str) -> Response:
        """Ask for an exclusion's end, or give it up."""
        found = await self.ask(request, caller, user_id, path, Exclusion)
        return found if isinstance(found, Response) else Json(views.view(found, caller))

    async def ask(
        self, request: Request, caller: Caller, user_id: int, path: str, model: type[M], **body: JsonValue
    ) -> M | Response:
        """Ask for something in the caller's name: what came of it, or the refusal as it is to go out."""
        await self._rates.player(request, user_id)
        by: dict[str, JsonValue] = {"actor": caller.subject, "by_staff": Scope.EXCLUDE in caller.scopes}
        body |= {**by, "request_id": request_id_of(request)}
        found = await self._exclusions.ask(model, user_id, path, body)
        if isinstance(found, Passed):
            return Response(found.body, found.status, media_type=found.media_type)
        return found

    def _numbered(self, request: Request, caller: Caller, wanted: dict[str, BaseModel]) -> dict[str, JsonValue]:
        key = headers.optional_idempotency_key(request)
        return {"id": str(caller.command_id(key)), **{name: body_of(model) for name, model in wanted.items()}}


def _begun(found: Exclusion, body: dict[str, JsonValue]) -> Response:
    place = {"Location": f"{API}{views.path_of(found.user_id, found.id)}"}
    if found.state is ExclusionState.REFUSED:
        refused = problems.document(
            HTTPStatus.UNPROCESSABLE_ENTITY, str(found.refusal), views.explain(found), exclusion=body
        )
        return Json(refused, HTTPStatus.UNPROCESSABLE_ENTITY, media_type="application/problem+json")
    if found.state is ExclusionState.REQUESTED:
        return Json(body, HTTPStatus.ACCEPTED, headers={**place, "Retry-After": str(PENDING_RETRY_AFTER_S)})
    return Json(body, HTTPStatus.CREATED, headers=place)


def router(door: Door, guarding: Guarding) -> APIRouter:
    """What begins exclusions."""
    api = APIRouter(prefix=f"{API}/users/{{user_id}}", tags=["compliance"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.post(
        "/exclusions",
        status_code=201,
        summary="Exclude a player: no bet and no deposit from when this answers 201",
        responses={**_BEGUN, **described.problem_answers(413)},
        openapi_extra={
            "parameters": [described.OPTIONAL_IDEMPOTENCY_KEY],
            **described.body_of(ExclusionRequest),
        },
    )
    async def post_exclusion(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require_about(Scope.EXCLUDE, user_id)
        wanted = read_body(ExclusionRequest, await headers.json_body(request))
        return await guarding.begin(request, caller, user_id, "exclusions", exclusion=wanted)

    @api.post(
        "/time-outs",
        status_code=201,
        summary="A break: an exclusion of hours, which ends by itself and not before",
        responses={**_BEGUN, **described.problem_answers(413)},
        openapi_extra={
            "parameters": [described.OPTIONAL_IDEMPOTENCY_KEY],
            **described.body_of(TimeOutRequest),
        },
    )
    async def post_time_out(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require_about(Scope.EXCLUDE, user_id)
        wanted = read_body(TimeOutRequest, await headers.json_body(request))
        return await guarding.begin(request, caller, user_id, "time-outs", time_out=wanted)

    @api.post(
        "/suspension",
        status_code=201,
        summary="Exclude a player for ever, with the incident that it is for",
        responses={**_SUSPENDED, **described.problem_answers(413)},
        openapi_extra={
            "parameters": [described.OPTIONAL_IDEMPOTENCY_KEY],
            **described.body_of(SuspensionRequest),
        },
    )
    async def post_suspension(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require(Scope.SUSPEND)
        wanted = read_body(SuspensionRequest, await headers.json_body(request))
        return await guarding.suspend(request, caller, user_id, wanted)

    return api


def ends(door: Door, guarding: Guarding) -> APIRouter:
    """What ends exclusions early."""
    api = APIRouter(prefix=f"{API}/users/{{user_id}}/exclusions/{{exclusion_id}}/ending", tags=["compliance"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]
    answers: described.Answers = {200: {"model": Exclusion}, **described.problem_answers(404)}

    @api.post(
        "",
        summary="Ask for an exclusion's end, which takes effect after the jurisdiction's wait",
        responses=answers,
    )
    async def post_ending(request: Request, user_id: UserId, exclusion_id: UUID, caller: caller_of_request) -> Response:
        caller.require_about(Scope.EXCLUDE, user_id)
        return await guarding.change(request, caller, user_id, f"exclusions/{exclusion_id}/ending")

    @api.delete("", summary="Give up the end that waits", responses=answers)
    async def delete_ending(
        request: Request, user_id: UserId, exclusion_id: UUID, caller: caller_of_request
    ) -> Response:
        caller.require_about(Scope.EXCLUDE, user_id)
        return await guarding.change(request, caller, user_id, f"exclusions/{exclusion_id}/ending/withdrawal")

    return api


def reads(door: Door, rates: Rates, exclusions: Exclusions) -> APIRouter:
    """What reads exclusions."""
    api = APIRouter(prefix=f"{API}/users/{{user_id}}/exclusions", tags=["compliance"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.get(
        "",
        summary="A player's exclusions and time-outs, the newest first",
        responses={200: {"model": ExclusionPage}, **described.problem_answers()},
    )
    async def get_exclusions(
        request: Request,
        user_id: UserId,
        caller: caller_of_request,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = PAGE_ROWS,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
    ) -> Response:
        caller.require_about(Scope.READ_EXCLUSIONS, user_id)
        await rates.player(request, user_id)
        before = None if cursor is None else position_of(cursor)
        body = views.page(await exclusions.history(user_id, limit=limit + 1, before=before), limit, caller)
        return Json(body, headers=next_page(request, limit, body["next_cursor"]))

    @api.get(
        "/{exclusion_id}",
        summary="One exclusion, or time-out",
        responses={200: {"model": Exclusion}, **described.problem_answers(404)},
    )
    async def get_exclusion(
        request: Request, user_id: UserId, exclusion_id: UUID, caller: caller_of_request
    ) -> Response:
        caller.require_about(Scope.READ_EXCLUSIONS, user_id)
        await rates.player(request, user_id)
        return Json(views.view(await exclusions.one(user_id, exclusion_id), caller))

    return api
