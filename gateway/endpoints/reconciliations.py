"""Reconciliations: a period of the journal beside itself and the balances."""

import asyncio
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from gateway.domain import integrity, views
from gateway.domain.callers import Caller, Scope
from gateway.domain.integrity import ReconciliationPage
from gateway.domain.records import entry
from gateway.domain.requests import ReconciliationRequest, read_reconciliation
from gateway.endpoints import API, described, headers
from gateway.endpoints.answers import PENDING_RETRY_AFTER_S, Json
from gateway.endpoints.door import Door
from gateway.endpoints.players import MAX_PAGE_ROWS, PAGE_ROWS, next_page
from gateway.repository import Reads
from gateway.repository.records import Records
from gateway.settings import Settings
from shared.clock import Clock
from shared.contracts.integrity import AskedPeriod, Reconciliation
from shared.errors import ServiceUnavailable
from shared.service import request_id_of

LOOK_EVERY_S = 0.2


def router(settings: Settings, door: Door, reads: Reads, records: Records, clock: Clock) -> APIRouter:
    """The endpoints of reconciliations."""
    api = APIRouter(prefix=API, tags=["integrity"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.post(
        "/reconciliations",
        summary="Reconcile a period of the journal with itself and with the balances",
        status_code=201,
        responses={
            201: {"model": Reconciliation},
            202: {"model": Reconciliation, "description": "It goes on; look again at `Location`"},
            **described.problem_answers(413),
        },
        openapi_extra={"parameters": [described.PREFER], **described.body_of(ReconciliationRequest)},
    )
    async def post_reconciliation(request: Request, caller: caller_of_request) -> Response:
        caller.require(Scope.RECONCILE)
        headers.require_json(request)
        patience = headers.patience(request, settings)
        period = read_reconciliation(await request.body(), clock())
        told = period.model_dump(mode="json")
        await records.add(entry("RECONCILIATION", caller, request_id_of(request), after=told))
        asked = AskedPeriod(start=period.start, end=period.end, requested_by=caller.subject)
        found = await _ended(reads, await reads.request_reconciliation(asked), patience.wait_s)
        more = {"Location": f"{API}/reconciliations/{found.id}", **patience.headers()}
        if found.has_ended:
            return Json(integrity.reconciliation(found), HTTPStatus.CREATED, more)
        more["Retry-After"] = str(PENDING_RETRY_AFTER_S)
        return Json(integrity.reconciliation(found), HTTPStatus.ACCEPTED, more)

    @api.get(
        "/reconciliations/{reconciliation_id}",
        summary="A reconciliation, with its discrepancies once it is finished",
        responses={200: {"model": Reconciliation}, **described.problem_answers(404)},
    )
    async def get_reconciliation(reconciliation_id: UUID, caller: caller_of_request) -> Response:
        caller.require(Scope.RECONCILE)
        return Json(integrity.reconciliation(await reads.reconciliation(reconciliation_id)))

    @api.get(
        "/reconciliations",
        summary="Reconciliations without their discrepancies, the newest first",
        responses={200: {"model": ReconciliationPage}, **described.problem_answers()},
    )
    async def get_reconciliations(
        request: Request,
        caller: caller_of_request,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = PAGE_ROWS,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
    ) -> Response:
        caller.require(Scope.RECONCILE)
        before = None if cursor is None else views.position_of(cursor)
        # One more than the page holds tells whether there is a next one.
        found = await reads.reconciliations(limit=limit + 1, before=before)
        next_cursor = views.cursor_of(found[limit - 1].number) if len(found) > limit else None
        return Json(integrity.page(found[:limit], next_cursor), headers=next_page(request, limit, next_cursor))

    return api


async def _ended(reads: Reads, found: Reconciliation, within_s: float) -> Reconciliation:
    """A reconciliation at its end, or as it was last seen within so many seconds."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + within_s
    while not found.has_ended and (left_s := ends_at - loop.time()) > 0:
        await asyncio.sleep(min(LOOK_EVERY_S, left_s))
        try:
            found = await reads.reconciliation(found.id)
        except ServiceUnavailable:
            # It is asked for, and can be looked up when the wallet is back.
            break
    return found
