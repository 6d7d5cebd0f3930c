"""Changes of a player's limits: by staff, and by the player itself. They are decided in order with its money."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from gateway.domain import limits
from gateway.domain.callers import Caller, Scope
from gateway.domain.limits import LimitChangeView
from gateway.domain.requests import (
    OverrideRemoval,
    OverrideRequest,
    OwnLimit,
    OwnLimitRequest,
    RaiseConfirmation,
    read_confirmation,
    read_override,
    read_override_removal,
    read_own_limit,
)
from gateway.domain.views import PendingView
from gateway.endpoints import API, described, headers
from gateway.endpoints.door import Door
from gateway.endpoints.players import UserId
from gateway.endpoints.transactions import Postings
from shared.clock import Clock
from shared.contracts.fields import Currency
from shared.contracts.kinds import Kind
from shared.contracts.limits import LimitName

_HEADERS = [described.OPTIONAL_IDEMPOTENCY_KEY, described.PREFER]
_OTHERS: described.Answers = {202: {"model": PendingView}, **described.problem_answers(413)}
_CHANGED: described.Answers = {200: {"model": LimitChangeView}, **_OTHERS}
_MADE: described.Answers = {201: {"model": LimitChangeView}, **_OTHERS}


class Changes:
    """Turns changes of limits into commands, sends them, and answers what became of them."""

    def __init__(self, postings: Postings, clock: Clock) -> None:
        self._postings = postings
        self._clock = clock

    async def make(
        self,
        request: Request,
        caller: Caller,
        kind: Kind,
        user_id: int,
        name: LimitName,
        value: int,
        currency: str,
        *,
        reason: str | None = None,
        posted: HTTPStatus = HTTPStatus.OK,
    ) -> Response:
        """Change a limit. `value` is in minor units or seconds; `posted` is the answer's status where it is posted."""
        key = headers.optional_idempotency_key(request)
        command = limits.command(
            kind, name, user_id, value, currency, caller=caller, key=key, now=self._clock(), reason=reason
        )
        return await self._postings.decided(request, command, view=limits.changed, posted=posted)


def overrides(door: Door, changes: Changes) -> APIRouter:
    """What staff puts in the place of the operator's limits."""
    api = APIRouter(prefix=f"{API}/users/{{user_id}}/limits", tags=["limits"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.put(
        "/{name}",
        summary="Override one of the operator's limits for a player",
        responses=_CHANGED,
        openapi_extra={"parameters": _HEADERS, **described.body_of(OverrideRequest)},
    )
    async def put_override(request: Request, user_id: UserId, name: LimitName, caller: caller_of_request) -> Response:
        caller.require(Scope.WRITE_LIMITS)
        asked = read_override(await headers.json_body(request))
        value = limits.override_value(name, asked)
        kind = Kind.LIMIT_OVERRIDE
        return await changes.make(request, caller, kind, user_id, name, value, asked.currency, reason=asked.reason)

    @api.delete(
        "/{name}",
        summary="End an override: the operator's limit holds again",
        responses=_CHANGED,
        openapi_extra={"parameters": _HEADERS, **described.body_of(OverrideRemoval)},
    )
    async def delete_override(
        request: Request, user_id: UserId, name: LimitName, caller: caller_of_request
    ) -> Response:
        caller.require(Scope.WRITE_LIMITS)
        asked = read_override_removal(await headers.json_body(request))
        kind = Kind.LIMIT_OVERRIDE_REMOVAL
        return await changes.make(request, caller, kind, user_id, name, 0, asked.currency, reason=asked.reason)

    return api


def requests(door: Door, changes: Changes) -> APIRouter:
    """What a player sets itself, or asks support or compliance to set for it."""
    api = APIRouter(prefix=f"{API}/users/{{user_id}}/limit-requests", tags=["limits"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]
    made = HTTPStatus.CREATED

    @api.post(
        "",
        status_code=made,
        summary="Set a player's own limit: the first or a lower one holds at once, a raise waits to be confirmed",
        responses=_MADE,
        openapi_extra={"parameters": _HEADERS, **described.body_of(OwnLimitRequest)},
    )
    async def post_request(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require_about(Scope.REQUEST_LIMITS, user_id)
        asked = read_own_limit(await headers.json_body(request))
        kind, value = Kind.LIMIT_REQUEST, limits.minor(asked)
        return await changes.make(request, caller, kind, user_id, asked.name, value, asked.currency, posted=made)

    @api.post(
        "/{name}/confirmation",
        status_code=made,
        summary="Confirm a raise that has waited long enough",
        responses=_MADE,
        openapi_extra={"parameters": _HEADERS, **described.body_of(RaiseConfirmation)},
    )
    async def post_confirmation(
        request: Request, user_id: UserId, name: OwnLimit, caller: caller_of_request
    ) -> Response:
        caller.require_about(Scope.REQUEST_LIMITS, user_id)
        asked = read_confirmation(await headers.json_body(request))
        kind, value = Kind.LIMIT_CONFIRMATION, limits.minor(asked)
        return await changes.make(request, caller, kind, user_id, name, value, asked.currency, posted=made)

    @api.delete(
        "/{name}",
        summary="Give up a raise that waits",
        responses=_CHANGED,
        openapi_extra={"parameters": _HEADERS},
    )
    async def delete_request(
        request: Request,
        user_id: UserId,
        name: OwnLimit,
        currency: Annotated[Currency, Query()],
        caller: caller_of_request,
    ) -> Response:
        caller.require_about(Scope.REQUEST_LIMITS, user_id)
        return await changes.make(request, caller, Kind.LIMIT_REVOCATION, user_id, name, 0, currency)

    return api
