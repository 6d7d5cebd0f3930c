"""What a reconciliation finds: each kind of discrepancy, planted in SQL by somebody who may do anything."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database as databases
from shared.contracts.integrity import Discrepancy, Period
from shared.contracts.kinds import Kind
from shared.lanes import lane_of
from shared.signing import ChainKeys
from tests.support import LANES, Database, as_administrator
from tests.wallet_service.support import CHAIN_KEYS, command, decide
from wallet_service.domain.reconciling import Outcome, last_month
from wallet_service.repository import reconcile, reconciling

CHAIN = ChainKeys.parse(CHAIN_KEYS)
USER = 42
LANE = lane_of(USER, LANES)
NEIGHBOUR = next(user for user in range(43, 999) if lane_of(user, LANES) == LANE)
ELSEWHERE = next(user for user in range(43, 999) if lane_of(user, LANES) != LANE)
START = datetime(2026, 3, 1, tzinfo=UTC)
# One row of the lane a minute, from START on.
ROWS = 8

Where = dict[str, int | str]


def minutes(first: float, last: float) -> Period:
    return Period(start=START + timedelta(minutes=first), end=START + timedelta(minutes=last))


ALL = minutes(0, 60)


@dataclass(frozen=True)
class Books:
    """A ledger, and whoever owns its server."""

    engine: AsyncEngine
    database: Database

    async def tamper(self, statement: str) -> None:
        await as_administrator(self.database, "ALTER TABLE wallet.transactions DISABLE TRIGGER USER")
        await as_administrator(self.database, statement)

    async def reconciled(self, period: Period = ALL) -> Outcome:
        snapshots = self.engine.execution_options(isolation_level="REPEATABLE READ")
        async with databases.transaction(snapshots) as connection:
            return await reconcile(connection, period)

    async def found(self, period: Period = ALL) -> list[Discrepancy]:
        outcome = await self.reconciled(period)
        assert outcome.discrepancy_count == len(outcome.discrepancies)
        return list(outcome.discrepancies)


@pytest.fixture
async def books(engine: AsyncEngine, database: Database) -> Books:
    """Rows of two players on a lane, dated a minute apart, and some of a third on another lane."""
    for each in (
        command(Kind.DEPOSIT, 1000),
        command(Kind.DEPOSIT, 700, NEIGHBOUR),
        command(Kind.DEPOSIT, 500, currency="JPY"),
        command(Kind.GAME_BET, 300),
        command(Kind.GAME_BET, 9999, round_id="too-much"),
        command(Kind.GAME_BET, 1, currency="EUR", round_id="no-account"),
        command(Kind.WITHDRAWAL_HOLD, 200),
        command(Kind.GAME_PAYOUT, 50),
        command(Kind.DEPOSIT, 100, ELSEWHERE),
    ):
        await decide(engine, [each], LANES, CHAIN)
    made = Books(engine, database)
    await made.tamper(
        f"""UPDATE wallet.transactions SET created_at = '{START.isoformat()}'::timestamptz
            + (position - 1) * interval '1 minute'"""
    )
    return made


def discrepancy(kind: str, expected: str, found: str | None, **where: int | str) -> Discrepancy:
    nowhere: dict[str, int | str | None] = dict.fromkeys(("user_id", "currency", "account", "position"))
    return Discrepancy.model_validate(
        {"kind": kind, "lane": LANE, **nowhere, **where, "expected": expected, "found": found}
    )


@pytest.mark.integration
class TestDiscrepancies:
    """Each kind, at its place, with what should be and what is."""

    async def test_an_honest_ledger_has_none(self, books: Books) -> None:
        assert await books.reconciled() == Outcome(ROWS + 1, 0, [])

    async def test_a_row_whose_balance_does_not_follow(self, books: Books) -> None:
        await books.tamper(f"UPDATE wallet.transactions SET amount = 301 WHERE lane = {LANE} AND position = 4")
        where: Where = {"user_id": USER, "currency": "USD", "account": "cash", "position": 4}
        assert await books.found() == [discrepancy("balance", "699", "700", **where)]

    async def test_a_row_whose_balance_was_changed_and_the_row_after_it(self, books: Books) -> None:
        await books.tamper(f"UPDATE wallet.transactions SET reserved_after = 7 WHERE lane = {LANE} AND position = 4")
        where: Where = {"user_id": USER, "currency": "USD", "account": "reserved"}
        assert await books.found() == [
            discrepancy("balance", "0", "7", **where, position=4),
            # It is refused: nothing moves.
            discrepancy("balance", "7", "0", **where, position=5),
        ]

    async def test_a_refusal_that_was_made_posted(self, books: Books) -> None:
        await books.tamper(f"UPDATE wallet.transactions SET status = 'posted' WHERE lane = {LANE} AND position = 5")
        where: Where = {"user_id": USER, "currency": "USD", "account": "cash", "position": 5}
        assert await books.found() == [discrepancy("balance", "-9299", "700", **where)]

    async def test_the_first_row_of_the_period_follows_the_one_before_the_period(self, books: Books) -> None:
        await books.tamper(f"UPDATE wallet.transactions SET cash_after = 999 WHERE lane = {LANE} AND position = 1")
        where: Where = {"user_id": USER, "currency": "USD", "account": "cash", "position": 4}
        assert await books.found(minutes(2, 5)) == [discrepancy("balance", "699", "700", **where)]

    async def test_an_account_that_is_not_as_its_last_row_says(self, books: Books) -> None:
        await books.tamper(f"UPDATE wallet.accounts SET cash = 501 WHERE user_id = {USER} AND currency = 'JPY'")
        where: Where = {"user_id": USER, "currency": "JPY", "account": "cash", "position": 3}
        assert await books.found() == [
            discrepancy("conservation", "0", "1", currency="JPY"),
            discrepancy("stored_balance", "500", "501", **where),
        ]

    async def test_an_account_that_is_not_there(self, books: Books) -> None:
        await books.tamper(f"DELETE FROM wallet.accounts WHERE user_id = {NEIGHBOUR}")
        where: Where = {"user_id": NEIGHBOUR, "currency": "USD", "account": "cash", "position": 2}
        assert await books.found() == [
            discrepancy("conservation", "0", "-700", currency="USD"),
            discrepancy("stored_balance", "700", "0", **where),
        ]

    async def test_an_account_stands_as_its_last_row_says_though_the_period_ended_before_it(self, books: Books) -> None:
        await books.tamper(f"UPDATE wallet.accounts SET cash = cash - 1 WHERE user_id = {USER} AND currency = 'USD'")
        where: Where = {"user_id": USER, "currency": "USD", "account": "cash", "position": 8}
        assert (await books.found(minutes(0, 1)))[1:] == [discrepancy("stored_balance", "550", "549", **where)]

    async def test_a_reserved_balance_without_its_hold(self, books: Books) -> None:
        await books.tamper(f"UPDATE wallet.holds SET remaining = 150 WHERE user_id = {USER}")
        where: Where = {"user_id": USER, "currency": "USD", "account": "reserved", "position": 8}
        assert await books.found() == [discrepancy("reserved", "150", "200", **where)]

    async def test_money_out_of_nothing_on_one_lane(self, books: Books) -> None:
        await books.tamper(
            f"UPDATE wallet.house_accounts SET balance = balance + 5 WHERE lane = {LANE} AND account = 'revenue'"
        )
        assert await books.found() == [discrepancy("conservation", "0", "5", currency="USD")]

    async def test_figures_that_no_64_bits_hold(self, books: Books) -> None:
        await books.tamper(
            f"""UPDATE wallet.transactions SET amount = {2**63 - 1}, debit = 'clearing', credit = 'cash'
            WHERE lane = {LANE} AND position = 4"""
        )
        where: Where = {"user_id": USER, "currency": "USD", "account": "cash", "position": 4}
        assert await books.found() == [discrepancy("balance", str(2**63 + 999), "700", **where)]


@pytest.mark.integration
class TestGaps:
    """What is missing is found, and halving finds its way past it."""

    @pytest.mark.parametrize(
        ("missing", "expected", "found"),
        [("position = 5", 5, "6"), ("position IN (5, 6)", 5, "7"), ("position = 1", 1, "2"), ("position > 6", 7, None)],
    )
    async def test_rows_that_are_missing(self, books: Books, missing: str, expected: int, found: str | None) -> None:
        await books.tamper(f"DELETE FROM wallet.transactions WHERE lane = {LANE} AND {missing}")
        gaps = [each for each in await books.found(_until_now()) if each.kind == "position_gap"]
        assert gaps == [discrepancy("position_gap", str(expected), found, position=expected)]

    async def test_a_lane_without_any_of_its_rows(self, books: Books) -> None:
        await books.tamper(f"DELETE FROM wallet.transactions WHERE lane = {LANE}")
        assert await books.found(_until_now()) == [discrepancy("position_gap", "1", None, position=1)]

    async def test_what_is_missing_where_two_periods_meet_is_found_once(self, books: Books) -> None:
        await books.tamper(f"DELETE FROM wallet.transactions WHERE lane = {LANE} AND position IN (4, 5)")
        # The missing rows were decided on both sides of the border.
        earlier, later = await books.found(minutes(0, 4)), await books.found(minutes(4, 60))
        gaps = [each for each in earlier + later if each.kind == "position_gap"]
        assert gaps == [discrepancy("position_gap", "4", "6", position=4)]


def _until_now() -> Period:
    """To where the lane's last decision is dated, which stands for rows that are missing at its end."""
    return Period(start=START, end=datetime(2199, 1, 1, tzinfo=UTC))


@pytest.mark.integration
class TestThePeriod:
    """Half-open, to the row."""

    @pytest.mark.parametrize(
        ("first", "last", "rows"),
        [
            (2, 5, 3),
            (2.001, 5, 2),
            (2, 5.001, 4),
            (-10, 0, 0),
            (-10, 0.001, 2),
            (7, 60, 1),
            (7.001, 60, 0),
            (60, 90, 0),
            (-10, 60, ROWS + 1),
        ],
    )
    async def test_a_row_at_its_start_counts_and_one_at_its_end_does_not(
        self, books: Books, first: float, last: float, rows: int
    ) -> None:
        assert (await books.reconciled(minutes(first, last))).rows == rows

    async def test_what_is_wrong_outside_it_is_not_told(self, books: Books) -> None:
        await books.tamper(f"UPDATE wallet.transactions SET amount = 301 WHERE lane = {LANE} AND position = 4")
        assert await books.found(minutes(0, 3)) == []
        assert await books.found(minutes(4, 60)) == []
        assert len(await books.found(minutes(3, 4))) == 1

    async def test_an_empty_ledger_reconciles(self, engine: AsyncEngine, database: Database) -> None:
        assert await Books(engine, database).reconciled() == Outcome(0, 0, [])


@pytest.mark.integration
async def test_all_are_counted_and_the_first_are_kept(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciling, "MAX_KEPT", 3)
    await books.tamper(f"UPDATE wallet.transactions SET amount = amount + 1 WHERE lane = {LANE}")
    await books.tamper(f"UPDATE wallet.holds SET remaining = 150 WHERE user_id = {USER}")
    outcome = await books.reconciled()
    # Six posted rows, one of which moves on two accounts; and the hold, which is told before them.
    assert outcome.discrepancy_count == 8
    assert [(each.kind, each.position) for each in outcome.discrepancies] == [
        ("reserved", 8),
        ("balance", 1),
        ("balance", 2),
    ]


@pytest.mark.parametrize(
    ("now", "zone", "start", "end"),
    [
        ("2026-11-24T10:00:00Z", "UTC", "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
        ("2026-01-01T00:00:00Z", "UTC", "2025-12-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("2025-12-31T23:59:59Z", "UTC", "2025-11-01T00:00:00Z", "2025-12-01T00:00:00Z"),
        # Clocks changed on 25 October: an hour more.
        ("2026-11-24T10:00:00Z", "Europe/Malta", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"),
        # There it is November already.
        ("2026-10-31T23:30:00Z", "Europe/Malta", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"),
        ("2026-11-01T03:59:59Z", "America/New_York", "2026-09-01T04:00:00Z", "2026-10-01T04:00:00Z"),
    ],
)
def test_the_last_month_is_the_calendars(now: str, zone: str, start: str, end: str) -> None:
    found = last_month(datetime.fromisoformat(now), ZoneInfo(zone))
    assert found == Period.model_validate({"from": start, "to": end})
