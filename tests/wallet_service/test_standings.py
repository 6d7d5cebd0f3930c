"""How a player stands, from what a batch would load."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from shared.contracts.kinds import Kind
from shared.contracts.limits import LimitName
from shared.contracts.readings import LimitReading
from tests.wallet_service.support import FAR_LIMITS, NOW, MemoryWallet, command
from wallet_service.domain.limits import WindowMode, Windows
from wallet_service.domain.needs import Loaded, Placed, needs
from wallet_service.domain.standings import Activity, Played, limits_of, metrics_of, needs_of
from wallet_service.settings import LimitSettings

USER = 42
RULES = LimitSettings(**FAR_LIMITS | {"daily_loss_limit": "50", "limit_windows": "rolling"}).rules()


@pytest.fixture
def wallet() -> MemoryWallet:
    """A wallet whose windows roll, and in which the player has money since the day before yesterday."""
    wallet = MemoryWallet(rules=RULES)
    wallet.one(command(Kind.DEPOSIT, 100_000), now=NOW - timedelta(days=2))
    return wallet


def loaded(wallet: MemoryWallet, now: datetime = NOW) -> Loaded:
    return wallet.load(needs_of(0, USER, wallet.rules), now)


def daily_loss(wallet: MemoryWallet, now: datetime = NOW) -> LimitReading:
    found = limits_of(0, USER, loaded(wallet, now), wallet.rules)
    (limit,) = (each for each in found if (each.name, each.currency) == (LimitName.DAILY_LOSS_LIMIT, "USD"))
    return limit


def test_every_limit_of_every_currency_is_there_once(wallet: MemoryWallet) -> None:
    found = [(limit.currency, limit.name) for limit in limits_of(0, USER, loaded(wallet), RULES)]

    assert found == [(currency, name) for currency in ("EUR", "JPY", "USD") for name in LimitName]


def test_in_a_window_that_rolls_what_was_used_comes_back(wallet: MemoryWallet) -> None:
    wallet.one(command(Kind.GAME_BET, 2000, reference_id="a"), now=NOW - timedelta(hours=23))
    wallet.one(command(Kind.GAME_BET, 1000, reference_id="b"), now=NOW - timedelta(hours=1))

    uses = [daily_loss(wallet, NOW + timedelta(hours=hours)).window for hours in (0, 2, 24)]

    assert [use and (use.used, use.remaining) for use in uses] == [(3000, 2000), (1000, 4000), (0, 5000)]
    assert [use and use.starts_at for use in uses[:1]] == [NOW - timedelta(hours=24)]


def test_what_is_said_to_be_left_is_what_can_be_bet(wallet: MemoryWallet) -> None:
    wallet.one(command(Kind.GAME_BET, 1234, reference_id="a"))
    window = daily_loss(wallet).window
    assert window is not None
    assert window.remaining is not None

    over = wallet.one(command(Kind.GAME_BET, window.remaining + 1, reference_id="b")).row.content
    rest = wallet.one(command(Kind.GAME_BET, window.remaining, reference_id="b")).row.content

    assert (over.reason, rest.status) == ("DAILY_LOSS_LIMIT", "posted")


def test_what_is_needed_for_limits_is_what_a_bet_needs(wallet: MemoryWallet) -> None:
    of_bet = needs([Placed(0, command(Kind.GAME_BET))])
    of_limits = needs_of(0, USER, RULES)

    assert of_limits.players == of_bet.players
    assert set(of_bet.counted) <= set(of_limits.counted)
    assert of_limits.lanes == of_bet.lanes


@pytest.mark.parametrize(
    ("zone", "now", "days", "since"),
    [
        ("UTC", "2026-11-24T00:00:00", 1, "2026-11-24T00:00:00"),
        ("UTC", "2026-11-24T23:59:59", 7, "2026-11-18T00:00:00"),
        ("America/New_York", "2026-11-24T04:59:59", 1, "2026-11-23T05:00:00"),
        # The clocks were set back on 1 November.
        ("America/New_York", "2026-11-24T12:00:00", 24, "2026-11-01T04:00:00"),
        # Here they skip midnight.
        ("America/Santiago", "2026-09-06T12:00:00", 1, "2026-09-06T04:00:00"),
    ],
)
def test_days_begin_at_midnight_where_the_platform_is(zone: str, now: str, days: int, since: str) -> None:
    windows = Windows(WindowMode.ROLLING, ZoneInfo(zone))
    at, began = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (now, since))

    assert windows.days(days, at) == began


def test_a_currency_without_limits_in_which_something_was_done_is_not_left_out(wallet: MemoryWallet) -> None:
    now = loaded(wallet)
    played = Played(NOW, [Activity("SEK", Kind.WITHDRAWAL, 500, 1, 500)], 1)

    found = metrics_of(USER, 7, now, played, limits_of(0, USER, now, RULES))

    assert list(found.currencies) == ["EUR", "JPY", "SEK", "USD"]
    assert (found.currencies["SEK"].withdrawals_minor, found.currencies["SEK"].limits) == (500, {})
    assert LimitName.DAILY_LOSS_LIMIT in found.currencies["USD"].limits
    assert LimitName.MAX_BET_AMOUNT not in found.currencies["USD"].limits
