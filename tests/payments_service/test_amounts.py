"""Amounts: exact both ways for each provider, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments_service.domain import amounts
from shared.errors import InvalidInput


@pytest.mark.parametrize(
    ("minor", "currency", "expected"),
    [(1000, "USD", 1000), (25, "JPY", 25), (1230, "KWD", 1230), (5, "UGX", 500), (7, "ISK", 700), (300, "MGA", 3)],
)
def test_stripe_counts_in_its_own_smallest_unit(minor: int, currency: str, expected: int) -> None:
    assert amounts.to_stripe(minor, currency) == expected
    assert amounts.from_stripe(expected, currency.lower()) == minor


@pytest.mark.parametrize(("minor", "currency"), [(1235, "KWD"), (301, "MGA"), (10**8, "USD"), (100, "XYZ")])
def test_stripe_is_not_asked_for_what_it_cannot_move(minor: int, currency: str) -> None:
    with pytest.raises(InvalidInput):
        amounts.to_stripe(minor, currency)


@pytest.mark.parametrize(
    ("minor", "currency", "expected"),
    [(1000, "USD", "10.00"), (5, "EUR", "0.05"), (25, "JPY", "25"), (100, "HUF", "1")],
)
def test_paypal_takes_decimals(minor: int, currency: str, expected: str) -> None:
    assert amounts.to_paypal(minor, currency) == expected
    assert amounts.from_paypal(expected, currency) == minor


@pytest.mark.parametrize(("minor", "currency"), [(101, "HUF"), (1000, "KWD"), (150, "TWD")])
def test_paypal_is_not_asked_for_what_it_cannot_move(minor: int, currency: str) -> None:
    with pytest.raises(InvalidInput):
        amounts.to_paypal(minor, currency)


@pytest.mark.parametrize("value", ["1.001", "-1", "1e3", "", "NaN", "1,00"])
def test_what_is_no_amount_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput):
        amounts.from_paypal(value, "USD")


@given(st.integers(0, 99_999), st.sampled_from(["USD", "JPY", "KWD", "ISK", "UGX", "MGA", "HUF", "CLP", "BHD"]))
def test_what_stripe_can_move_comes_back_as_it_was(minor: int, currency: str) -> None:
    try:
        amount = amounts.to_stripe(minor, currency)
    except InvalidInput:
        return
    assert amounts.from_stripe(amount, currency) == minor


@given(st.integers(0, 10**12), st.sampled_from(["USD", "JPY", "HUF", "TWD", "EUR"]))
def test_what_paypal_can_move_comes_back_as_it_was(minor: int, currency: str) -> None:
    try:
        value = amounts.to_paypal(minor, currency)
    except InvalidInput:
        return
    assert amounts.from_paypal(value, currency) == minor


def test_a_sign_and_an_empty_field_are_read_where_they_may_stand() -> None:
    assert [amounts.signed(text, "USD") for text in ("-0.59", "25.00", "")] == [-59, 2500, 0]


def test_people_read_amounts_in_decimals_and_what_a_provider_made_up_as_it_came() -> None:
    told = [amounts.told(*each) for each in ((4400, "EUR"), (-5, "KWD"), (7, "JPY"), (7, "???"), (None, "USD"))]
    assert told == ["44.00 EUR", "-0.005 KWD", "7 JPY", "7 ???", "None USD"]
