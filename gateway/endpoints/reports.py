"""Figures for the operator."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from gateway.domain import views
from gateway.domain.callers import Caller, Scope
from gateway.domain.records import entry
from gateway.endpoints import API, described
from gateway.endpoints.answers import Json
from gateway.endpoints.door import Door
from gateway.repository import Reads
from gateway.repository.records import Records
from shared.contracts.fields import Day
from shared.contracts.reports import Format, check_period, file_name
from shared.service import request_id_of

First = Annotated[Day, Query(alias="from", description="The first day, in the platform's time zone.")]
Last = Annotated[Day, Query(alias="to", description="The last day, also in it.")]
_TEXT: dict[str, Any] = {"schema": {"type": "string"}}
_DOCUMENTS: described.Answers = {
    200: {"content": {form.media_type: _TEXT for form in Format}, "description": "The report, in the form asked for"}
}


def router(door: Door, reads: Reads, records: Records) -> APIRouter:
    """The endpoints of figures."""
    api = APIRouter(prefix=f"{API}/reports", tags=["figures"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.get("/daily/{date}", summary="The figures of one day", responses=described.problem_answers())
    async def get_daily_report(
        date: Annotated[str, Path(examples=["2026-11-24"])], caller: caller_of_request
    ) -> Response:
        caller.require(Scope.READ_REPORTS)
        report = await reads.daily_report(views.day_of(date))
        return Json({**report.model_dump(), "currencies": views.figures(report.currencies)})

    @api.get(
        "/summary",
        summary="The signed report of a period, beside the period before it; as a page with `Accept: text/html`",
        responses={200: {"content": {Format.HTML.media_type: _TEXT}}, **described.problem_answers()},
    )
    async def get_summary(request: Request, first: First, last: Last, caller: caller_of_request) -> Response:
        caller.require(Scope.READ_REPORTS)
        check_period(first, last)
        form = Format.HTML if "text/html" in request.headers.get("accept", "") else Format.JSON
        return _document(await reads.report(first, last, form), form, {"Vary": "Accept"})

    @api.get(
        "/export",
        summary="The same as a file, on record",
        responses={**_DOCUMENTS, **described.problem_answers()},
    )
    async def get_export(
        request: Request,
        first: First,
        last: Last,
        caller: caller_of_request,
        form: Annotated[Format, Query(alias="format")] = Format.JSON,
    ) -> Response:
        caller.require(Scope.EXPORT_REPORTS)
        check_period(first, last)
        asked = {"from": first.isoformat(), "to": last.isoformat(), "format": form.value}
        await records.add(entry("REPORT_EXPORT", caller, request_id_of(request), after={**asked}))
        return _document(await reads.report(first, last, form), form, _as_file(first, last, form))

    return api


def _document(body: bytes, form: Format, more: dict[str, str]) -> Response:
    return Response(body, media_type=form.media_type, headers={**more, "Cache-Control": "no-store"})


def _as_file(first: date, last: date, form: Format) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{file_name(first, last, form)}"'}
