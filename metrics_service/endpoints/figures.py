"""Figures of a day, and totals of all days."""

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncEngine

from metrics_service.repository import days, facts
from metrics_service.repository.facts import Reads
from metrics_service.settings import Settings
from shared import database
from shared.contracts.fields import Day, Moment
from shared.figures import figures
from shared.figures.facts import Facts
from shared.service import internal_only

# Totals are of no period.
EVER = date.max


class Kinds(BaseModel):
    """One currency's rows by kind."""

    kinds: dict[str, figures.KindFigures]
    ggr_minor: int
    refusals: dict[str, int]


class Totals(BaseModel):
    """Figures by currency, and the journal positions that they can be recomputed from."""

    currencies: dict[str, Kinds]
    positions: dict[int, int] = Field(description="Of each lane, the last journal row that is in the figures.")


class DailyReport(BaseModel):
    """The figures of one day, each currency's with its hours."""

    date: Day
    time_zone: str
    closed_at: Moment | None = Field(description="null while the day is open.")
    currencies: dict[str, dict[str, Any]]
    restatements: list[dict[str, Any]]
    positions: dict[int, int]
    heads: dict[int, str] = Field(description="Of each lane, the checksum of the row at its position.")


def router(settings: Settings, engine: AsyncEngine) -> APIRouter:
    """The endpoints of figures."""
    endpoints = APIRouter(dependencies=[Depends(internal_only(settings))])
    reads = Reads(engine)

    @endpoints.get("/reports/daily/{date}", summary="The figures of one day")
    async def daily_report(day: Annotated[Day, Path(alias="date")]) -> DailyReport:
        async with database.reading(engine) as connection:
            found = await facts.read(connection, day, day)
            hours = await facts.hours(connection, day)
            closed = await days.closed(connection, day, day)
            restated = await days.restated(connection, day, day)
        currencies = {currency: asdict(of) for currency, of in figures.of_period(found).items()}
        for currency, of_currency in currencies.items():
            of_currency["hours"] = figures.of_hours(hours, currency)
        return DailyReport(
            date=day,
            time_zone=settings.figures_time_zone.key,
            closed_at=closed.get(day),
            currencies=currencies,
            restatements=[each._asdict() for each in restated],
            positions={lane: cut.position for lane, cut in found.cut.items()},
            heads={lane: cut.head for lane, cut in found.cut.items()},
        )

    @endpoints.get("/totals", summary="The figures of all days")
    async def totals() -> Totals:
        lines, positions = await reads.totals()
        found = figures.of_period(Facts(EVER, EVER, lines))
        currencies = {
            currency: Kinds(kinds=of.kinds, ggr_minor=of.ggr_minor, refusals=of.refusals)
            for currency, of in found.items()
        }
        return Totals(currencies=currencies, positions=dict(positions))

    return endpoints
