"""The audit log, and compliance audits."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse

from gateway.domain import records as views
from gateway.domain.callers import Caller, Scope
from gateway.domain.records import AuditLogPage, ComplianceAudits
from gateway.domain.requests import ComplianceAuditRequest, read_compliance_audit
from gateway.domain.views import cursor_of, position_of
from gateway.endpoints import API, described, headers
from gateway.endpoints.answers import Json
from gateway.endpoints.door import Door
from gateway.endpoints.players import MAX_PAGE_ROWS, PAGE_ROWS, next_page
from gateway.repository.records import Records, Sought
from shared.clock import Clock
from shared.contracts.audit import Action, AskedAudit, ComplianceAudit
from shared.contracts.fields import MAX_INT64, Moment, Text
from shared.service import request_id_of

_HTML = "text/html"
_AS_A_PAGE: described.Answers = {200: {"model": ComplianceAudit, "content": {_HTML: {"schema": {"type": "string"}}}}}


def router(door: Door, records: Records) -> APIRouter:
    """The endpoint of the audit log."""
    api = APIRouter(prefix=API, tags=["compliance"])

    @api.get(
        "/audit-log",
        summary="Who did what, to whom, why, and what it changed; the newest first",
        responses={200: {"model": AuditLogPage}, **described.problem_answers()},
    )
    async def get_audit_log(
        request: Request,
        caller: Annotated[Caller, Depends(door.caller)],
        user_id: Annotated[int | None, Query(ge=1, le=MAX_INT64)] = None,
        actor: Annotated[Text | None, Query()] = None,
        action: Annotated[Action | None, Query()] = None,
        start: Annotated[Moment | None, Query(alias="from", description="This moment or later.")] = None,
        end: Annotated[Moment | None, Query(alias="to", description="Before this moment.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = PAGE_ROWS,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
    ) -> Response:
        caller.require(Scope.READ_AUDIT)
        before = None if cursor is None else position_of(cursor)
        # One more than the page holds tells whether there is a next one.
        found = await records.page(Sought(user_id, actor, action, start, end), limit=limit + 1, before=before)
        next_cursor = cursor_of(found[limit - 1].number) if len(found) > limit else None
        return Json(views.page(found[:limit], next_cursor), headers=next_page(request, limit, next_cursor))

    return api


def audits(door: Door, records: Records, clock: Clock) -> APIRouter:
    """The endpoints of compliance audits."""
    api = APIRouter(prefix=f"{API}/compliance-audits", tags=["compliance"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.post(
        "",
        summary="Audit how players were protected in a period",
        status_code=HTTPStatus.CREATED,
        responses={201: {"model": ComplianceAudit}, **described.problem_answers(413)},
        openapi_extra=described.body_of(ComplianceAuditRequest),
    )
    async def post_compliance_audit(request: Request, caller: caller_of_request) -> Response:
        caller.require(Scope.AUDIT_COMPLIANCE)
        period = read_compliance_audit(await headers.json_body(request), clock())
        asked = AskedAudit(
            start=period.start, end=period.end, requested_by=caller.subject, request_id=request_id_of(request)
        )
        found = await records.make_audit(asked)
        return _answer(request, found, HTTPStatus.CREATED, {"Location": f"{API}/compliance-audits/{found.id}"})

    @api.get(
        "",
        summary="The compliance audits that were made last: those asked for, and those of each week and month",
        responses={200: {"model": ComplianceAudits}, **described.problem_answers()},
    )
    async def get_compliance_audits(
        caller: caller_of_request, limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = PAGE_ROWS
    ) -> Response:
        caller.require(Scope.AUDIT_COMPLIANCE)
        return Json(views.audits(await records.audits(limit)))

    @api.get(
        "/{audit_id}",
        summary="A compliance audit as it was made; as a page with `Accept: text/html`",
        responses={**_AS_A_PAGE, **described.problem_answers(404)},
    )
    async def get_compliance_audit(request: Request, audit_id: UUID, caller: caller_of_request) -> Response:
        caller.require(Scope.AUDIT_COMPLIANCE)
        return _answer(request, await records.audit(audit_id), HTTPStatus.OK, {})

    return api


def _answer(request: Request, found: ComplianceAudit, status: HTTPStatus, more: dict[str, str]) -> Response:
    more = {**more, "Vary": "Accept"}
    if _HTML in request.headers.get("accept", ""):
        return HTMLResponse(views.audit_page(found), status, more)
    return Json(views.audit(found), status, more)
