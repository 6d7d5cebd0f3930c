"""The fraud service over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.domain import velocity as domain
from fraud_service.endpoints import velocity as endpoints
from fraud_service.repository import velocity as repository
from fraud_service.repository.velocity import Reads
from fraud_service.settings import Settings
from fraud_service.tables import inbox
from shared import database as databases
from shared import problems
from shared.contracts.kinds import Kind
from shared.testing import MOMENT, FakeLedger
from tests.support import TOKEN

NOW = MOMENT + timedelta(minutes=30, seconds=20)


@asynccontextmanager
async def serving(settings: Settings, engine: AsyncEngine) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that shows the token, at half past ten."""
    app = FastAPI()
    problems.install(app)
    app.include_router(endpoints.router(settings, Reads(engine), lambda: NOW))
    transport = httpx2.ASGITransport(app=app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://fraud", headers=headers) as client:
        yield client


@pytest.fixture
async def client(settings: Settings, engine: AsyncEngine) -> AsyncIterator[httpx2.AsyncClient]:
    """The endpoints on the test's database."""
    async with serving(settings, engine) as client:
        yield client


@pytest.fixture
async def gate(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """The endpoints on a database that is not there: for what is refused before one is needed."""
    engine = databases.create_engine(settings.fraud_database_url, application="test", schema="fraud")
    async with serving(settings, engine) as client:
        yield client


@pytest.fixture
async def lane(engine: AsyncEngine, ledger: FakeLedger) -> int:
    """Player 42 made 11 bets at ten, 2 bets at 10:29 and 3 now; player 43 only deposited. Returns player 42's lane."""
    rows = [ledger.add(Kind.DEPOSIT, 43)]
    for minute, bets in ((0, 11), (29, 2), (30, 3)):
        rows += [ledger.add(Kind.GAME_BET, 42, at=MOMENT + timedelta(minutes=minute, seconds=s)) for s in range(bets)]
    async with databases.transaction(engine) as connection:
        await repository.save(connection, domain.fold(rows), keep_since=MOMENT)
        await connection.execute(insert(inbox), [{"lane": lane, "position": 100 + lane} for lane in range(4)])
    return rows[-1].lane


@pytest.mark.integration
async def test_a_players_bets_per_minute(client: httpx2.AsyncClient, lane: int) -> None:
    response = await client.get("/users/42/bet-velocity")
    assert response.status_code == 200
    assert response.json() == {
        "user_id": 42,
        "bets_last_minute": 3,
        "peak_per_minute": 11,
        "above_threshold": True,
        "buckets": [
            {"minute": "2026-11-24T10:00:00Z", "bets": 11},
            {"minute": "2026-11-24T10:29:00Z", "bets": 2},
            {"minute": "2026-11-24T10:30:00Z", "bets": 3},
        ],
        "applied": {"lane": lane, "position": 100 + lane},
    }


@pytest.mark.integration
@pytest.mark.usefixtures("lane")
async def test_the_window_is_as_long_as_asked(client: httpx2.AsyncClient) -> None:
    body = (await client.get("/users/42/bet-velocity?minutes=30")).json()
    assert [bucket["bets"] for bucket in body["buckets"]] == [2, 3]
    assert body["peak_per_minute"] == 3
    assert body["above_threshold"] is False


@pytest.mark.integration
@pytest.mark.usefixtures("lane")
async def test_a_player_without_bets_has_no_speed(client: httpx2.AsyncClient) -> None:
    body = (await client.get("/users/43/bet-velocity")).json()
    assert (body["bets_last_minute"], body["peak_per_minute"], body["buckets"]) == (0, 0, [])


@pytest.mark.integration
@pytest.mark.usefixtures("lane")
async def test_an_unknown_player_is_not_found(client: httpx2.AsyncClient) -> None:
    response = await client.get("/users/44/bet-velocity")
    assert response.status_code == 404
    assert response.json()["code"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/users/0/bet-velocity", "user_id"),
        ("/users/x/bet-velocity", "user_id"),
        (f"/users/{2**63}/bet-velocity", "user_id"),
        ("/users/1/bet-velocity?minutes=0", "minutes"),
        ("/users/1/bet-velocity?minutes=1441", "minutes"),
        ("/users/1/bet-velocity?minutes=ten", "minutes"),
    ],
)
async def test_wrong_input_is_refused_by_name(gate: httpx2.AsyncClient, path: str, field: str) -> None:
    response = await gate.get(path)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


async def test_only_the_platforms_own_services_may_ask(gate: httpx2.AsyncClient) -> None:
    gate.headers.pop("Authorization")
    assert (await gate.get("/users/42/bet-velocity")).status_code == 401
