"""Reports of a period: signed, in every form."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from metrics_service.repository.reports import Reports
from metrics_service.settings import Settings
from shared import reports as documents
from shared.contracts.fields import Day
from shared.errors import FieldError, InvalidInput
from shared.figures.report import MOST_DAYS
from shared.reports import Format
from shared.service import internal_only

First = Annotated[Day, Query(alias="from")]
Last = Annotated[Day, Query(alias="to", description="Also in it.")]


def router(settings: Settings, reports: Reports) -> APIRouter:
    """The endpoints of reports."""
    endpoints = APIRouter(prefix="/reports", dependencies=[Depends(internal_only(settings))])

    @endpoints.get("/summary", summary="The signed report of a period, beside the period before it")
    async def summary(first: First, last: Last) -> dict[str, Any]:
        return await reports.make(*_period(first, last))

    @endpoints.get("/export", summary="The same as a document")
    async def export(first: First, last: Last, form: Annotated[Format, Query(alias="format")]) -> Response:
        report = await reports.make(*_period(first, last))
        # Drawing takes longer than the ledger may wait.
        body = await asyncio.to_thread(documents.render, report, form)
        return Response(body, media_type=form.media_type)

    return endpoints


def _period(first: Day, last: Day) -> tuple[Day, Day]:
    if last < first:
        raise InvalidInput([FieldError("to", "must not be before from")])
    if (last - first).days >= MOST_DAYS:
        raise InvalidInput([FieldError("to", f"must be within {MOST_DAYS} days of from")])
    return first, last
