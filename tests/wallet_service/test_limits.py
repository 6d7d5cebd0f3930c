"""Whose limit holds, what is used of one, and what the settings say: without a wallet around it."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from shared.contracts.limits import LimitName
from shared.errors import ConfigurationError
from tests.wallet_service.limits import DAILY_LOSS, EUROS, MONTHLY_LOSS, WEEKLY_LOSS, calendar
from tests.wallet_service.support import NOW, RULES
from tests.wallet_service.test_settings import GOOD
from wallet_service.domain.limits import WINDOWED, Measure, PlayerLimit, Standing, Totals, Window, first_excess
from wallet_service.settings import LimitSettings, Settings


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
