"""The wallet over HTTP: what the platform's other services read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database as databases
from shared import problems
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind
from shared.journal import HttpJournal
from shared.keyring import Keyring
from shared.lanes import lane_of
from tests.support import LANES, TOKEN, Database
from tests.wallet_service.batches import take
from tests.wallet_service.support import CHAIN_KEYS, CHECKPOINT_KEYS, command
from wallet_service import endpoints
from wallet_service.domain.limits import Rules
from wallet_service.domain.needs import JournalRow, Placed
from wallet_service.repository import Audits, Integrity, Reads, Reconciliations, Seals, Standings
from wallet_service.settings import Settings
from wallet_service.tables import SCHEMA

USER = 42
LANE = lane_of(USER, LANES)
ROWS = TypeAdapter(list[LedgerEvent])


def settings(dsn: str) -> Settings:
    """The service's settings; nothing here needs a broker."""
    return Settings.load(
        kafka_bootstrap_servers="127.0.0.1:1",
        lanes=LANES,
        internal_api_token=TOKEN,
        wallet_database_url=dsn,
        chain_keys=CHAIN_KEYS,
        checkpoint_keys=CHECKPOINT_KEYS,
        checkpoint_sink="file:///nowhere",
    )


@asynccontextmanager
async def serving(dsn: str, rules: Rules | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """The endpoints, and a client that shows the token. The limits are the settings' unless others are given."""
    engine = databases.create_engine(dsn, application="test", schema=SCHEMA)
    app = FastAPI()
    problems.install(app)
    reads, keyring = Reads(engine, LANES), Keyring.parse(CHAIN_KEYS, CHECKPOINT_KEYS)
    app.include_router(endpoints.router(settings(dsn), reads))
    app.include_router(endpoints.proofs(settings(dsn), reads, Seals(engine), Audits(engine), keyring))
    app.include_router(endpoints.reconciliations(settings(dsn), Reconciliations(engine), Integrity(engine)))
    rules = rules or settings(dsn).rules()
    app.include_router(endpoints.limits(settings(dsn), rules, reads, Standings(engine, rules.windows), keyring))
    transport = httpx2.ASGITransport(app=app)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://wallet", headers=headers) as client:
        yield client
    await engine.dispose()


@pytest.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    """The endpoints on the test's database."""
    async with serving(database.dsn("wallet_service")) as client:
        yield client


@pytest.fixture
async def gate() -> AsyncIterator[httpx2.AsyncClient]:
    """The endpoints where there is no database."""
    async with serving("postgresql://nobody:nothing@127.0.0.1:1/nowhere") as client:
        yield client


async def posted(engine: AsyncEngine, *amounts: int, user_id: int = USER, **fields: Any) -> list[JournalRow]:
    """Rows of deposits."""
    lane = lane_of(user_id, LANES)
    made = [Placed(lane, command(Kind.DEPOSIT, amount, user_id, command_id=uuid4(), **fields)) for amount in amounts]
    return [answer.row for answer in await take(engine, made)]


def problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["code"] == code
    return body


@pytest.mark.integration
async def test_a_wallet_has_its_balances_by_currency(http: httpx2.AsyncClient, engine: AsyncEngine) -> None:
    await posted(engine, 1000)
    await posted(engine, 500, currency="JPY")
    await posted(engine, 70, currency="EUR")
    await take(engine, [Placed(LANE, command(Kind.WITHDRAWAL_HOLD, 400, USER, command_id=uuid4()))])
    assert (await http.get(f"/users/{USER}/wallet")).json() == {
        "user_id": USER,
        "balances": [
            {"currency": "EUR", "cash_minor": 70, "reserved_minor": 0},
            {"currency": "JPY", "cash_minor": 500, "reserved_minor": 0},
            {"currency": "USD", "cash_minor": 600, "reserved_minor": 400},
        ],
    }


@pytest.mark.integration
async def test_a_player_without_accounts_is_not_found(http: httpx2.AsyncClient) -> None:
    assert "42" in problem(await http.get("/users/42/wallet"), 404, "NOT_FOUND")["detail"]


@pytest.mark.integration
async def test_a_history_is_newest_first_and_goes_on_below_a_position(
    http: httpx2.AsyncClient, engine: AsyncEngine
) -> None:
    rows = await posted(engine, 1, 2, 3, 4, 5)
    await posted(engine, 9, user_id=next(user for user in range(43, 99) if lane_of(user, LANES) == LANE))
    first = ROWS.validate_json((await http.get(f"/users/{USER}/transactions?limit=2")).content)
    assert [event.amount_minor for event in first] == [5, 4]
    assert first[0].checksum == rows[4].checksum.hex()
    rest = ROWS.validate_json((await http.get(f"/users/{USER}/transactions?before={first[-1].position}")).content)
    assert [event.amount_minor for event in rest] == [3, 2, 1]
    assert (await http.get("/users/7/transactions")).json() == []


@pytest.mark.integration
async def test_a_decision_is_found_by_its_command(http: httpx2.AsyncClient, engine: AsyncEngine) -> None:
    (row,) = await posted(engine, 1000)
    event = LedgerEvent.model_validate_json((await http.get(f"/transactions/{row.content.command_id}")).content)
    assert (event.lane, event.position, event.checksum) == (LANE, 1, row.checksum.hex())
    problem(await http.get(f"/transactions/{uuid4()}"), 404, "NOT_FOUND")


@pytest.mark.integration
async def test_the_journal_is_what_consumers_heal_from(http: httpx2.AsyncClient, engine: AsyncEngine) -> None:
    rows = await posted(engine, 1, 2, 3)
    journal = HttpJournal(http)
    (head,) = await journal.heads()
    assert (head.lane, head.position, head.published, head.head) == (LANE, 3, 0, rows[-1].checksum.hex())
    assert [event.position for event in await journal.rows(LANE, 0, 2)] == [1, 2]
    assert [event.position for event in await journal.rows(LANE, 2, 1000)] == [3]
    assert await journal.rows(LANE, 3, 1000) == []


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/users/0/wallet", "user_id"),
        ("/users/-1/wallet", "user_id"),
        (f"/users/{2**63}/wallet", "user_id"),
        ("/users/me/wallet", "user_id"),
        pytest.param(f"/users/{'9' * 5000}/wallet", "user_id", id="/users/999.../wallet"),
        ("/users/42/transactions?limit=0", "limit"),
        ("/users/42/transactions?limit=1001", "limit"),
        ("/users/42/transactions?before=0", "before"),
        (f"/users/42/transactions?before={2**63}", "before"),
        ("/transactions/42", "command_id"),
        ("/lanes/-1/journal", "lane"),
        (f"/lanes/{LANES}/journal", "lane"),
        ("/lanes/0/journal?after=-1", "after"),
        (f"/lanes/0/journal?after={2**63}", "after"),
        ("/lanes/0/journal?limit=1001", "limit"),
        ("/users/0/limits", "user_id"),
        ("/users/42/limit-changes?limit=0", "limit"),
        ("/users/42/metrics?days=0", "days"),
        ("/users/42/metrics?days=91", "days"),
        ("/held-payouts?limit=1001", "limit"),
    ],
)
async def test_what_is_wrong_is_named(gate: httpx2.AsyncClient, path: str, field: str) -> None:
    body = problem(await gate.get(path), 422, "VALIDATION_FAILED")
    assert [error["field"] for error in body["errors"]] == [field]


PATHS = (
    "/users/42/wallet",
    "/users/42/transactions",
    "/transactions/6f1c2a34-0000-0000-0000-000000000000",
    "/lanes",
    "/lanes/0/journal",
    "/reconciliations",
    "/reconciliations/6f1c2a34-0000-0000-0000-000000000000",
    "/integrity",
    "/users/42/limits",
    "/users/42/limit-changes",
    "/users/42/metrics",
    "/held-payouts",
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "shown", ["", "Bearer ", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer é"]
)
async def test_nobody_gets_in_without_the_platforms_token(gate: httpx2.AsyncClient, path: str, shown: str) -> None:
    response = await gate.get(path, headers={b"Authorization": shown.encode()})
    problem(response, 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("path", PATHS)
async def test_a_database_that_is_away_is_said_at_once(gate: httpx2.AsyncClient, path: str) -> None:
    response = await gate.get(path)
    problem(response, 503, "DATABASE_UNAVAILABLE")
    assert response.headers["retry-after"] == "1"
