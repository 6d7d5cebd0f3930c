"""What a player sets of its play: limits of time, and reality checks."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import JsonValue

from gateway.domain import standing
from gateway.domain.callers import Caller, Scope
from gateway.domain.requests import read_body
from gateway.endpoints import API, described, headers
from gateway.endpoints.answers import Json
from gateway.endpoints.door import Door
from gateway.endpoints.exclusions import Guarding
from gateway.endpoints.players import UserId
from gateway.repository.passing import body_of
from shared.contracts.play import PlayLimitsRequest, Protection, RealityCheckRequest


def router(door: Door, guarding: Guarding) -> APIRouter:
    """The endpoints of what a player sets."""
    api = APIRouter(prefix=f"{API}/users/{{user_id}}", tags=["compliance"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    async def entered(request: Request, caller: Caller, user_id: int, path: str, **body: JsonValue) -> Response:
        found = await guarding.ask(request, caller, user_id, path, Protection, **body)
        return found if isinstance(found, Response) else Json(standing.protection(found, caller))

    @api.put(
        "/play-limits",
        summary="How long a player plays at most: stricter at once; less strict when asked for again after the wait",
        responses={200: {"model": Protection}, **described.problem_answers(413)},
        openapi_extra=described.body_of(PlayLimitsRequest),
    )
    async def put_play_limits(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require_about(Scope.SET_PLAY, user_id)
        wanted = read_body(PlayLimitsRequest, await headers.json_body(request))
        return await entered(request, caller, user_id, "play-limits", play_limits=body_of(wanted))

    @api.put(
        "/reality-check",
        summary="How often a player is told how long it has played",
        responses={200: {"model": Protection}, **described.problem_answers(413)},
        openapi_extra=described.body_of(RealityCheckRequest),
    )
    async def put_reality_check(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require_about(Scope.SET_PLAY, user_id)
        wanted = read_body(RealityCheckRequest, await headers.json_body(request))
        return await entered(request, caller, user_id, "reality-check", reality_check=body_of(wanted))

    @api.post(
        "/reality-check/acknowledgement",
        summary="The player has seen how long it has played",
        responses={200: {"model": Protection}, **described.problem_answers()},
    )
    async def post_acknowledgement(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require_about(Scope.SET_PLAY, user_id)
        return await entered(request, caller, user_id, "reality-check/acknowledgement")

    return api
