"""HTTP in: daily figures and totals. For the platform's own services alone."""

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from metrics_service import domain
from metrics_service.domain import CurrencyFigures
from metrics_service.repository import Reads
from metrics_service.settings import Settings
from shared.contracts.fields import Day
from shared.service import internal_only


class Totals(BaseModel):
    """Figures by currency, and the journal positions that they can be recomputed from."""

    currencies: dict[str, CurrencyFigures]
    positions: dict[int, int] = Field(description="Of each lane, the last journal row that is in the figures.")


class DailyReport(Totals):
    """The figures of one UTC day."""

    date: Day


def router(settings: Settings, reads: Reads) -> APIRouter:
    """The endpoints of this service."""
    endpoints = APIRouter(dependencies=[Depends(internal_only(settings))])

    @endpoints.get("/reports/daily/{date}", summary="The figures of one UTC day")
    async def daily_report(date: Day) -> DailyReport:
        lines, positions = await reads.totals(date)
        return DailyReport(date=date, currencies=domain.figures(lines), positions=dict(positions))

    @endpoints.get("/totals", summary="The figures of all days")
    async def totals() -> Totals:
        lines, positions = await reads.totals()
        return Totals(currencies=domain.figures(lines), positions=dict(positions))

    return endpoints
