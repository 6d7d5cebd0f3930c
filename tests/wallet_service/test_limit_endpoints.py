"""How a player stands, read over HTTP from the real tables: limits, their changes, what was played, what is held."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import httpx2
import orjson
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import clock
from shared.contracts.commands import Command, encode
from shared.contracts.kinds import (
    DISPUTE_KINDS,
    LIMIT_KINDS,
    NEEDS_ORIGINAL,
    NEEDS_REFERENCE,
    PLAYER_KINDS,
    Kind,
    Status,
)
from shared.contracts.readings import BlockReading, Check, HeldPayout, LimitReading, PlayerMetrics, RestrictionsReading
from shared.lanes import lane_of
from shared.signing import ChainKeys
from tests.support import LANES, Database, as_administrator
from tests.wallet_service.batches import contents
from tests.wallet_service.support import CHAIN_KEYS, FAR_LIMITS, command, decide
from tests.wallet_service.test_endpoints import problem, serving
from wallet_service.domain.limits import Window, WindowMode, Windows
from wallet_service.domain.needs import JournalRow
from wallet_service.settings import LimitSettings

pytestmark = pytest.mark.integration

USER = 42
LANE = lane_of(USER, LANES)
KEYS = ChainKeys.parse(CHAIN_KEYS)
ZONE = "America/New_York"
RULES = LimitSettings(
    **FAR_LIMITS
    | {
        "currency_limits": {},
        "daily_loss_limit": "50",
        "max_bet_amount": "20",
        "max_payout_amount": "30",
        "withdrawal_cooldown_seconds": 3600,
        "jurisdiction_limits": {"USD": {"DAILY_LOSS_LIMIT": "45"}},
        "platform_time_zone": ZONE,
    }
).rules()


@pytest.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    """The endpoints under the limits above."""
    async with serving(database.dsn("wallet_service"), RULES) as client:
        yield client


async def decided(engine: AsyncEngine, *asked: Command) -> list[JournalRow]:
    """Rows of commands, decided under the limits above."""
    return await decide(engine, asked, LANES, KEYS, RULES)


async def limits(http: httpx2.AsyncClient, user_id: int = USER) -> dict[str, LimitReading]:
    """A player's limits in USD by name."""
    response = await http.get(f"/users/{user_id}/limits")
    return {each["name"]: LimitReading.model_validate(each) for each in response.json() if each["currency"] == "USD"}


def bet(amount_minor: int, reference_id: str = "game_77") -> Command:
    return command(Kind.GAME_BET, amount_minor, command_id=uuid4(), reference_id=reference_id)


class TestLimits:
    async def test_a_player_of_whom_nothing_is_known_has_the_operators(self, http: httpx2.AsyncClient) -> None:
        found = await limits(http)
        loss = found["DAILY_LOSS_LIMIT"]
        assert (loss.effective, loss.operator, loss.jurisdiction) == (4500, 5000, 4500)
        assert (loss.override, loss.own, loss.pending) == (None, None, None)
        assert loss.window is not None
        assert (loss.window.mode, loss.window.used, loss.window.remaining) == ("calendar", 0, 4500)
        today = datetime.now(ZoneInfo(ZONE)).date()
        assert loss.window.starts_at == datetime(today.year, today.month, today.day, tzinfo=ZoneInfo(ZONE))
        unset = found["WEEKLY_DEPOSIT_LIMIT"]
        assert unset.effective is None
        assert unset.window is not None
        assert (unset.window.used, unset.window.remaining) == (0, None)
        assert found["MAX_BET_AMOUNT"].window is None
        assert found["WITHDRAWAL_COOLDOWN_SECONDS"].withdrawals_from is None

    async def test_what_was_lost_and_taken_back_is_counted(self, http: httpx2.AsyncClient, engine: AsyncEngine) -> None:
        (deposit, *_) = await decided(
            engine,
            command(Kind.DEPOSIT, 10_000),
            bet(1500, "a"),
            bet(2000, "b"),
            command(Kind.GAME_PAYOUT, 300, reference_id="a"),
            command(Kind.BET_ROLLBACK, 2000, reference_id="b"),
        )
        found = await limits(http)
        loss, deposits = found["DAILY_LOSS_LIMIT"].window, found["DAILY_DEPOSIT_LIMIT"].window
        assert loss is not None
        assert deposits is not None
        assert (loss.used, loss.remaining, deposits.used) == (1200, 3300, 10_000)
        assert found["WITHDRAWAL_COOLDOWN_SECONDS"].withdrawals_from == deposit.content.created_at + timedelta(hours=1)

    async def test_whose_limit_is_whose(self, http: httpx2.AsyncClient, engine: AsyncEngine) -> None:
        await decided(
            engine,
            command(Kind.LIMIT_OVERRIDE, 9000),
            command(Kind.LIMIT_REQUEST, 4000),
            command(Kind.LIMIT_REQUEST, 4200),
            command(Kind.LIMIT_OVERRIDE, 0, reference_id="WITHDRAWAL_COOLDOWN_SECONDS"),
            command(Kind.DEPOSIT, 100),
        )
        found = await limits(http)
        loss = found["DAILY_LOSS_LIMIT"]
        assert (loss.effective, loss.operator, loss.override, loss.jurisdiction, loss.own) == (
            *(4000, 5000, 9000),
            *(4500, 4000),
        )
        assert loss.pending is not None
        assert loss.pending.value == 4200
        assert loss.pending.confirmable_from > datetime.now(UTC) + timedelta(hours=23)
        assert found["WITHDRAWAL_COOLDOWN_SECONDS"].effective == 0
        assert found["WITHDRAWAL_COOLDOWN_SECONDS"].withdrawals_from is None

    async def test_a_limit_that_was_lowered_under_what_was_used_leaves_nothing(
        self, http: httpx2.AsyncClient, engine: AsyncEngine
    ) -> None:
        await decided(engine, command(Kind.DEPOSIT, 10_000), bet(2000), command(Kind.LIMIT_OVERRIDE, 500))
        window = (await limits(http))["DAILY_LOSS_LIMIT"].window
        assert window is not None
        assert (window.used, window.remaining) == (2000, 0)


async def test_the_changes_of_limits_are_the_rows_that_made_them(http: httpx2.AsyncClient, engine: AsyncEngine) -> None:
    rows = await decided(
        engine,
        command(Kind.LIMIT_OVERRIDE, 900, actor="ann", reason="it won"),
        command(Kind.DEPOSIT, 100),
        command(Kind.LIMIT_CONFIRMATION, 900),
        command(Kind.LIMIT_REQUEST, 800, user_id=43),
        command(Kind.LIMIT_OVERRIDE_REMOVAL, 0, actor="bob"),
    )
    first = (await http.get(f"/users/{USER}/limit-changes?limit=2")).json()
    assert [each["command_id"] for each in first] == [str(rows[4].content.command_id), str(rows[2].content.command_id)]
    assert [each["status"] for each in first] == ["posted", "refused"]
    (last,) = (await http.get(f"/users/{USER}/limit-changes?before={first[-1]['position']}")).json()
    assert (last["actor"], last["stated_reason"]) == ("ann", "it won")
    assert last["facts"] == {"before": 4500, "after": 900, "after_override": 900, "asked_minor": 900}


class TestMetrics:
    async def test_a_players_days_are_added_up(self, http: httpx2.AsyncClient, engine: AsyncEngine) -> None:
        deposits = await decided(engine, command(Kind.DEPOSIT, 9000), command(Kind.DEPOSIT, 700))
        await decided(
            engine,
            command(Kind.REVERSAL, 700, reference_id=str(deposits[1].content.command_id), provider="stripe"),
            bet(1500, "a"),
            bet(400, "b"),
            bet(2000, "c"),
            bet(9999, "too much"),
            command(Kind.BET_ROLLBACK, 2000, reference_id="c"),
            command(Kind.BET_ROLLBACK, 100, reference_id="b"),
            command(Kind.GAME_PAYOUT, 2500, reference_id="a"),
            command(Kind.GAME_PAYOUT, 50, reference_id="d"),
            command(Kind.LIMIT_OVERRIDE, 0, reference_id="WITHDRAWAL_COOLDOWN_SECONDS"),
            command(Kind.WITHDRAWAL, 1000),
            command(Kind.WITHDRAWAL_HOLD, 300, reference_id="w"),
            command(Kind.WITHDRAWAL_CAPTURE, 200, reference_id="w"),
            command(Kind.DEPOSIT, 5000, user_id=43),
        )
        response = await http.get(f"/users/{USER}/metrics")
        found = PlayerMetrics.model_validate_json(response.content)
        (metrics,) = found.currencies.values()
        assert (found.days, found.days_active) == (7, 1)
        assert (metrics.deposits_minor, metrics.bets_minor, metrics.payouts_minor) == (9000, 1800, 2550)
        assert (metrics.net_minor, metrics.withdrawals_minor) == (-750, 1200)
        assert (metrics.largest_bet_minor, metrics.largest_payout_minor) == (1500, 2500)
        assert tuple(dict(metrics.counts).values()) == (1, 2, 2, 2)
        assert metrics.limits["DAILY_LOSS_LIMIT"].remaining_minor == 4500 + 750  # type: ignore[index]

    @pytest.mark.parametrize(("days", "bets", "active"), [(1, 100, 1), (2, 300, 2), (3, 700, 3), (90, 700, 4)])
    async def test_a_day_is_one_of_the_platforms_time_zone(
        self, http: httpx2.AsyncClient, engine: AsyncEngine, database: Database, days: int, bets: int, active: int
    ) -> None:
        windows = Windows(WindowMode.CALENDAR, ZoneInfo(ZONE))
        today = windows.start(Window.DAY, datetime.now(UTC))
        rows = await decided(engine, command(Kind.DEPOSIT, 9000), bet(100, "a"), bet(200, "b"), bet(400, "c"))
        # A bet at the first moment of today, at the last of yesterday, and at the last of the day before.
        moments = [today - timedelta(hours=51), today, today - timedelta(seconds=1), today - timedelta(hours=26)]
        await as_administrator(database, "ALTER TABLE wallet.transactions DISABLE TRIGGER USER")
        for row, moment in zip(rows, moments, strict=True):
            await as_administrator(
                database,
                f"UPDATE wallet.transactions SET created_at = '{clock.to_text(moment)}' "
                f"WHERE id = '{row.content.command_id}'",
            )

        response = await http.get(f"/users/{USER}/metrics?days={days}")

        found = PlayerMetrics.model_validate_json(response.content)
        assert found.since == windows.days(days, datetime.now(UTC))
        assert (found.currencies["USD"].bets_minor, found.days_active) == (bets, active)

    async def test_a_player_of_whom_nothing_is_known_did_nothing(self, http: httpx2.AsyncClient) -> None:
        found = PlayerMetrics.model_validate_json((await http.get("/users/7/metrics")).content)
        assert (found.days_active, found.currencies["USD"].deposits_minor) == (0, 0)


class TestChecks:
    async def check(self, http: httpx2.AsyncClient, asked: Command) -> Check:
        response = await http.post("/limit-checks", content=encode(asked))
        assert response.status_code == 200, response.text
        return Check.model_validate_json(response.content)

    async def test_a_check_says_what_the_decision_would_be_and_writes_nothing(
        self, http: httpx2.AsyncClient, engine: AsyncEngine, database: Database
    ) -> None:
        await decided(engine, command(Kind.DEPOSIT, 10_000), bet(2000, "a"), bet(2000, "b"))
        before = await contents(database)

        allowed = await self.check(http, bet(500, "c"))
        refused = await self.check(http, bet(501, "c"))
        unknown = await self.check(http, command(Kind.DEPOSIT, 1, user_id=7))
        override = await self.check(http, command(Kind.LIMIT_OVERRIDE, 1))
        held = await self.check(http, command(Kind.GAME_PAYOUT, 3001))

        assert (allowed.status, allowed.cash_minor) == (Status.POSTED, 5500)
        assert (refused.status, refused.reason, refused.cash_minor) == (Status.REFUSED, "DAILY_LOSS_LIMIT", 6000)
        assert refused.facts == {"limit_minor": 4500, "used_minor": 4000, "remaining_minor": 500}
        assert (unknown.status, unknown.cash_minor) == (Status.POSTED, 1)
        assert (override.status, held.credit, held.reserved_minor) == (Status.POSTED, "reserved", 3001)
        assert await contents(database) == before

    async def test_a_check_waits_for_nobody(self, http: httpx2.AsyncClient, engine: AsyncEngine) -> None:
        await decided(engine, command(Kind.DEPOSIT, 10_000))
        async with engine.begin() as connection:
            await connection.exec_driver_sql("SELECT lane FROM lanes FOR UPDATE")
            assert (await self.check(http, bet(100))).status is Status.POSTED

    @pytest.mark.parametrize("body", [b"", b"[]", b'{"kind": "GAME_BET"}', b"\xff"])
    async def test_what_is_no_command_is_refused(self, http: httpx2.AsyncClient, body: bytes) -> None:
        problem(await http.post("/limit-checks", content=body), 422, "UNDECODABLE")

    @hypothesis_settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    async def test_a_check_agrees_with_the_decision_that_follows_it(
        self, http: httpx2.AsyncClient, engine: AsyncEngine, data: st.DataObject
    ) -> None:
        seen: list[UUID] = []
        for _ in range(data.draw(st.integers(5, 20))):
            asked = data.draw(anything(seen))

            check = await self.check(http, asked)
            (row,) = await decided(engine, asked)

            assert _timeless(check) == _timeless(_as_check(row))
            seen.append(asked.command_id)


def _as_check(row: JournalRow) -> Check:
    content = row.content
    return Check(
        status=Status(content.status),
        reason=content.reason,
        amount_minor=content.amount_minor,
        currency=content.currency,
        credit=content.credit,
        cash_minor=content.cash_minor,
        reserved_minor=content.reserved_minor,
        facts=orjson.loads(content.facts) if content.facts else None,
    )


def _timeless(check: Check) -> dict[str, Any]:
    # What begins at the decision begins a little later than at the check.
    facts = {name: fact for name, fact in (check.facts or {}).items() if name not in {"until", "pending_from"}}
    return {**check.model_dump(mode="json"), "facts": facts}


def anything(earlier: list[UUID]) -> st.SearchStrategy[Command]:
    """A command of any kind, about little, so that it meets what was before it."""

    @st.composite
    def drawn(draw: st.DrawFn) -> Command:
        kind = draw(st.sampled_from([*[Kind.DEPOSIT] * 6, *[Kind.GAME_BET] * 6, *Kind]))
        if kind in PLAYER_KINDS:
            return command(kind, user_id=draw(st.sampled_from([7, 42])), command_id=uuid4())
        fields: dict[str, Any] = {"command_id": uuid4(), "currency": draw(st.sampled_from(["USD", "USD", "EUR"]))}
        if kind in LIMIT_KINDS:
            fields["reference_id"] = draw(
                st.sampled_from(["DAILY_LOSS_LIMIT", "MAX_BET_AMOUNT", "DAILY_DEPOSIT_LIMIT"])
            )
        elif kind in NEEDS_ORIGINAL:
            fields["reference_id"] = str(draw(st.sampled_from(earlier))) if earlier else str(UUID(int=1))
        elif kind in NEEDS_REFERENCE:
            fields["reference_id"] = draw(st.sampled_from(["a", "b"]))
        amount_minor = 0 if kind in DISPUTE_KINDS else draw(st.integers(1, 9)) * 500
        return command(kind, amount_minor, draw(st.sampled_from([7, 42])), **fields)

    return drawn()


class TestRestrictions:
    async def test_what_is_in_force_is_said_and_a_check_honours_it(
        self, http: httpx2.AsyncClient, engine: AsyncEngine
    ) -> None:
        nothing = (await http.get("/users/42/restrictions")).json()
        assert (nothing["exclusion"], nothing["blocked"], nothing["block"]) == (None, False, None)
        (row,) = await decided(engine, command(Kind.FRAUD_BLOCK))

        found = RestrictionsReading.model_validate((await http.get("/users/42/restrictions")).json())
        checked = await http.post("/limit-checks", content=command(Kind.DEPOSIT).model_dump_json())

        assert found.blocked
        assert found.block == BlockReading(since=row.content.created_at, until=None, reason="goodwill")
        assert checked.json()["reason"] == "FRAUD_BLOCKED"
        await decided(engine, command(Kind.FRAUD_UNBLOCK))
        assert (await http.get("/users/42/restrictions")).json() == nothing


class TestHeldPayouts:
    async def test_the_oldest_is_first_and_what_was_released_is_not_there(
        self, http: httpx2.AsyncClient, engine: AsyncEngine
    ) -> None:
        rows = [
            (await decided(engine, command(Kind.GAME_PAYOUT, amount, user_id=user_id, reference_id=reference_id)))[0]
            for user_id, amount, reference_id in [(43, 5000, "a"), (42, 4000, "b"), (42, 100, "b"), (44, 6000, "c")]
        ]
        await decided(engine, command(Kind.PAYOUT_RELEASE, 6000, user_id=44, reference_id="c"))
        await decided(engine, command(Kind.PAYOUT_RELEASE, 1000, user_id=43, reference_id="a"))

        response = await http.get("/held-payouts")

        found = [HeldPayout.model_validate(each) for each in response.json()]
        assert [(each.held_minor, each.transaction.command_id) for each in found] == [
            (4000, rows[0].content.command_id),
            (4000, rows[1].content.command_id),
        ]
        assert len((await http.get("/held-payouts?limit=1")).json()) == 1


class TestDisputes:
    async def test_a_dispute_is_seen_wherever_its_transaction_is_read(
        self, http: httpx2.AsyncClient, engine: AsyncEngine
    ) -> None:
        deposit, other = await decided(engine, command(Kind.DEPOSIT, 100), command(Kind.DEPOSIT, 200))
        reference_id = str(deposit.content.command_id)
        (opened,) = await decided(engine, command(Kind.DISPUTE, 0, reference_id=reference_id, reason="not mine"))

        async def seen() -> list[Any]:
            one = (await http.get(f"/transactions/{reference_id}")).json()
            page = (await http.get(f"/users/{USER}/transactions")).json()
            found = {each["command_id"]: each["dispute"] for each in page}
            assert found.pop(reference_id) == one["dispute"]
            assert set(found.values()) == {None}
            return [one["dispute"][name] for name in ("state", "reason", "actor", "since", "transaction_id")]

        at = clock.to_text(opened.content.created_at)
        assert await seen() == ["open", "not mine", "ann", at, str(opened.content.command_id)]

        (resolved,) = await decided(
            engine, command(Kind.DISPUTE_RESOLUTION, 0, reference_id=reference_id, reason="it was", actor="bob")
        )
        at = clock.to_text(resolved.content.created_at)
        assert await seen() == ["resolved", "it was", "bob", at, str(resolved.content.command_id)]
        assert other.content.command_id != deposit.content.command_id
