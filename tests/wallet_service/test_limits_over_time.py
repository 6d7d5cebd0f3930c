"""Limits, the cooldown and held payouts from one batch to the next, in a wallet in memory."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.contracts.commands import Command
from shared.contracts.kinds import Kind
from tests.wallet_service.limits import DAILY_DEPOSIT, DAILY_LOSS, EUROS, WEEKLY_LOSS, utc
from tests.wallet_service.support import NOW, MemoryWallet, command
from wallet_service.settings import LimitSettings


def wallet_of(**limits: Any) -> MemoryWallet:
    """A wallet with the defaults, but for these settings."""
    return MemoryWallet(rules=LimitSettings(**{"jurisdiction": "none"} | limits).rules())


def reasons(wallet: MemoryWallet, *commands: Command, at: datetime = NOW) -> list[str | None]:
    return [answer.row.content.reason for answer in wallet.take(commands, now=at)]


class TestOverTime:
    """What counts, for how long, and what is taken off again."""

    def test_a_calendar_day_ends_at_the_zones_midnight(self) -> None:
        wallet = wallet_of(daily_loss_limit="10", platform_time_zone="Europe/Malta")
        midnight = utc("2026-11-24 23:00")
        assert reasons(wallet, command(Kind.DEPOSIT, 10_000)) == [None]
        assert reasons(wallet, command(Kind.GAME_BET, 1000), at=midnight - timedelta(microseconds=1)) == [None]
        assert reasons(wallet, command(Kind.GAME_BET, 1), at=midnight - timedelta(microseconds=1)) == [DAILY_LOSS]
        assert reasons(wallet, command(Kind.GAME_BET, 1000), at=midnight) == [None]

    def test_a_rolling_day_ends_with_the_minute_in_which_it_began(self) -> None:
        wallet = wallet_of(daily_loss_limit="10", limit_windows="rolling")
        bet_at = utc("2026-11-24 10:00:30")
        day_after = utc("2026-11-25 10:00:59.999999")
        assert reasons(wallet, command(Kind.DEPOSIT, 10_000), command(Kind.GAME_BET, 1000), at=bet_at) == [None, None]
        assert reasons(wallet, command(Kind.GAME_BET, 1), at=day_after) == [DAILY_LOSS]
        assert reasons(wallet, command(Kind.GAME_BET, 1), at=day_after + timedelta(microseconds=1)) == [None]

    def test_a_rollback_is_counted_back_where_its_bet_was(self) -> None:
        wallet = wallet_of(daily_loss_limit="10", weekly_loss_limit="15")
        tuesday, wednesday = NOW, NOW + timedelta(days=1)
        bet, rollback = (command(kind, 1000, reference_id="a") for kind in (Kind.GAME_BET, Kind.BET_ROLLBACK))
        assert reasons(wallet, command(Kind.DEPOSIT, 10_000), bet, at=tuesday) == [None, None]
        more = [command(Kind.GAME_BET, amount, reference_id="b") for amount in (500, 1, 501, 500, 1)]
        assert reasons(wallet, more[0], more[1], at=wednesday) == [None, WEEKLY_LOSS]
        # The week has room again, and Wednesday has no more than it had.
        assert reasons(wallet, rollback, *more[2:], at=wednesday) == [None, DAILY_LOSS, None, DAILY_LOSS]

    @pytest.mark.parametrize("rolled_back_first", [True, False])
    def test_a_rollback_in_the_batch_that_opens_a_day_is_counted_back_once(self, rolled_back_first: bool) -> None:
        wallet = wallet_of(daily_loss_limit="10")
        bet, rollback = (command(kind, 1000, reference_id="a") for kind in (Kind.GAME_BET, Kind.BET_ROLLBACK))
        wallet.take([command(Kind.DEPOSIT, 10_000), bet])
        first = command(Kind.GAME_BET, 400, reference_id="b")
        day_after = NOW + timedelta(days=1)
        batch = (rollback, first) if rolled_back_first else (first, rollback)
        assert reasons(wallet, *batch, at=day_after) == [None, None]
        more = [command(Kind.GAME_BET, amount, reference_id="c") for amount in (601, 600)]
        assert reasons(wallet, *more, at=day_after) == [DAILY_LOSS, None]

    def test_a_reversed_deposit_is_counted_back_where_it_was(self) -> None:
        wallet = wallet_of(daily_deposit_limit="10")
        first = command(Kind.DEPOSIT, 1000)
        back = command(Kind.REVERSAL, 600, reference_id=str(first.command_id), provider="stripe")
        assert reasons(wallet, first, command(Kind.DEPOSIT, 1)) == [None, DAILY_DEPOSIT]
        assert reasons(wallet, back, *(command(Kind.DEPOSIT, amount) for amount in (601, 600))) == [
            *(None, DAILY_DEPOSIT, None)
        ]

    def test_a_withdrawal_makes_no_room_for_a_deposit(self) -> None:
        wallet = wallet_of(daily_deposit_limit="10", withdrawal_cooldown_seconds=0)
        commands = [command(Kind.DEPOSIT, 1000), command(Kind.WITHDRAWAL, 1000), command(Kind.DEPOSIT, 1)]
        assert reasons(wallet, *commands) == [None, None, DAILY_DEPOSIT]

    def test_what_was_refused_is_not_counted(self) -> None:
        wallet = wallet_of(daily_loss_limit="10", max_bet_amount="9")
        bets = [command(Kind.GAME_BET, amount) for amount in (901, 900, 101, 100)]
        assert reasons(wallet, command(Kind.DEPOSIT, 10_000), *bets) == [
            *(None, "MAX_BET_EXCEEDED", None, DAILY_LOSS, None)
        ]


class TestTheCooldown:
    """Nothing is withdrawn so soon after a deposit."""

    @pytest.mark.parametrize("kind", [Kind.WITHDRAWAL, Kind.WITHDRAWAL_HOLD])
    def test_it_ends_with_its_last_moment(self, kind: Kind) -> None:
        wallet = wallet_of()
        ends_at = NOW + timedelta(days=1)
        wallet.one(command(Kind.DEPOSIT))
        early = wallet.one(command(kind, 1), now=ends_at - timedelta(microseconds=1)).row.content
        assert (early.reason, early.facts) == ("WITHDRAWAL_COOLDOWN", '{"ends_at":"2026-11-25T10:00:00.000000Z"}')
        assert reasons(wallet, command(kind, 1), at=ends_at) == [None]

    def test_it_is_the_last_deposits_of_that_currency_and_only_of_a_posted_one(self) -> None:
        wallet = wallet_of(daily_deposit_limit="10", currency_limits=EUROS)
        noon = NOW + timedelta(days=1)
        assert reasons(wallet, command(Kind.DEPOSIT, 1000), command(Kind.GAME_PAYOUT, 5, currency="EUR")) == [None] * 2
        assert reasons(wallet, command(Kind.WITHDRAWAL, 5, currency="EUR")) == [None]
        assert reasons(wallet, command(Kind.DEPOSIT, 1001), at=noon) == [DAILY_DEPOSIT]
        assert reasons(wallet, command(Kind.WITHDRAWAL, 1), at=noon) == [None]
        assert reasons(wallet, command(Kind.DEPOSIT, 1), command(Kind.WITHDRAWAL, 1), at=noon) == [
            *(None, "WITHDRAWAL_COOLDOWN")
        ]

    def test_it_is_told_before_the_lack_of_funds_and_after_the_hold_that_exists(self) -> None:
        wallet = wallet_of()
        wallet.take([command(Kind.ADJUSTMENT_CREDIT, 10), command(Kind.WITHDRAWAL_HOLD, 1), command(Kind.DEPOSIT, 10)])
        assert reasons(
            wallet,
            command(Kind.WITHDRAWAL, 10**9),
            command(Kind.WITHDRAWAL_HOLD, 10**9, reference_id="new"),
            command(Kind.WITHDRAWAL_HOLD, 1),
        ) == ["WITHDRAWAL_COOLDOWN", "WITHDRAWAL_COOLDOWN", "HOLD_EXISTS"]

    def test_staff_can_end_it_for_one_player(self) -> None:
        wallet = wallet_of()
        name = "WITHDRAWAL_COOLDOWN_SECONDS"
        wallet.take([command(Kind.DEPOSIT), command(Kind.DEPOSIT, user_id=43)])
        override = command(Kind.LIMIT_OVERRIDE, 0, reference_id=name)
        withdrawals = [command(Kind.WITHDRAWAL, 1, user_id) for user_id in (42, 43)]
        assert reasons(wallet, override, *withdrawals) == [None, None, "WITHDRAWAL_COOLDOWN"]


class TestHeldPayouts:
    """A win above the largest waits in reserved until somebody looked at it."""

    def test_each_command_on_what_is_held(self) -> None:
        wallet = wallet_of(max_payout_amount="5", currency_limits=EUROS)
        table: tuple[tuple[Kind, int, str | None, int, int], ...] = (
            # The command, why not, and cash and reserved after it.
            (Kind.PAYOUT_RELEASE, 1, "PAYOUT_NOT_HELD", 0, 0),
            (Kind.GAME_PAYOUT, 500, None, 500, 0),
            (Kind.PAYOUT_RELEASE, 500, "PAYOUT_NOT_HELD", 500, 0),
            (Kind.GAME_PAYOUT, 900, None, 500, 900),
            (Kind.PAYOUT_RELEASE, 901, "RELEASE_EXCEEDS_HELD", 500, 900),
            (Kind.PAYOUT_RELEASE, 300, None, 800, 600),
            (Kind.PAYOUT_ROLLBACK, 601, "PAYOUT_HELD", 800, 600),
            (Kind.PAYOUT_ROLLBACK, 200, None, 800, 400),
            (Kind.GAME_PAYOUT, 1, "ROUND_CANCELLED", 800, 400),
            (Kind.PAYOUT_RELEASE, 400, None, 1200, 0),
            (Kind.PAYOUT_RELEASE, 1, "PAYOUT_NOT_HELD", 1200, 0),
            (Kind.PAYOUT_ROLLBACK, 1201, "ROLLBACK_EXCEEDS_ORIGINAL", 1200, 0),
            (Kind.PAYOUT_ROLLBACK, 1200, None, 0, 0),
            (Kind.PAYOUT_ROLLBACK, 1, "ALREADY_ROLLED_BACK", 0, 0),
        )
        for kind, amount, reason, cash, reserved in table:
            row = wallet.one(command(kind, amount)).row.content
            assert (row.reason, row.cash_minor, row.reserved_minor) == (reason, cash, reserved), (kind, amount)

    def test_it_is_released_in_its_own_currency(self) -> None:
        wallet = wallet_of(max_payout_amount="5", currency_limits=EUROS)
        commands = [command(Kind.GAME_PAYOUT, 900), command(Kind.PAYOUT_RELEASE, 900, currency="EUR")]
        assert reasons(wallet, *commands) == [None, "PAYOUT_NOT_HELD"]

    def test_in_a_currency_without_limits_every_win_is_held(self) -> None:
        wallet = wallet_of()
        row = wallet.one(command(Kind.GAME_PAYOUT, 1, currency="GBP")).row.content
        assert (row.status, row.cash_minor, row.reserved_minor) == ("posted", 0, 1)

    def test_what_is_held_makes_room_for_a_loss_at_once(self) -> None:
        wallet = wallet_of(daily_loss_limit="10", max_payout_amount="5")
        wallet.take([command(Kind.DEPOSIT, 10_000), command(Kind.GAME_BET, 1000), command(Kind.GAME_PAYOUT, 600)])
        assert reasons(wallet, command(Kind.GAME_BET, 601), command(Kind.GAME_BET, 600)) == [DAILY_LOSS, None]
