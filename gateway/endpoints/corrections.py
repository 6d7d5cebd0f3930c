"""Corrections: transactions that are reversed, payouts that are released, disputes."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from gateway.domain import corrections
from gateway.domain.callers import Caller, Scope
from gateway.domain.corrections import HeldPayoutsView
from gateway.domain.requests import CorrectionRequest, DisputeRequest, read_correction, read_dispute
from gateway.domain.views import DecisionView, PendingView
from gateway.endpoints import API, described, headers
from gateway.endpoints.answers import Json
from gateway.endpoints.door import Door
from gateway.endpoints.transactions import Postings
from gateway.repository import Reads
from shared.clock import Clock
from shared.contracts.kinds import Kind
from shared.contracts.readings import ReadTransaction
from shared.errors import NotFound

HELD_PAYOUTS = 50
MAX_HELD_PAYOUTS = 200

_ANSWERS: described.Answers = {201: {"model": DecisionView}, 202: {"model": PendingView}}


def router(door: Door, postings: Postings, reads: Reads, clock: Clock) -> APIRouter:
    """What finance takes back and lets go."""
    api = APIRouter(prefix=API, tags=["corrections"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]
    extra = {
        "parameters": [described.IDEMPOTENCY_KEY, described.PREFER],
        **described.body_of(CorrectionRequest),
    }

    @api.post(
        "/transactions/{transaction_id}/reversal",
        status_code=HTTPStatus.CREATED,
        summary="Take a transaction back, all of it or a part, by a transaction of its own",
        responses={**_ANSWERS, **described.problem_answers(400, 404, 413)},
        openapi_extra=extra,
    )
    async def post_reversal(request: Request, transaction_id: UUID, caller: caller_of_request) -> Response:
        caller.require(Scope.CORRECT)
        key = headers.idempotency_key(request)
        asked = read_correction(await headers.json_body(request))
        original = await _original(reads, transaction_id)
        return await postings.decided(
            request, corrections.reversal(original, asked, caller=caller, key=key, now=clock())
        )

    @api.post(
        "/transactions/{transaction_id}/release",
        status_code=HTTPStatus.CREATED,
        summary="Release a held payout, all of it or a part, to the player",
        responses={**_ANSWERS, **described.problem_answers(400, 404, 413)},
        openapi_extra=extra,
    )
    async def post_release(request: Request, transaction_id: UUID, caller: caller_of_request) -> Response:
        caller.require(Scope.CORRECT)
        key = headers.idempotency_key(request)
        asked = read_correction(await headers.json_body(request))
        original = await _original(reads, transaction_id)
        return await postings.decided(
            request, corrections.release(original, asked, caller=caller, key=key, now=clock())
        )

    @api.get(
        "/held-payouts",
        summary="Payouts that wait in reserved for their release, the oldest first",
        responses={200: {"model": HeldPayoutsView}, **described.problem_answers()},
    )
    async def get_held_payouts(
        caller: caller_of_request, limit: Annotated[int, Query(ge=1, le=MAX_HELD_PAYOUTS)] = HELD_PAYOUTS
    ) -> Response:
        caller.require(Scope.CORRECT)
        return Json(corrections.held_payouts(await reads.held_payouts(limit + 1), limit))

    return api


def disputes(door: Door, postings: Postings, reads: Reads, clock: Clock) -> APIRouter:
    """What staff marks as disputed, and resolves."""
    api = APIRouter(prefix=f"{API}/transactions/{{transaction_id}}/dispute", tags=["corrections"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]
    answers: described.Answers = {**_ANSWERS, **described.problem_answers(404, 413)}
    extra = {
        "parameters": [described.OPTIONAL_IDEMPOTENCY_KEY, described.PREFER],
        **described.body_of(DisputeRequest),
    }

    async def mark(request: Request, caller: Caller, kind: Kind, transaction_id: UUID) -> Response:
        caller.require(Scope.DISPUTE)
        key = headers.optional_idempotency_key(request)
        asked = read_dispute(await headers.json_body(request))
        original = await _original(reads, transaction_id)
        command = corrections.dispute(kind, original, asked.reason, caller=caller, key=key, now=clock())
        return await postings.decided(request, command)

    @api.post("", status_code=201, summary="Mark a transaction as disputed", responses=answers, openapi_extra=extra)
    async def post_dispute(request: Request, transaction_id: UUID, caller: caller_of_request) -> Response:
        return await mark(request, caller, Kind.DISPUTE, transaction_id)

    @api.post(
        "/resolution",
        status_code=201,
        summary="Mark a transaction's dispute as resolved",
        responses=answers,
        openapi_extra=extra,
    )
    async def post_resolution(request: Request, transaction_id: UUID, caller: caller_of_request) -> Response:
        return await mark(request, caller, Kind.DISPUTE_RESOLUTION, transaction_id)

    return api


async def _original(reads: Reads, transaction_id: UUID) -> ReadTransaction:
    found = await reads.transaction(transaction_id)
    if found is None:
        raise NotFound(f"there is no transaction {transaction_id}, or it is not decided yet")
    return found
