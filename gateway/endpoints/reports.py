"""Figures for the operator."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from gateway.domain import views
from gateway.domain.callers import Caller, Scope
from gateway.endpoints import API, described
from gateway.endpoints.answers import Json
from gateway.endpoints.door import Door
from gateway.repository import Reads


def router(door: Door, reads: Reads) -> APIRouter:
    """The endpoints of figures."""
    api = APIRouter(prefix=f"{API}/reports", tags=["figures"])

    @api.get("/daily/{date}", summary="The figures of one UTC day", responses=described.problem_answers())
    async def get_daily_report(
        date: Annotated[str, Path(examples=["2026-11-24"])], caller: Annotated[Caller, Depends(door.caller)]
    ) -> Response:
        caller.require(Scope.READ_REPORTS)
        report = await reads.daily_report(views.day_of(date))
        return Json({**report.model_dump(), "currencies": views.figures(report.currencies)})

    return api
