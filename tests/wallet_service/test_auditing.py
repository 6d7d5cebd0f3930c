"""Audits of one player, and its wallet as it was, from the journal."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import clock
from shared import database as databases
from shared.contracts.kinds import Kind
from shared.lanes import lane_of
from shared.signing import ChainKeys
from tests.support import LANES, Database, as_administrator
from tests.wallet_service.support import CHAIN_KEYS, command, decide
from tests.wallet_service.test_endpoints import problem, serving
from wallet_service.domain.needs import JournalRow

pytestmark = pytest.mark.integration

CHAIN = ChainKeys.parse(CHAIN_KEYS)
USER = 42
LANE = lane_of(USER, LANES)
NEIGHBOUR = next(user for user in range(43, 999) if lane_of(user, LANES) == LANE)


@pytest.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(database.dsn("wallet_service")) as client:
        yield client


@pytest.fixture
async def rows(engine: AsyncEngine) -> list[JournalRow]:
    """A player's rows in two currencies, a neighbour's between them; a batch for each."""
    made: list[JournalRow] = []
    for each in (
        command(Kind.DEPOSIT, 1000),
        command(Kind.DEPOSIT, 700, NEIGHBOUR),
        command(Kind.DEPOSIT, 500, currency="JPY"),
        command(Kind.GAME_BET, 300),
        command(Kind.GAME_BET, 9999, round_id="too-much"),
        command(Kind.WITHDRAWAL_HOLD, 200),
    ):
        made += await decide(engine, [each], LANES, CHAIN)
    return made


async def tamper(database: Database, statement: str) -> None:
    await as_administrator(database, "ALTER TABLE wallet.transactions DISABLE TRIGGER USER")
    await as_administrator(database, statement)


class TestBalanceAudit:
    """Stored balances, the fold, and the chain of the player's rows."""

    async def test_an_honest_player_is_consistent(self, http: httpx2.AsyncClient, rows: list[JournalRow]) -> None:
        assert (await http.get(f"/users/{USER}/balance-audit")).json() == {
            "user_id": USER,
            "lane": LANE,
            "rows": 5,
            "accounts": [
                {
                    "currency": "JPY",
                    "cash_minor": 500,
                    "reserved_minor": 0,
                    "folded_cash_minor": 500,
                    "folded_reserved_minor": 0,
                },
                {
                    "currency": "USD",
                    "cash_minor": 500,
                    "reserved_minor": 200,
                    "folded_cash_minor": 500,
                    "folded_reserved_minor": 200,
                },
            ],
            "finding_count": 0,
            "findings": [],
            "consistent": True,
        }

    async def test_a_balance_without_a_row(
        self, http: httpx2.AsyncClient, rows: list[JournalRow], database: Database
    ) -> None:
        await tamper(database, f"UPDATE wallet.accounts SET cash = 501 WHERE user_id = {USER} AND currency = 'JPY'")
        found = (await http.get(f"/users/{USER}/balance-audit")).json()
        assert (found["consistent"], found["finding_count"]) == (False, 0)
        assert (found["accounts"][0]["cash_minor"], found["accounts"][0]["folded_cash_minor"]) == (501, 500)

    async def test_a_changed_row(self, http: httpx2.AsyncClient, rows: list[JournalRow], database: Database) -> None:
        await tamper(database, "UPDATE wallet.transactions SET amount = 301 WHERE position = 4")
        found = (await http.get(f"/users/{USER}/balance-audit")).json()
        assert found["consistent"] is False
        assert found["findings"][0] == {"position": 4, "what": "checksum mismatch"}
        assert "says cash 700 and reserved 0; the rows up to it give 699 and 0" in found["findings"][1]["what"]

    async def test_a_row_missing_in_front(
        self, http: httpx2.AsyncClient, rows: list[JournalRow], database: Database
    ) -> None:
        await tamper(database, "DELETE FROM wallet.transactions WHERE position = 2")
        found = (await http.get(f"/users/{USER}/balance-audit")).json()
        assert found["findings"] == [{"position": 3, "what": "the row in front of it is missing"}]

    async def test_a_player_that_never_played(self, http: httpx2.AsyncClient) -> None:
        problem(await http.get("/users/7/balance-audit"), 404, "NOT_FOUND")


class TestAsOf:
    """The journal says what a wallet was, to the row."""

    async def test_at_each_rows_own_moment_and_just_before_it(
        self, http: httpx2.AsyncClient, rows: list[JournalRow]
    ) -> None:
        seen = []
        for row in rows:
            moment = clock.to_text(row.content.created_at)
            found = (await http.get(f"/users/{USER}/wallet", params={"as_of": moment})).json()
            cash = {each["currency"]: each["cash_minor"] for each in found["balances"]}
            seen.append((found["position"], cash.get("USD"), cash.get("JPY"), found["balances"][-1]["reserved_minor"]))
        assert seen == [
            (1, 1000, None, 0),
            (1, 1000, None, 0),
            (3, 1000, 500, 0),
            (4, 700, 500, 0),
            (5, 700, 500, 0),
            (6, 500, 500, 200),
        ]

    async def test_before_the_first_row_there_is_no_wallet(
        self, http: httpx2.AsyncClient, rows: list[JournalRow]
    ) -> None:
        response = await http.get(f"/users/{USER}/wallet", params={"as_of": "2026-01-01T00:00:00Z"})
        problem(response, 404, "NOT_FOUND")

    async def test_the_future_is_not_known(self, http: httpx2.AsyncClient, rows: list[JournalRow]) -> None:
        response = await http.get(f"/users/{USER}/wallet", params={"as_of": "2199-01-01T00:00:00Z"})
        assert problem(response, 422, "VALIDATION_FAILED")["errors"][0]["field"] == "as_of"

    async def test_a_batch_that_is_under_way_is_waited_for(
        self, http: httpx2.AsyncClient, rows: list[JournalRow], engine: AsyncEngine
    ) -> None:
        """Its rows are dated before they are committed: an answer without them would not stay true."""
        async with databases.transaction(engine) as connection:
            await connection.exec_driver_sql(f"SELECT * FROM lanes WHERE lane = {LANE} FOR UPDATE")
            asked = asyncio.create_task(
                http.get(f"/users/{USER}/wallet", params={"as_of": clock.to_text(clock.utc_now())})
            )
            finished, _ = await asyncio.wait([asked], timeout=0.3)
            assert not finished
        assert (await asked).status_code == 200
