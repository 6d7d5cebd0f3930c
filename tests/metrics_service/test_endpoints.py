"""The metrics service over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from metrics_service.domain.fold import fold
from metrics_service.endpoints import figures, reports
from metrics_service.repository import totals
from metrics_service.repository.reports import ReportKeys, Reports
from metrics_service.settings import Settings
from metrics_service.tables import inbox
from shared import clock, problems
from shared import database as databases
from shared.contracts.kinds import Kind, Reason
from shared.contracts.reports import Format
from shared.testing import FakeLedger
from tests.metrics_service.conftest import REPORT_KEYS, UTC
from tests.support import TOKEN


@asynccontextmanager
async def serving(settings: Settings, engine: AsyncEngine) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that shows the token."""
    app = FastAPI()
    problems.install(app)
    app.include_router(figures.router(settings, engine))
    app.include_router(reports.router(settings, Reports(engine, UTC, ReportKeys(REPORT_KEYS), clock.utc_now)))
    transport = httpx2.ASGITransport(app=app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://metrics", headers=headers) as client:
        yield client


@pytest.fixture
async def client(settings: Settings, engine: AsyncEngine) -> AsyncIterator[httpx2.AsyncClient]:
    """The endpoints on the test's database."""
    async with serving(settings, engine) as client:
        yield client


@pytest.fixture
async def gate(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """The endpoints on a database that is not there: for what is refused before one is needed."""
    engine = databases.create_engine(settings.metrics_database_url, application="test", schema="metrics")
    async with serving(settings, engine) as client:
        yield client


@pytest.fixture
async def filled(engine: AsyncEngine, ledger: FakeLedger) -> None:
    rows = [
        ledger.add(Kind.GAME_BET, 1, 1000),
        ledger.add(Kind.GAME_PAYOUT, 1, 400),
        ledger.add(Kind.GAME_BET, 1, 9, reason=Reason.INSUFFICIENT_FUNDS),
        ledger.add(Kind.DEPOSIT, 1, 70, currency="JPY"),
    ]
    async with databases.transaction(engine) as connection:
        await totals.save(connection, fold(rows, UTC))
        await connection.execute(insert(inbox), [{"lane": 2, "position": 4}, {"lane": 0, "position": 1021}])


FIGURES = {
    "JPY": {
        "kinds": {"DEPOSIT": {"posted": 1, "refused": 0, "amount_minor": 70}},
        "ggr_minor": 0,
        "refusals": {},
    },
    "USD": {
        "kinds": {
            "GAME_BET": {"posted": 1, "refused": 1, "amount_minor": 1000},
            "GAME_PAYOUT": {"posted": 1, "refused": 0, "amount_minor": 400},
        },
        "ggr_minor": 600,
        "refusals": {"INSUFFICIENT_FUNDS": 1},
    },
}


@pytest.mark.integration
@pytest.mark.usefixtures("filled")
async def test_a_day_shows_its_figures_its_hours_and_where_it_was_cut(client: httpx2.AsyncClient) -> None:
    body = (await client.get("/reports/daily/2026-11-24")).json()
    assert (body["date"], body["time_zone"], body["closed_at"], body["restatements"]) == ("2026-11-24", "UTC", None, [])
    for currency, expected in FIGURES.items():
        assert expected.items() <= body["currencies"][currency].items()
    found = body["currencies"]["USD"]
    assert (found["net_revenue_minor"], found["hold_percentage"], found["average_stake_minor"]) == (600, "60.00", 1000)
    assert (found["active_players"], found["new_players"], found["liabilities_minor"]) == (1, 1, -600)
    assert found["hours"]["10"]["ggr_minor"] == 600
    ((lane, position),) = body["positions"].items()
    assert (position, len(body["heads"][lane])) == (4, 64)


@pytest.mark.integration
@pytest.mark.usefixtures("filled")
async def test_a_day_without_rows_shows_what_is_still_owed(client: httpx2.AsyncClient) -> None:
    found = (await client.get("/reports/daily/2026-11-25")).json()["currencies"]
    assert {currency: figures["liabilities_minor"] for currency, figures in found.items()} == {"JPY": 70, "USD": -600}
    assert found["USD"]["kinds"] == {}


@pytest.mark.integration
@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("form", Format)
async def test_a_report_is_answered_in_every_form(client: httpx2.AsyncClient, form: Format) -> None:
    query = {"from": "2026-11-24", "to": "2026-11-25", "format": form.value}
    response = await client.get("/reports/export", params=query)
    assert (response.status_code, response.headers["content-type"]) == (200, form.media_type)
    assert response.content


@pytest.mark.parametrize("last", ["2026-11-23", "2027-11-25", "today"])
async def test_what_is_no_period_is_refused_by_name(gate: httpx2.AsyncClient, last: str) -> None:
    response = await gate.get("/reports/summary", params={"from": "2026-11-24", "to": last})
    assert [error["field"] for error in response.json()["errors"]] == ["to"]


@pytest.mark.integration
@pytest.mark.usefixtures("filled")
async def test_totals_are_over_all_days(client: httpx2.AsyncClient) -> None:
    response = await client.get("/totals")
    assert response.json() == {"currencies": FIGURES, "positions": {"0": 1021, "2": 4}}


@pytest.mark.parametrize("day", ["2026-13-01", "today", "2026-02-30", "0", "20261124", "1e400"])
async def test_what_is_no_date_is_refused_by_name(gate: httpx2.AsyncClient, day: str) -> None:
    response = await gate.get(f"/reports/daily/{day}")
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == ["date"]


@pytest.mark.parametrize("path", ["/reports/daily/2026-11-24", "/totals", "/reports/summary", "/reports/export"])
@pytest.mark.parametrize("authorization", [None, "Bearer wrong", TOKEN])
async def test_only_the_platforms_own_services_may_ask(
    gate: httpx2.AsyncClient, path: str, authorization: str | None
) -> None:
    gate.headers.pop("Authorization")
    response = await gate.get(path, headers={"Authorization": authorization} if authorization else {})
    assert response.status_code == 401
    assert response.json()["code"] == "UNAUTHENTICATED"


async def test_a_database_that_is_not_there_reads_as_unavailable(gate: httpx2.AsyncClient) -> None:
    response = await gate.get("/totals")
    assert response.status_code == 503
    assert response.json()["code"] == "DATABASE_UNAVAILABLE"
    assert response.headers["Retry-After"] == "1"
