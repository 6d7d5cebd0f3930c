"""What went wrong in other ledgers, by the reports of their users: here each is a test."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database as databases
from shared.contracts.commands import Command
from shared.contracts.kinds import ENTRIES, Account, Kind
from shared.signing import ChainKeys
from tests.support import LANES, Database
from tests.wallet_service.support import CHAIN_KEYS, FAR_LIMITS, MemoryWallet, command, decide
from wallet_service import tables
from wallet_service.domain.limits import Rules
from wallet_service.settings import LimitSettings

KEYS = ChainKeys.parse(CHAIN_KEYS)


def wallet(cash: int = 0, **limits: str) -> MemoryWallet:
    """A wallet in which player 42 has some cash; limits are far away but for these."""
    made = MemoryWallet(KEYS, rules(**limits))
    if cash:
        made.one(command(Kind.ADJUSTMENT_CREDIT, cash))
    return made


@cache
def rules(**limits: str) -> Rules:
    return LimitSettings(**FAR_LIMITS | limits).rules()


def reasons(made: MemoryWallet, *commands: Command) -> list[str | None]:
    """Why each of one batch was refused; None for what was posted."""
    return [answer.row.content.reason for answer in made.take(commands)]


def balances(made: MemoryWallet) -> tuple[int, int]:
    (account,) = made.accounts.values()
    return account.cash_minor, account.reserved_minor


def reversal_of(original: Command, amount: int | None = None, **fields: Any) -> Command:
    given: dict[str, Any] = {
        "reference_id": str(original.command_id),
        "provider": original.provider,
        "currency": original.currency,
    }
    return command(Kind.REVERSAL, amount or original.amount_minor, **given | fields)


class TestHolds:
    """Money that is set aside is not there for anything else, and leaves once."""

    def test_six_holds_of_1000_do_not_fit_into_5000(self) -> None:
        made = wallet(5000)
        holds = [command(Kind.WITHDRAWAL_HOLD, 1000, reference_id=f"p-{n}") for n in range(6)]
        assert reasons(made, *holds) == [None] * 5 + ["INSUFFICIENT_FUNDS"]
        assert balances(made) == (0, 5000)

    def test_a_hold_counts_against_a_bet_and_a_withdrawal(self) -> None:
        made = wallet(1000)
        made.one(command(Kind.WITHDRAWAL_HOLD, 600))
        refused = [command(kind, 401) for kind in (Kind.GAME_BET, Kind.WITHDRAWAL, Kind.ADJUSTMENT_DEBIT)]
        assert reasons(made, *refused) == ["INSUFFICIENT_FUNDS"] * 3

    def test_a_hold_that_was_refused_cannot_be_captured_when_the_money_has_come(self) -> None:
        made = wallet(500)
        hold, capture = command(Kind.WITHDRAWAL_HOLD, 600), command(Kind.WITHDRAWAL_CAPTURE, 600)
        assert reasons(made, hold, command(Kind.ADJUSTMENT_CREDIT, 5000), capture) == [
            *("INSUFFICIENT_FUNDS", None, "HOLD_NOT_FOUND")
        ]
        assert balances(made) == (5500, 0)

    @pytest.mark.parametrize("one_batch", [True, False])
    def test_a_hold_is_voided_once(self, one_batch: bool) -> None:
        made = wallet(1000)
        commands = [
            command(Kind.WITHDRAWAL_HOLD, 1000),
            *(command(Kind.WITHDRAWAL_RELEASE, 1000) for _ in range(2)),
            command(Kind.WITHDRAWAL_CAPTURE, 1000),
        ]
        batches = [commands] if one_batch else [[each] for each in commands]
        assert [reason for batch in batches for reason in reasons(made, *batch)] == [
            *(None, None, "HOLD_CLOSED", "HOLD_CLOSED")
        ]
        assert balances(made) == (1000, 0)

    def test_no_more_is_captured_than_is_held(self) -> None:
        made = wallet(5000)
        others = command(Kind.WITHDRAWAL_HOLD, 3000, reference_id="another")
        captures = [command(Kind.WITHDRAWAL_CAPTURE, amount) for amount in (1001, 600, 401, 400, 1)]
        assert reasons(made, others, command(Kind.WITHDRAWAL_HOLD, 1000), *captures) == [
            *(None, None),
            *("HOLD_EXCEEDED", None, "HOLD_EXCEEDED", None, "HOLD_CLOSED"),
        ]
        assert balances(made) == (1000, 3000)

    @pytest.mark.parametrize("kind", [Kind.WITHDRAWAL_CAPTURE, Kind.WITHDRAWAL_RELEASE])
    def test_a_held_payout_is_no_hold_of_a_withdrawal(self, kind: Kind) -> None:
        made = wallet(max_payout_amount="5")
        commands = [command(Kind.GAME_PAYOUT, 600), command(kind, 600)]
        assert reasons(made, *commands) == [None, "HOLD_NOT_FOUND"]
        # Nor is a hold a held payout, though both are in reserved under one reference.
        made.take([command(Kind.ADJUSTMENT_CREDIT, 600), command(Kind.WITHDRAWAL_HOLD, 600)])
        assert reasons(made, command(Kind.PAYOUT_RELEASE, 601)) == ["RELEASE_EXCEEDS_HELD"]
        assert reasons(made, command(Kind.PAYOUT_RELEASE, 600), command(Kind.PAYOUT_RELEASE, 1)) == [
            *(None, "PAYOUT_NOT_HELD")
        ]
        assert balances(made) == (600, 600)

    def test_money_is_conserved_whatever_order_things_are_cancelled_in(self) -> None:
        lives = [
            command(Kind.DEPOSIT, 1000),
            command(Kind.WITHDRAWAL_HOLD, 400),
            command(Kind.WITHDRAWAL_RELEASE, 300),
            command(Kind.WITHDRAWAL_CAPTURE, 100),
            command(Kind.GAME_BET, 500),
            command(Kind.BET_ROLLBACK, 500),
        ]
        for order in itertools.permutations(lives):
            made = wallet()
            made.take(order)
            sums: Counter[str] = Counter()
            for house, balance in made.house.items():
                sums[house.currency] += balance
            for account, state in made.accounts.items():
                sums[account.currency] += state.cash_minor + state.reserved_minor
                assert state.cash_minor >= 0
                assert state.reserved_minor == sum(hold.remaining_minor for hold in made.holds.values())
            assert sums["USD"] == 0


class TestRefunds:
    """What is given back is given back once."""

    REVERSED = (Kind.WITHDRAWAL, Kind.CHARGEBACK, Kind.REFUND, Kind.ADJUSTMENT_DEBIT, Kind.ADJUSTMENT_CREDIT)

    @pytest.mark.parametrize("kind", [*REVERSED, Kind.DEPOSIT])
    @pytest.mark.parametrize("one_batch", [True, False])
    def test_a_reversal_that_comes_twice_moves_once(self, kind: Kind, one_batch: bool) -> None:
        made = wallet(5000)
        original = command(kind, 1000)
        commands = [original, reversal_of(original), reversal_of(original), reversal_of(original, 1)]
        batches = [commands] if one_batch else [[each] for each in commands]
        assert [reason for batch in batches for reason in reasons(made, *batch)] == [
            *(None, None, "ALREADY_REVERSED", "ALREADY_REVERSED")
        ]
        assert balances(made) == (5000, 0)

    def test_in_parts_no_more_than_there_was_comes_back(self) -> None:
        made = wallet(5000)
        original = command(Kind.WITHDRAWAL, 1000)
        parts = [reversal_of(original, amount) for amount in (600, 401, 400)]
        assert reasons(made, original, *parts) == [None, None, "REVERSAL_EXCEEDS_ORIGINAL", None]

    @pytest.mark.parametrize("kind", [Kind.REVERSAL, Kind.DISPUTE])
    def test_another_player_that_names_it_in_the_same_batch_makes_no_room(self, kind: Kind) -> None:
        made = wallet(5000)
        original = command(Kind.WITHDRAWAL, 1000)
        made.take([original, reversal_of(original)])
        others = command(kind, 1000, 43, reference_id=str(original.command_id), provider="stripe")
        for order in ([reversal_of(original), others], [others, reversal_of(original)]):
            assert sorted(str(reason) for reason in reasons(made, *order)) == ["ALREADY_REVERSED", "ORIGINAL_NOT_FOUND"]
        assert balances(made) == (5000, 0)

    def test_a_reversal_is_not_reversed(self) -> None:
        made = wallet(5000)
        original = command(Kind.WITHDRAWAL, 1000)
        first = reversal_of(original)
        assert reasons(made, original, first, reversal_of(first)) == [None, None, "NOT_REVERSIBLE"]

    def test_what_was_refused_is_not_reversed(self) -> None:
        made = wallet(500)
        original = command(Kind.WITHDRAWAL, 1000)
        assert reasons(made, original, reversal_of(original)) == ["INSUFFICIENT_FUNDS", "NOT_REVERSIBLE"]

    @pytest.mark.parametrize("rolled_back_first", [True, False])
    def test_a_bet_comes_back_by_its_rollback_alone(self, rolled_back_first: bool) -> None:
        made = wallet(5000)
        bet = command(Kind.GAME_BET, 1000)
        ways = [command(Kind.BET_ROLLBACK, 1000), reversal_of(bet)]
        assert reasons(made, bet) == [None]
        assert set(reasons(made, *(ways if rolled_back_first else ways[::-1]))) == {None, "NOT_REVERSIBLE"}
        assert reasons(made, command(Kind.BET_ROLLBACK, 1000)) == ["ALREADY_ROLLED_BACK"]
        assert balances(made) == (5000, 0)


class TestCurrencies:
    """An amount of one currency is never taken for one of another."""

    ABOUT = (
        (Kind.GAME_BET, Kind.BET_ROLLBACK),
        (Kind.GAME_PAYOUT, Kind.PAYOUT_ROLLBACK),
        (Kind.WITHDRAWAL_HOLD, Kind.WITHDRAWAL_CAPTURE),
        (Kind.WITHDRAWAL_HOLD, Kind.WITHDRAWAL_RELEASE),
        (Kind.DEPOSIT, Kind.REVERSAL),
        (Kind.WITHDRAWAL, Kind.REVERSAL),
    )

    @pytest.mark.parametrize(("kind", "about"), ABOUT)
    def test_what_is_about_an_amount_in_another_currency_is_refused(self, kind: Kind, about: Kind) -> None:
        made = wallet(5000)
        made.one(command(Kind.ADJUSTMENT_CREDIT, 5000, currency="EUR"))
        original = command(kind, 1000)
        other = command(about, 1000, currency="EUR")
        if about is Kind.REVERSAL:
            other = reversal_of(original, currency="EUR")
        assert reasons(made, original, other) == [None, "CURRENCY_MISMATCH"]

    def test_a_limit_in_one_currency_is_not_used_up_in_another(self) -> None:
        made = wallet(5000, daily_loss_limit="10")
        made.one(command(Kind.ADJUSTMENT_CREDIT, 5000, currency="EUR"))
        assert reasons(
            made,
            command(Kind.GAME_BET, 900, currency="EUR"),
            command(Kind.GAME_BET, 1000),
            command(Kind.GAME_BET, 1),
        ) == [None, None, "DAILY_LOSS_LIMIT"]

    def test_a_currency_without_limits_is_refused_by_name_and_refuses_nothing_else(self) -> None:
        made = wallet(5000)
        made.one(command(Kind.ADJUSTMENT_CREDIT, 5000, currency="GBP"))
        assert reasons(
            made,
            *(command(kind, 100, currency="GBP") for kind in (Kind.DEPOSIT, Kind.GAME_BET)),
            *(command(kind, 100) for kind in (Kind.DEPOSIT, Kind.GAME_BET)),
            command(Kind.WITHDRAWAL, 5000, currency="GBP"),
        ) == ["CURRENCY_NOT_ALLOWED", "CURRENCY_NOT_ALLOWED", None, None, None]


class TestLimits:
    """A limit holds on every way, and from the moment at which it was set."""

    def test_two_bets_of_one_batch_do_not_both_use_the_last_of_a_limit(self) -> None:
        made = wallet(5000, daily_loss_limit="10")
        bets = [command(Kind.GAME_BET, 600, reference_id=name) for name in "ab"]
        assert reasons(made, *bets, command(Kind.GAME_BET, 400)) == [None, "DAILY_LOSS_LIMIT", None]

    def test_a_lowered_limit_holds_for_what_is_behind_it_in_its_batch_and_not_for_what_is_in_front(self) -> None:
        for order, expected in (((0, 1), [None, "DAILY_LOSS_LIMIT"]), ((1, 0), [None, None])):
            made = wallet(5000)
            commands = [command(Kind.LIMIT_REQUEST, 500), command(Kind.GAME_BET, 600)]
            assert reasons(made, *(commands[at] for at in order)) == expected

    def test_a_lowered_limit_holds_for_what_was_lost_before(self) -> None:
        made = wallet(5000)
        made.take([command(Kind.GAME_BET, 600), command(Kind.LIMIT_REQUEST, 500)])
        row = made.one(command(Kind.GAME_BET, 1)).row.content
        assert (row.reason, row.facts) == (
            "DAILY_LOSS_LIMIT",
            '{"limit_minor":500,"remaining_minor":0,"used_minor":600}',
        )

    def test_a_raise_does_not_hold_before_it_is_confirmed(self) -> None:
        made = wallet(5000)
        bet, requests = command(Kind.GAME_BET, 600), [command(Kind.LIMIT_REQUEST, amount) for amount in (500, 5000)]
        assert reasons(made, *requests, command(Kind.LIMIT_CONFIRMATION, 5000), bet) == [
            *(None, None, "RAISE_WAITS", "DAILY_LOSS_LIMIT")
        ]

    def test_an_override_does_not_pass_the_players_own_limit(self) -> None:
        made = wallet(5000)
        commands = [
            command(Kind.LIMIT_REQUEST, 500),
            command(Kind.LIMIT_OVERRIDE, 10_000),
            command(Kind.GAME_BET, 501),
        ]
        assert reasons(made, *commands) == [None, None, "DAILY_LOSS_LIMIT"]

    # What may bring money from outside, and how much of it.
    FROM_OUTSIDE = tuple(kind for kind in Kind if ENTRIES[kind] == (Account.CLEARING, Account.CASH))

    def test_every_way_in_is_under_the_deposit_limit(self) -> None:
        assert self.FROM_OUTSIDE
        for kind in self.FROM_OUTSIDE:
            made = wallet(daily_deposit_limit="10")
            assert reasons(made, command(kind, 1001), command(kind, 1000), command(kind, 1)) == [
                *("DAILY_DEPOSIT_LIMIT", None, "DAILY_DEPOSIT_LIMIT")
            ], kind

    @pytest.mark.parametrize("kind", list(Kind))
    def test_no_kind_brings_in_more_than_the_limit_but_what_had_gone_out(self, kind: Kind) -> None:
        made = wallet(1000, daily_deposit_limit="0", max_payout_amount="5")
        out = command(Kind.WITHDRAWAL, 300)
        made.take([out, command(Kind.WITHDRAWAL_HOLD, 100), command(Kind.GAME_BET, 100)])
        made.one(command(Kind.GAME_PAYOUT, 600))
        about = {Kind.REVERSAL: str(out.command_id), Kind.DISPUTE: str(out.command_id)}
        fields: dict[str, Any] = {"reference_id": about[kind], "provider": "stripe"} if kind in about else {}
        for amount in (1000, 300, 100):
            made.one(command(kind, amount, **fields))
        clearing = sum(balance for key, balance in made.house.items() if key.account.startswith("clearing"))
        assert clearing >= 0

    @pytest.mark.parametrize("kind", [Kind.LIMIT_OVERRIDE, Kind.LIMIT_REQUEST])
    def test_a_limit_of_nothing_allows_nothing(self, kind: Kind) -> None:
        made = wallet(5000)
        commands = [command(kind, 0, reference_id="DAILY_DEPOSIT_LIMIT"), command(Kind.DEPOSIT, 1)]
        assert reasons(made, *commands) == [None, "DAILY_DEPOSIT_LIMIT"]


@pytest.mark.integration
class TestTwoWallets:
    """Two wallets at once, each with connections of its own: the lane's lock lets one decide after the other."""

    @pytest.fixture
    async def engines(self, engine: AsyncEngine, database: Database) -> AsyncIterator[list[AsyncEngine]]:
        other = databases.create_engine(database.dsn("wallet_service"), application="other", schema=tables.SCHEMA)
        yield [engine, other]
        await other.dispose()

    async def test_a_double_refund(self, engines: list[AsyncEngine]) -> None:
        original = command(Kind.WITHDRAWAL, 1000)
        await decide(engines[0], [command(Kind.DEPOSIT, 5000), original], LANES, KEYS)
        reversals = [reversal_of(original) for _ in range(6)]
        assert await self._race(engines, reversals, rules()) == [None] + ["ALREADY_REVERSED"] * 5

    async def test_a_double_void(self, engines: list[AsyncEngine]) -> None:
        await decide(engines[0], [command(Kind.DEPOSIT, 5000), command(Kind.WITHDRAWAL_HOLD)], LANES, KEYS)
        ends = [command(kind) for kind in (Kind.WITHDRAWAL_RELEASE, Kind.WITHDRAWAL_CAPTURE) * 3]
        assert await self._race(engines, ends, rules()) == [None] + ["HOLD_CLOSED"] * 5

    async def test_six_holds_of_1000_on_5000(self, engines: list[AsyncEngine]) -> None:
        await decide(engines[0], [command(Kind.DEPOSIT, 5000)], LANES, KEYS)
        holds = [command(Kind.WITHDRAWAL_HOLD, reference_id=f"p-{n}") for n in range(6)]
        assert await self._race(engines, holds, rules()) == [None] * 5 + ["INSUFFICIENT_FUNDS"]

    async def test_the_last_of_a_limit(self, engines: list[AsyncEngine]) -> None:
        await decide(engines[0], [command(Kind.DEPOSIT, 50_000)], LANES, KEYS)
        bets = [command(Kind.GAME_BET, 400, reference_id=f"g-{n}") for n in range(6)]
        expected = [None] * 2 + ["DAILY_LOSS_LIMIT"] * 4
        assert await self._race(engines, bets, rules(daily_loss_limit="10")) == expected

    async def test_a_lowered_limit_is_seen_by_the_other_wallet_at_once(self, engines: list[AsyncEngine]) -> None:
        for user_id in range(1, 9):
            await decide(engines[0], [command(Kind.DEPOSIT, 5000, user_id)], LANES, KEYS)
            lowered, bet = command(Kind.LIMIT_REQUEST, 500, user_id), command(Kind.GAME_BET, 501, user_id)
            first, second = engines if user_id % 2 else reversed(engines)
            (limit,), (placed,) = await asyncio.gather(
                decide(first, [lowered], LANES, KEYS), decide(second, [bet], LANES, KEYS)
            )
            # Whichever came first: the bet behind the limit is refused.
            behind = limit.content.position < placed.content.position
            assert placed.content.reason == ("DAILY_LOSS_LIMIT" if behind else None)

    async def _race(self, engines: list[AsyncEngine], commands: list[Command], under: Rules) -> list[str | None]:
        """The reasons of commands that came to both wallets at once, one in each batch; what was posted first."""
        made = await asyncio.gather(
            *(decide(engine, [each], LANES, KEYS, under) for engine, each in zip(engines * 3, commands, strict=True))
        )
        return sorted((row.content.reason for rows in made for row in rows), key=lambda reason: reason is not None)
