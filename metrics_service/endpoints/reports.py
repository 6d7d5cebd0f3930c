"""Reports of a period: signed, in every form."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from metrics_service.repository.reports import Reports
from metrics_service.settings import Settings
from shared.contracts.fields import Day
from shared.contracts.reports import Format, check_period
from shared.reports.forms import render
from shared.service import internal_only

First = Annotated[Day, Query(alias="from")]
Last = Annotated[Day, Query(alias="to", description="Also in it.")]


def router(settings: Settings, reports: Reports) -> APIRouter:
    """The endpoints of reports."""
    endpoints = APIRouter(prefix="/reports", dependencies=[Depends(internal_only(settings))])

    @endpoints.get("/summary", summary="The signed report of a period, beside the period before it")
    async def summary(first: First, last: Last) -> dict[str, Any]:
        check_period(first, last)
        return await reports.make(first, last)

    @endpoints.get("/export", summary="The same as a document")
    async def export(first: First, last: Last, form: Annotated[Format, Query(alias="format")]) -> Response:
        check_period(first, last)
        report = await reports.make(first, last)
        # Drawing takes longer than the ledger may wait.
        body = await asyncio.to_thread(render, report, form)
        return Response(body, media_type=form.media_type)

    return endpoints
