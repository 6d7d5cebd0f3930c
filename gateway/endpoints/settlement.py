"""Settlement at the door: batches, retried by hand or with a report; what does not agree, closed with a reason."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import JsonValue

from gateway.domain import payments as views
from gateway.domain.callers import Caller, Scope
from gateway.domain.records import entry
from gateway.endpoints import API, described, headers
from gateway.endpoints.answers import Json
from gateway.endpoints.door import Door
from gateway.endpoints.payments import passed
from gateway.endpoints.players import MAX_PAGE_ROWS, PAGE_ROWS
from gateway.repository.passing import Passed
from gateway.repository.payments import BATCH, BATCHES, EXCEPTION, EXCEPTIONS, SETTLED_WITHIN_S, PaymentReads
from gateway.repository.records import Records
from shared.contracts.payments import (
    AskedResolution,
    BatchView,
    ExceptionResolutionRequest,
    ExceptionView,
    RetryRequest,
    SettlementRequest,
)
from shared.service import request_id_of

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)]
_BATCH: described.Answers = {200: {"model": BatchView}, **described.problem_answers(404, 413)}
_EXCEPTION: described.Answers = {200: {"model": ExceptionView}, **described.problem_answers(404, 413)}


def router(door: Door, payments: PaymentReads, records: Records) -> APIRouter:
    """The endpoints of settlement batches."""
    api = APIRouter(prefix=f"{API}/settlement-batches", tags=["payments"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.post(
        "",
        status_code=201,
        summary="Settle a day of one provider and currency, with its report where there is one",
        responses={201: {"model": BatchView}, **described.problem_answers(413)},
        openapi_extra=described.body_of(SettlementRequest),
    )
    async def post_batch(request: Request, caller: caller_of_request) -> Response:
        caller.require(Scope.SETTLE)
        asked = views.read_batch_request(await headers.json_body(request))
        told = asked.model_dump(mode="json", exclude={"report"})
        await records.add(entry("SETTLEMENT", caller, request_id_of(request), after=told))
        found = await payments.ask(BATCH, "/settlement-batches", asked, within_s=SETTLED_WITHIN_S)
        return _batch(found, HTTPStatus.CREATED)

    @api.get("", summary="Settlement batches, the newest first", responses=described.problem_answers())
    async def get_batches(caller: caller_of_request, limit: Limit = PAGE_ROWS) -> Response:
        caller.require(Scope.SETTLE)
        found = await payments.read(BATCHES, "/settlement-batches", {"limit": limit})
        return passed(found) if isinstance(found, Passed) else Json([views.batch(each) for each in found])

    @api.get("/{batch_id}", summary="A settlement batch", responses=_BATCH)
    async def get_batch(batch_id: UUID, caller: caller_of_request) -> Response:
        caller.require(Scope.SETTLE)
        found = await payments.read(BATCH, f"/settlement-batches/{batch_id}")
        return _batch(found)

    @api.post(
        "/{batch_id}/retry",
        summary="Settle a batch again, with its report where that is brought by hand",
        responses=_BATCH,
        openapi_extra=described.body_of(RetryRequest),
    )
    async def post_retry(request: Request, batch_id: UUID, caller: caller_of_request) -> Response:
        caller.require(Scope.SETTLE)
        asked = views.read_retry(await headers.json_body(request))
        told: dict[str, JsonValue] = {"batch_id": str(batch_id), "report": asked.report is not None}
        await records.add(entry("SETTLEMENT_RETRY", caller, request_id_of(request), after=told))
        found = await payments.ask(BATCH, f"/settlement-batches/{batch_id}/retry", asked, within_s=SETTLED_WITHIN_S)
        return _batch(found)

    return api


def exceptions(door: Door, payments: PaymentReads, records: Records) -> APIRouter:
    """The endpoints of what does not agree."""
    api = APIRouter(prefix=f"{API}/settlement-exceptions", tags=["payments"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.get("", summary="What does not agree, the newest first", responses=described.problem_answers())
    async def get_exceptions(
        caller: caller_of_request,
        batch_id: UUID | None = None,
        payment_id: UUID | None = None,
        only_open: bool = True,
        limit: Limit = PAGE_ROWS,
    ) -> Response:
        caller.require(Scope.SETTLE)
        query: dict[str, int | str | None] = {
            "batch_id": None if batch_id is None else str(batch_id),
            "payment_id": None if payment_id is None else str(payment_id),
            "only_open": str(only_open).lower(),
            "limit": limit,
        }
        found = await payments.read(EXCEPTIONS, "/settlement-exceptions", query)
        return passed(found) if isinstance(found, Passed) else Json([each.model_dump(mode="json") for each in found])

    @api.post(
        "/{exception_id}/resolution",
        summary="Close an exception with a reason",
        responses=_EXCEPTION,
        openapi_extra=described.body_of(ExceptionResolutionRequest),
    )
    async def post_resolution(request: Request, exception_id: UUID, caller: caller_of_request) -> Response:
        caller.require(Scope.SETTLE)
        said = views.read_resolution(await headers.json_body(request))
        request_id = request_id_of(request)
        told = entry("SETTLEMENT_EXCEPTION_CLOSED", caller, request_id, after={"exception_id": str(exception_id)})
        await records.add(told.model_copy(update={"reason": said.reason}))
        asked = AskedResolution(actor=caller.subject, request_id=request_id, resolution=said)
        found = await payments.ask(EXCEPTION, f"/settlement-exceptions/{exception_id}/resolution", asked)
        return passed(found) if isinstance(found, Passed) else Json(found.model_dump(mode="json"))

    return api


def _batch(found: BatchView | Passed, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return passed(found) if isinstance(found, Passed) else Json(views.batch(found), status)
