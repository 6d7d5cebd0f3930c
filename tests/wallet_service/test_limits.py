"""Whose limit holds, when windows begin, what is used of a limit, and what changes one: without a wallet around it."""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from shared.contracts.commands import Command
from shared.contracts.kinds import LIMIT_KINDS, Kind, Reason, Status
from shared.contracts.limits import MAX_LIMIT_SECONDS, LimitName
from shared.errors import ConfigurationError
from tests.wallet_service.support import NOW, RULES, MemoryWallet, command
from tests.wallet_service.test_settings import GOOD
from wallet_service.domain import limit_changes
from wallet_service.domain.decisions import Decide
from wallet_service.domain.limits import (
    WINDOWED,
    Measure,
    PlayerLimit,
    Standing,
    Totals,
    Window,
    WindowMode,
    Windows,
    first_excess,
)
from wallet_service.domain.state import Concerned, PlayerAccount
from wallet_service.settings import LimitSettings, Settings

DAILY_DEPOSIT, DAILY_LOSS, WEEKLY_LOSS, MONTHLY_LOSS = (
    LimitName.DAILY_DEPOSIT_LIMIT,
    LimitName.DAILY_LOSS_LIMIT,
    LimitName.WEEKLY_LOSS_LIMIT,
    LimitName.MONTHLY_LOSS_LIMIT,
)
DAY, WEEK, MONTH = Window


def utc(moment: str) -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)


def calendar(zone: str = "UTC") -> Windows:
    return Windows(WindowMode.CALENDAR, ZoneInfo(zone))


ROLLING = Windows(WindowMode.ROLLING, ZoneInfo("UTC"))

# Zone, window, now, and when the window began; all moments in UTC.
STARTS = (
    # A day.
    ("UTC", DAY, "2026-11-24 23:59:59.999999", "2026-11-24 00:00"),
    ("UTC", DAY, "2026-11-25 00:00", "2026-11-25 00:00"),
    ("Europe/Malta", DAY, "2026-11-24 22:59:59", "2026-11-23 23:00"),
    ("Europe/Malta", DAY, "2026-11-24 23:00", "2026-11-24 23:00"),
    ("America/New_York", DAY, "2026-11-25 04:59", "2026-11-24 05:00"),
    # The clocks go forward: the day has 23 hours. They go back: 25.
    ("Europe/Malta", DAY, "2026-03-29 21:59:59", "2026-03-28 23:00"),
    ("Europe/Malta", DAY, "2026-03-29 22:00", "2026-03-29 22:00"),
    ("Europe/Malta", DAY, "2026-10-25 22:59:59", "2026-10-24 22:00"),
    ("Europe/Malta", DAY, "2026-10-25 23:00", "2026-10-25 23:00"),
    ("America/New_York", DAY, "2026-03-09 03:59", "2026-03-08 05:00"),
    ("America/New_York", DAY, "2026-11-02 04:59", "2026-11-01 04:00"),
    # Midnight is skipped: the day begins at one o'clock.
    ("America/Santiago", DAY, "2026-09-06 03:59:59", "2026-09-05 04:00"),
    ("America/Santiago", DAY, "2026-09-06 04:00", "2026-09-06 04:00"),
    ("Asia/Beirut", DAY, "2026-03-28 21:59:59", "2026-03-27 22:00"),
    ("Asia/Beirut", DAY, "2026-03-28 22:00", "2026-03-28 22:00"),
    # The hour before midnight comes twice: the day ends with the second one.
    ("America/Santiago", DAY, "2026-04-05 03:59:59", "2026-04-04 03:00"),
    ("America/Santiago", DAY, "2026-04-05 04:00", "2026-04-05 04:00"),
    # Midnight comes twice: the day begins with the first one.
    ("America/Havana", DAY, "2026-11-01 04:00", "2026-11-01 04:00"),
    ("America/Havana", DAY, "2026-11-01 05:30", "2026-11-01 04:00"),
    # An ISO week begins on Monday, also over New Year.
    ("UTC", WEEK, "2026-11-22 23:59:59", "2026-11-16 00:00"),
    ("UTC", WEEK, "2026-11-23 00:00", "2026-11-23 00:00"),
    ("UTC", WEEK, "2027-01-03 12:00", "2026-12-28 00:00"),
    ("Europe/Malta", WEEK, "2027-01-03 23:00", "2027-01-03 23:00"),
    ("Europe/Malta", WEEK, "2026-03-29 21:00", "2026-03-22 23:00"),
    ("America/Santiago", WEEK, "2026-09-07 02:59", "2026-08-31 04:00"),
    # A month.
    ("UTC", MONTH, "2026-04-30 23:59:59", "2026-04-01 00:00"),
    ("UTC", MONTH, "2028-02-29 12:00", "2028-02-01 00:00"),
    ("UTC", MONTH, "2028-03-01 00:00", "2028-03-01 00:00"),
    ("UTC", MONTH, "2026-12-31 23:59:59", "2026-12-01 00:00"),
    ("Europe/Malta", MONTH, "2026-10-31 22:59:59", "2026-09-30 22:00"),
    ("America/New_York", MONTH, "2026-12-01 04:59", "2026-11-01 04:00"),
)


@pytest.mark.parametrize(("zone", "window", "now", "start"), STARTS)
def test_a_calendar_window_begins_with_the_zones_day_week_or_month(
    zone: str, window: Window, now: str, start: str
) -> None:
    assert calendar(zone).start(window, utc(now)) == utc(start)


@pytest.mark.parametrize(
    ("window", "back"), [(DAY, timedelta(hours=24)), (WEEK, timedelta(days=7)), (MONTH, timedelta(days=30))]
)
def test_a_rolling_window_moves_by_the_minute_whatever_the_clocks_do(window: Window, back: timedelta) -> None:
    for now in (utc("2026-03-29 10:07:00"), utc("2026-03-29 10:07:59.999999")):
        assert ROLLING.start(window, now) == utc("2026-03-29 10:07") - back
    assert ROLLING.start(window, utc("2026-03-29 10:08")) == utc("2026-03-29 10:08") - back


@pytest.mark.parametrize("windows", [ROLLING, *(calendar(zone) for zone in sorted({each[0] for each in STARTS}))])
def test_no_window_begins_inside_a_period(windows: Windows) -> None:
    now = utc("2026-02-26 00:00")
    while now < utc("2026-03-31 00:00"):
        period = windows.period(now)
        assert period <= now
        for window in Window:
            # A window either has all of the period of something done, or nothing of it.
            start = windows.start(window, now)
            assert windows.period(start) == start
        now += timedelta(minutes=97)


class TestWhoseLimitHolds:
    """The lowest of the operator's or its override, the jurisdiction's, and the player's."""

    TABLE = (
        # The operator's, the jurisdiction's, the override, the player's own; what holds.
        (500, None, PlayerLimit(), 500),
        (500, 400, PlayerLimit(), 400),
        (500, 600, PlayerLimit(), 500),
        (500, 400, PlayerLimit(own=300), 300),
        (500, 400, PlayerLimit(own=450), 400),
        (500, None, PlayerLimit(override=900), 900),
        (500, 400, PlayerLimit(override=900), 400),
        (500, 400, PlayerLimit(override=100), 100),
        (500, None, PlayerLimit(override=900, own=700), 700),
        (500, None, PlayerLimit(override=0), 0),
        (500, None, PlayerLimit(own=0), 0),
        (500, None, PlayerLimit(own=300, pending=800, pending_from=NOW), 300),
        (None, None, PlayerLimit(), None),
        (None, None, PlayerLimit(own=50), 50),
        (None, 70, PlayerLimit(), 70),
        (None, None, PlayerLimit(override=60), 60),
    )

    @pytest.mark.parametrize(("operator", "jurisdiction", "player", "expected"), TABLE)
    def test_of_amounts_the_lowest(
        self, operator: int | None, jurisdiction: int | None, player: PlayerLimit, expected: int | None
    ) -> None:
        rules = RULES._replace(
            operator={"USD": {} if operator is None else {WEEKLY_LOSS: operator}},
            jurisdiction={"USD": {} if jurisdiction is None else {WEEKLY_LOSS: jurisdiction}},
        )
        assert rules.limit(WEEKLY_LOSS, "USD", player) == expected
        values = rules.values("USD", {WEEKLY_LOSS: player})
        assert values == ({} if expected is None else {WEEKLY_LOSS: expected})

    def test_of_cooldowns_the_longest(self) -> None:
        name = LimitName.WITHDRAWAL_COOLDOWN_SECONDS
        rules = RULES._replace(operator={"USD": {name: 60}}, jurisdiction={"USD": {name: 90}})
        assert rules.limit(name, "USD") == 90
        assert rules.limit(name, "USD", PlayerLimit(override=0)) == 90
        assert rules.limit(name, "USD", PlayerLimit(override=120)) == 120

    def test_a_currency_without_the_operators_limits_has_none_at_all(self) -> None:
        rules = RULES._replace(jurisdiction={"GBP": {DAILY_LOSS: 1}})
        assert rules.values("GBP", {}) is None
        assert not rules.allows("GBP")


def standing(limits: dict[LimitName, int], **used: Totals) -> Standing:
    """A player that in each window has done what is said for it."""
    total = Totals(10_000, 10_000, 10_000)
    began = {window: total.plus(used.get(window.value, Totals()), times=-1) for window in Window}
    return Standing(limits, total, began)


class TestWhatIsUsed:
    """A limit is passed by what would go past it, and not by what fills it."""

    @pytest.mark.parametrize("name", [each.name for each in WINDOWED])
    def test_each_limit_takes_the_last_cent_and_not_one_more(self, name: LimitName) -> None:
        ((_, measure, window),) = [each for each in WINDOWED if each.name is name]
        used = {Measure.DEPOSITS: Totals(70, 0, 0), Measure.LOSS: Totals(0, 100, 30), Measure.WAGERS: Totals(0, 70, 70)}
        player = standing({name: 100}, **{window.value: used[measure]})
        assert first_excess(player, measure, 30) is None
        assert first_excess(player, measure, 31) == (name, 100, 70)
        for other in set(Measure) - {measure}:
            assert first_excess(player, other, 10_000) is None

    def test_winnings_make_room_for_more_than_the_limit(self) -> None:
        player = standing({DAILY_LOSS: 100}, day=Totals(0, 20, 70))
        assert first_excess(player, Measure.LOSS, 150) is None
        assert first_excess(player, Measure.LOSS, 151) == (DAILY_LOSS, 100, -50)

    def test_nothing_remains_where_the_limit_was_lowered_under_what_was_used(self) -> None:
        excess = first_excess(standing({DAILY_LOSS: 100}, day=Totals(0, 300, 0)), Measure.LOSS, 1)
        assert excess is not None
        assert excess.remaining_minor == 0

    SEVERAL = (
        # Limits and use of day, week and month; which one is named for a bet of 100.
        ((100, 200, 300), (50, 50, 50), DAILY_LOSS),
        ((200, 100, 300), (50, 50, 50), WEEKLY_LOSS),
        ((100, 100, 100), (50, 60, 70), MONTHLY_LOSS),
        ((100, 100, 100), (50, 50, 50), DAILY_LOSS),
        ((500, 100, 100), (50, 50, 50), WEEKLY_LOSS),
        # Under their use they all leave nothing.
        ((100, 200, 300), (500, 500, 500), DAILY_LOSS),
        ((100, 200, 300), (100, 500, 900), DAILY_LOSS),
        ((900, 200, 300), (100, 300, 900), WEEKLY_LOSS),
    )

    @pytest.mark.parametrize(("limits", "used", "named"), SEVERAL)
    def test_of_several_the_one_that_leaves_least_is_named_and_of_equals_the_shortest(
        self, limits: tuple[int, ...], used: tuple[int, ...], named: LimitName
    ) -> None:
        names = (DAILY_LOSS, WEEKLY_LOSS, MONTHLY_LOSS)
        totals = {window.value: Totals(0, bets, 0) for window, bets in zip(Window, used, strict=True)}
        excess = first_excess(standing(dict(zip(names, limits, strict=True)), **totals), Measure.LOSS, 100)
        assert excess is not None
        assert excess.name == named


class TestChangesOfALimit:
    """Each command in each state of a player's limit."""

    EARLIER, LATER = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
    NOTHING = PlayerLimit()
    OWN = PlayerLimit(own=500)
    OVERRIDDEN = PlayerLimit(override=700, own=500)
    WAITS = PlayerLimit(own=500, pending=1000, pending_from=LATER)
    READY = PlayerLimit(own=500, pending=1000, pending_from=EARLIER)
    RAISED = PlayerLimit(own=500, pending=1000, pending_from=NOW + RULES.raise_wait)

    # The command with amount 1000, but where another is said; the state before; the state after, or why not.
    TABLE: tuple[tuple[Kind, int, PlayerLimit, PlayerLimit | Reason], ...] = (
        (Kind.LIMIT_OVERRIDE, 1000, NOTHING, PlayerLimit(override=1000)),
        (Kind.LIMIT_OVERRIDE, 1000, OWN, PlayerLimit(override=1000, own=500)),
        (Kind.LIMIT_OVERRIDE, 0, OVERRIDDEN, PlayerLimit(override=0, own=500)),
        (Kind.LIMIT_OVERRIDE, 1000, WAITS, WAITS._replace(override=1000)),
        (Kind.LIMIT_OVERRIDE, 1000, READY, READY._replace(override=1000)),
        (Kind.LIMIT_OVERRIDE_REMOVAL, 0, NOTHING, Reason.NO_OVERRIDE),
        (Kind.LIMIT_OVERRIDE_REMOVAL, 0, OWN, Reason.NO_OVERRIDE),
        (Kind.LIMIT_OVERRIDE_REMOVAL, 0, OVERRIDDEN, OWN),
        (Kind.LIMIT_OVERRIDE_REMOVAL, 0, PlayerLimit(override=0), NOTHING),
        (Kind.LIMIT_OVERRIDE_REMOVAL, 0, WAITS, Reason.NO_OVERRIDE),
        (Kind.LIMIT_OVERRIDE_REMOVAL, 0, READY, Reason.NO_OVERRIDE),
        (Kind.LIMIT_REQUEST, 1000, NOTHING, PlayerLimit(own=1000)),
        (Kind.LIMIT_REQUEST, 400, OWN, PlayerLimit(own=400)),
        (Kind.LIMIT_REQUEST, 500, OWN, OWN),
        (Kind.LIMIT_REQUEST, 501, OWN, RAISED._replace(pending=501)),
        (Kind.LIMIT_REQUEST, 1000, OVERRIDDEN, RAISED._replace(override=700)),
        # What waits is replaced, and waits anew; or is dropped.
        (Kind.LIMIT_REQUEST, 1000, WAITS, RAISED),
        (Kind.LIMIT_REQUEST, 500, WAITS, OWN),
        (Kind.LIMIT_REQUEST, 1000, READY, RAISED),
        (Kind.LIMIT_REQUEST, 0, READY, PlayerLimit(own=0)),
        (Kind.LIMIT_CONFIRMATION, 1000, NOTHING, Reason.NO_PENDING_RAISE),
        (Kind.LIMIT_CONFIRMATION, 1000, OWN, Reason.NO_PENDING_RAISE),
        (Kind.LIMIT_CONFIRMATION, 1000, OVERRIDDEN, Reason.NO_PENDING_RAISE),
        (Kind.LIMIT_CONFIRMATION, 1000, WAITS, Reason.RAISE_WAITS),
        (Kind.LIMIT_CONFIRMATION, 999, WAITS, Reason.NO_PENDING_RAISE),
        (Kind.LIMIT_CONFIRMATION, 1000, READY, PlayerLimit(own=1000)),
        (Kind.LIMIT_CONFIRMATION, 1001, READY, Reason.NO_PENDING_RAISE),
        (Kind.LIMIT_CONFIRMATION, 1000, READY._replace(pending_from=NOW), PlayerLimit(own=1000)),
        (Kind.LIMIT_REVOCATION, 0, NOTHING, Reason.NO_PENDING_RAISE),
        (Kind.LIMIT_REVOCATION, 0, OWN, Reason.NO_PENDING_RAISE),
        (Kind.LIMIT_REVOCATION, 0, OVERRIDDEN, Reason.NO_PENDING_RAISE),
        (Kind.LIMIT_REVOCATION, 0, WAITS, OWN),
        (Kind.LIMIT_REVOCATION, 0, READY, OWN),
    )
    DECIDE: ClassVar[dict[Kind, Decide]] = {
        Kind.LIMIT_OVERRIDE: limit_changes.override,
        Kind.LIMIT_OVERRIDE_REMOVAL: limit_changes.remove_override,
        Kind.LIMIT_REQUEST: limit_changes.request,
        Kind.LIMIT_CONFIRMATION: limit_changes.confirm,
        Kind.LIMIT_REVOCATION: limit_changes.revoke,
    }

    def test_the_table_has_every_command_in_every_state(self) -> None:
        states = {self.NOTHING, self.OWN, self.OVERRIDDEN, self.WAITS, self.READY}
        tried = {(kind, before) for kind, _, before, _ in self.TABLE}
        assert tried >= {(kind, state) for kind in LIMIT_KINDS for state in states}

    @pytest.mark.parametrize(("kind", "amount", "before", "after"), TABLE)
    def test_each_command_in_each_state(
        self, kind: Kind, amount: int, before: PlayerLimit, after: PlayerLimit | Reason
    ) -> None:
        concerned = Concerned(PlayerAccount(), RULES, Standing(None), limit=before)
        decision = self.DECIDE[kind](command(kind, amount), concerned, NOW)
        if isinstance(after, Reason):
            assert (decision.status, decision.reason, decision.limit) == (Status.REFUSED, after, None)
        else:
            assert (decision.status, decision.reason, decision.limit) == (Status.POSTED, None, after)
        assert decision.amount_minor == 0
        assert decision.account == PlayerAccount()

    @pytest.mark.parametrize("kind", [Kind.LIMIT_OVERRIDE, Kind.LIMIT_REQUEST])
    def test_in_a_currency_that_is_not_allowed_nothing_is_set(self, kind: Kind) -> None:
        decision = self.DECIDE[kind](
            command(kind, currency="GBP"), Concerned(PlayerAccount(), RULES, Standing(None)), NOW
        )
        assert (decision.reason, decision.limit) == (Reason.CURRENCY_NOT_ALLOWED, None)

    def test_the_row_says_what_held_before_and_what_holds_now(self) -> None:
        rules = RULES._replace(operator={"USD": {DAILY_LOSS: 50_000}})
        concerned = Concerned(PlayerAccount(), rules, Standing(None), limit=self.OVERRIDDEN)
        facts = limit_changes.override(command(Kind.LIMIT_OVERRIDE, 300), concerned, NOW).facts
        assert facts == {
            **{"before": 500, "before_override": 700, "before_own": 500},
            **{"after": 300, "after_override": 300, "after_own": 500},
            "asked_minor": 300,
        }
        facts = limit_changes.request(command(Kind.LIMIT_REQUEST, 900), concerned, NOW).facts
        assert facts is not None
        assert (facts["after"], facts["pending"], facts["pending_from"]) == (500, 900, "2026-11-25T10:00:00.000000Z")

    def test_a_cooldown_is_at_most_thirty_days(self) -> None:
        name = "WITHDRAWAL_COOLDOWN_SECONDS"
        command(Kind.LIMIT_OVERRIDE, MAX_LIMIT_SECONDS, reference_id=name)
        with pytest.raises(ValidationError, match="at most 2592000 seconds"):
            command(Kind.LIMIT_OVERRIDE, MAX_LIMIT_SECONDS + 1, reference_id=name)
        command(Kind.LIMIT_OVERRIDE, MAX_LIMIT_SECONDS + 1, reference_id="DAILY_LOSS_LIMIT")


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


EUROS = {"EUR": dict.fromkeys((name.value for name in (DAILY_DEPOSIT, DAILY_LOSS, WEEKLY_LOSS, MONTHLY_LOSS)), "50")}
EUROS["EUR"] |= {"MAX_BET_AMOUNT": "20", "MAX_PAYOUT_AMOUNT": "30"}


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


class TestSettings:
    """The source guide's names and defaults, and what each setting cannot be."""

    def test_the_defaults_are_the_guides(self) -> None:
        rules = LimitSettings().rules()
        assert rules.operator == {
            "USD": {
                LimitName.DAILY_DEPOSIT_LIMIT: 10_000_00,
                LimitName.DAILY_LOSS_LIMIT: 500_00,
                LimitName.WEEKLY_LOSS_LIMIT: 2000_00,
                LimitName.MONTHLY_LOSS_LIMIT: 5000_00,
                LimitName.MAX_BET_AMOUNT: 1000_00,
                LimitName.MAX_PAYOUT_AMOUNT: 100_000_00,
                LimitName.WITHDRAWAL_COOLDOWN_SECONDS: 86_400,
            }
        }
        assert rules.jurisdiction == {}
        assert rules.windows == calendar()
        assert rules.raise_wait == timedelta(hours=24)

    def test_amounts_are_in_the_base_currency_and_others_have_their_own(self) -> None:
        rules = LimitSettings(base_currency="JPY", currency_limits=EUROS).rules()
        assert rules.operator["JPY"][LimitName.MAX_BET_AMOUNT] == 1000
        assert rules.operator["EUR"][LimitName.MAX_BET_AMOUNT] == 20_00
        assert rules.operator["EUR"][LimitName.WITHDRAWAL_COOLDOWN_SECONDS] == 86_400

    BAD = (
        *(
            (name, value)
            for name in (
                *("DAILY_DEPOSIT_LIMIT", "DAILY_LOSS_LIMIT", "WEEKLY_LOSS_LIMIT", "MONTHLY_LOSS_LIMIT"),
                *("MAX_BET_AMOUNT", "MAX_PAYOUT_AMOUNT"),
            )
            for value in ("", "-1", "ten", "1e3", "1.005", "10000000000000000")
        ),
        ("WITHDRAWAL_COOLDOWN_SECONDS", "-1"),
        ("WITHDRAWAL_COOLDOWN_SECONDS", "2592001"),
        ("LIMIT_RAISE_WAIT_SECONDS", "-1"),
        ("HOLD_EXPIRY_SECONDS", "59"),
        ("LIMIT_WINDOWS", "weekly"),
        ("PLATFORM_TIME_ZONE", "Europe/Atlantis"),
        ("BASE_CURRENCY", "XXX"),
        ("CURRENCY_LIMITS", '{"EUR": {"DAILY_LOSS_LIMIT": "5"}}'),
        ("CURRENCY_LIMITS", '{"XXX": {}}'),
        ("JURISDICTION_LIMITS", '{"USD": {"HOURLY_LOSS_LIMIT": "5"}}'),
        ("JURISDICTION_LIMITS", '{"USD": {"DAILY_LOSS_LIMIT": "-5"}}'),
    )

    @pytest.mark.parametrize(("name", "value"), BAD)
    def test_what_is_out_of_range_is_named(self, name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for each, good in (GOOD | {name: value}).items():
            monkeypatch.setenv(each, good)
        with pytest.raises(ConfigurationError, match=name):
            Settings.load()

    @pytest.mark.parametrize("seconds", ["1.5", "2592001"])
    def test_a_cooldown_of_a_currency_is_named_too(self, seconds: str) -> None:
        with pytest.raises(ValidationError, match="WITHDRAWAL_COOLDOWN_SECONDS in USD must be at most 2592000 whole"):
            LimitSettings(jurisdiction_limits={"USD": {"WITHDRAWAL_COOLDOWN_SECONDS": seconds}})
