"""Blocks for fraud, by staff. They are decided in order with the player's money: once answered, they hold."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from gateway.domain import blocks
from gateway.domain.blocks import BlockChangeView
from gateway.domain.callers import Caller, Scope
from gateway.domain.requests import BlockRemoval, BlockRequest, read_block, read_block_removal
from gateway.domain.views import PendingView
from gateway.endpoints import API, described, headers
from gateway.endpoints.door import Door
from gateway.endpoints.players import UserId
from gateway.endpoints.transactions import Postings
from shared.clock import Clock
from shared.contracts.kinds import Kind

_HEADERS = [described.OPTIONAL_IDEMPOTENCY_KEY, described.PREFER]
_OTHERS: described.Answers = {202: {"model": PendingView}, **described.problem_answers(413)}


def router(door: Door, postings: Postings, clock: Clock) -> APIRouter:
    """A block begins, is extended, or is lifted."""
    api = APIRouter(prefix=f"{API}/users/{{user_id}}/fraud-block", tags=["fraud"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.post(
        "",
        status_code=HTTPStatus.CREATED,
        summary="Block a player: no bet, no deposit and no new withdrawal; what has begun still ends",
        responses={201: {"model": BlockChangeView}, **_OTHERS},
        openapi_extra={"parameters": _HEADERS, **described.body_of(BlockRequest)},
    )
    async def post_block(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require(Scope.BLOCK_FRAUD)
        key = headers.optional_idempotency_key(request)
        asked = read_block(await headers.json_body(request))
        command = blocks.command(
            Kind.FRAUD_BLOCK, user_id, asked.reason, caller=caller, key=key, now=clock(), until=asked.until
        )
        return await postings.decided(request, command, view=blocks.changed)

    @api.delete(
        "",
        summary="Lift a player's block",
        responses={200: {"model": BlockChangeView}, **_OTHERS},
        openapi_extra={"parameters": _HEADERS, **described.body_of(BlockRemoval)},
    )
    async def delete_block(request: Request, user_id: UserId, caller: caller_of_request) -> Response:
        caller.require(Scope.BLOCK_FRAUD)
        key = headers.optional_idempotency_key(request)
        asked = read_block_removal(await headers.json_body(request))
        command = blocks.command(Kind.FRAUD_UNBLOCK, user_id, asked.reason, caller=caller, key=key, now=clock())
        return await postings.decided(request, command, view=blocks.changed, posted=HTTPStatus.OK)

    return api
