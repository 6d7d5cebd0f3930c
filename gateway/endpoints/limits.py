"""Limits of players, read: what holds, what is used, what changed, what would be decided, and what was played."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from gateway.domain import checks, limits, views
from gateway.domain.callers import Caller, Scope
from gateway.domain.checks import CheckView
from gateway.domain.limits import LimitChangePage, LimitRequestsView, LimitsView
from gateway.domain.requests import TransactionRequest, command_of, read_transaction
from gateway.endpoints import API, described, headers
from gateway.endpoints.answers import Json
from gateway.endpoints.door import Door
from gateway.endpoints.players import MAX_PAGE_ROWS, PAGE_ROWS, UserId, next_page
from gateway.endpoints.rates import Rates
from gateway.repository import Reads
from shared.clock import Clock

MAX_DAYS = 90


def router(door: Door, rates: Rates, reads: Reads) -> APIRouter:
    """The endpoints that read a player's limits."""
    api = APIRouter(prefix=f"{API}/users/{{user_id}}", tags=["limits"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.get(
        "/limits",
        summary="A player's limits: what holds, by whom, and what is left",
        responses={200: {"model": LimitsView}, **described.problem_answers()},
    )
    async def get_limits(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require_about(Scope.READ_LIMITS, user_id)
        await rates.player(request, user_id)
        return Json({"user_id": user_id, "limits": [limits.limit(each) for each in await reads.limits(user_id)]})

    @api.get(
        "/limit-requests",
        summary="The raises of a player's own limits that wait",
        responses={200: {"model": LimitRequestsView}, **described.problem_answers()},
    )
    async def get_limit_requests(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require_about(Scope.READ_LIMITS, user_id)
        await rates.player(request, user_id)
        waiting = [limits.limit(each) for each in await reads.limits(user_id) if each.pending is not None]
        return Json({"user_id": user_id, "limit_requests": waiting})

    @api.get(
        "/limit-changes",
        summary="Who changed a player's limits, when, from what to what, and why; the newest first",
        responses={200: {"model": LimitChangePage}, **described.problem_answers()},
    )
    async def get_limit_changes(
        request: Request,
        user_id: UserId,
        caller: caller_of_request,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = PAGE_ROWS,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
    ) -> Response:
        caller.require(Scope.READ_LIMITS)
        await rates.player(request, user_id)
        before = None if cursor is None else views.position_of(cursor)
        rows = await reads.limit_changes(user_id, limit=limit + 1, before=before)
        page = rows[:limit]
        next_cursor = views.cursor_of(page[-1].position) if len(rows) > limit else None
        body = {"limit_changes": [limits.change(row) for row in page], "next_cursor": next_cursor}
        return Json(body, headers=next_page(request, limit, next_cursor))

    return api


def play(door: Door, rates: Rates, reads: Reads, clock: Clock) -> APIRouter:
    """The endpoints that read what a player did, and what it could do."""
    api = APIRouter(prefix=API, tags=["limits"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.get(
        "/users/{user_id}/metrics",
        summary="What a player did in its last days, today being one of them, and what its limits leave",
        responses=described.problem_answers(),
    )
    async def get_metrics(
        request: Request,
        user_id: UserId,
        caller: caller_of_request,
        days: Annotated[int, Query(ge=1, le=MAX_DAYS)] = 7,
    ) -> Response:
        caller.require_about(Scope.READ_LIMITS, user_id)
        await rates.player(request, user_id)
        found = (await reads.player_metrics(user_id, days)).model_dump(mode="json")
        return Json({**found, "currencies": views.figures(found["currencies"])})

    @api.post(
        "/limit-checks",
        summary="What would be decided on a transaction now, and why; nothing is posted",
        responses={200: {"model": CheckView}, **described.problem_answers(413)},
        openapi_extra=described.body_of(TransactionRequest),
    )
    async def post_limit_check(request: Request, caller: caller_of_request) -> Response:
        caller.require(Scope.WRITE_GAME, Scope.WRITE_FUNDS, Scope.CHECK_LIMITS, Scope.CHECK_OWN_LIMITS)
        transaction = read_transaction(await headers.json_body(request))
        caller.require_checking(transaction.type, transaction.user_id)
        await rates.player(request, transaction.user_id)
        command = command_of(transaction, caller, None, now=clock(), bets_expire_at=None)
        return Json(checks.view(command, await reads.check(command)))

    return api
