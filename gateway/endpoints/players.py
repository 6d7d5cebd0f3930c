"""What is known of one player: the wallet, the transactions, how fast it bets."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BeforeValidator

from gateway.domain import views
from gateway.domain.callers import Caller, Scope
from gateway.domain.views import PastWalletView, TransactionPage
from gateway.endpoints import API, described
from gateway.endpoints.answers import Json
from gateway.endpoints.door import Door
from gateway.endpoints.rates import Rates
from gateway.repository import Reads
from shared import clock
from shared.contracts.fields import MAX_INT64, Moment
from shared.errors import FieldError, InvalidInput

PAGE_ROWS = 50
MAX_PAGE_ROWS = 200


def _digits(text: str) -> str:
    # As a number it would also take signs, spaces, underscores, fractions and other scripts' digits.
    if not (text.isascii() and text.isdigit()):
        raise ValueError("must be a positive 64-bit integer")
    return text


UserId = Annotated[int, BeforeValidator(_digits), Path(ge=1, le=MAX_INT64)]


def router(door: Door, rates: Rates, reads: Reads) -> APIRouter:
    """The endpoints of players."""
    api = APIRouter(prefix=f"{API}/users/{{user_id}}")
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    async def enter(request: Request, caller: Caller, scope: Scope, user_id: int) -> None:
        caller.require_about(scope, user_id)
        await rates.player(request, user_id)

    @api.get(
        "/wallet",
        tags=["ledger"],
        summary="A player's balances, now or as they were",
        responses={200: {"model": PastWalletView}, **described.problem_answers(404)},
    )
    async def get_wallet(
        request: Request,
        user_id: UserId,
        caller: caller_of_request,
        as_of: Annotated[Moment | None, Query(description="A moment that has passed.")] = None,
    ) -> Response:
        await enter(request, caller, Scope.READ_WALLET, user_id)
        if as_of is None:
            return Json(views.wallet(user_id, await reads.balances(user_id)))
        return Json(await _past_wallet(reads, user_id, as_of))

    @api.get(
        "/transactions",
        tags=["ledger"],
        summary="A player's transactions, the newest first",
        responses={200: {"model": TransactionPage}, **described.problem_answers()},
    )
    async def get_transactions(
        request: Request,
        user_id: UserId,
        caller: caller_of_request,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = PAGE_ROWS,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
    ) -> Response:
        await enter(request, caller, Scope.READ_TRANSACTIONS, user_id)
        before = None if cursor is None else views.position_of(cursor)
        # One more than the page holds tells whether there is a next one.
        rows = await reads.history(user_id, limit=limit + 1, before=before)
        page = rows[:limit]
        next_cursor = views.cursor_of(page[-1].position) if len(rows) > limit else None
        listed = [views.transaction(row, row.dispute, why=caller.is_told_why(row.kind)) for row in page]
        body = {"transactions": listed, "next_cursor": next_cursor}
        return Json(body, headers=next_page(request, limit, next_cursor))

    @api.get(
        "/bet-velocity",
        tags=["fraud"],
        summary="How fast a player bets",
        responses=described.problem_answers(404),
    )
    async def get_bet_velocity(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        await enter(request, caller, Scope.READ_FRAUD, user_id)
        return Json(await reads.bet_velocity(user_id))

    return api


async def _past_wallet(reads: Reads, user_id: int, as_of: datetime) -> dict[str, Any]:
    if as_of > clock.utc_now():
        raise InvalidInput([FieldError("as_of", "must not be in the future")])
    past = await reads.past(user_id, as_of)
    return views.wallet(user_id, past.balances) | {"as_of": clock.to_text(as_of), "position": past.position}


def next_page(request: Request, limit: int, cursor: str | None) -> dict[str, Any]:
    """The header that leads to the next page of the same question, where there is one."""
    if cursor is None:
        return {}
    asked = [(name, value) for name, value in request.query_params.multi_items() if name not in {"limit", "cursor"}]
    query = urlencode([*asked, ("limit", limit), ("cursor", cursor)])
    # Relative, so that it holds behind whatever name the client came by.
    return {"Link": f'<{request.url.path}?{query}>; rel="next"'}
