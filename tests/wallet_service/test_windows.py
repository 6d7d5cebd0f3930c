"""When the windows of limits begin: by the zone's calendar, or rolling by the minute."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.wallet_service.limits import calendar, utc
from wallet_service.domain.limits import Window, WindowMode, Windows

DAY, WEEK, MONTH = Window
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
