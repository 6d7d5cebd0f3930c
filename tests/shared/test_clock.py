"""Time as it goes into messages and checksums."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from shared.clock import from_text, to_text, utc_now

FIRST, LAST = datetime(2000, 1, 2, tzinfo=UTC), datetime(2199, 12, 30, tzinfo=UTC)
moments = st.integers(0, (LAST - FIRST) // timedelta(microseconds=1)).map(
    lambda microseconds: FIRST + timedelta(microseconds=microseconds)
)


@given(moments)
def test_text_and_time_are_each_others_inverse(moment: datetime) -> None:
    assert from_text(to_text(moment)) == moment


@given(moments, st.integers(-23 * 60, 23 * 60))
def test_equal_times_have_equal_texts(moment: datetime, minutes: int) -> None:
    elsewhere = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assert to_text(elsewhere) == to_text(moment)


@given(moments, moments)
def test_texts_sort_as_times_do(one: datetime, other: datetime) -> None:
    assert (to_text(one) < to_text(other)) == (one < other)


def test_the_text_is_rfc_3339_with_six_decimals() -> None:
    assert to_text(datetime(2026, 11, 24, 10, tzinfo=UTC)) == "2026-11-24T10:00:00.000000Z"


def test_now_is_aware() -> None:
    assert utc_now().tzinfo is UTC
