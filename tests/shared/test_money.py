"""Money: integers in minor units; text at the edge."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.money import MAX_AMOUNT_MINOR, exponent, exponents, to_decimal, to_minor

currencies = st.sampled_from(sorted(exponents()))
amounts = st.integers(1, MAX_AMOUNT_MINOR)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("10.00", "USD", 1000),
        ("10", "USD", 1000),
        ("10.5", "USD", 1050),
        ("0.01", "USD", 1),
        ("0010.00", "USD", 1000),
        ("10", "JPY", 10),
        ("1.234", "KWD", 1234),
        ("9999999999999.99", "USD", MAX_AMOUNT_MINOR),
    ],
)
def test_an_amount_becomes_minor_units(amount: str, currency: str, minor: int) -> None:
    assert to_minor(amount, currency) == minor


@pytest.mark.parametrize(
    "amount",
    [
        *(
            "",
            ".",
            "-1.00",
            "+1.00",
            "1e3",
            "1E3",
            "NaN",
            "Infinity",
            "1_000",
            "1,000.00",
            " 1.00",
            "1.00 ",
            ".5",
            "5.",
        ),
        *("1.0.0", "0x10", "ten", "\u0661\u0662", "1\u00a0000", "\u00bd", "\uff11", "1.00\n", "0", "0.00", "-0"),
        *("10000000000000.00", "9" * 10_000, "0." + "0" * 10_000 + "1", "1.001"),
    ],
)
def test_what_is_no_amount_is_refused_in_words(amount: str) -> None:
    with pytest.raises(ValueError, match=r"must be|has more than") as refused:
        to_minor(amount, "USD")
    assert len(str(refused.value)) < 200


def test_a_currency_has_its_own_decimals() -> None:
    assert (exponent("USD"), exponent("JPY"), exponent("KWD")) == (2, 0, 3)
    with pytest.raises(ValueError, match="0 decimals that JPY has"):
        to_minor("1.5", "JPY")


@pytest.mark.parametrize("currency", ["", "usd", "US", "XYZ", "XAU", "XTS", "USDT"])
def test_what_is_no_currency_is_refused(currency: str) -> None:
    with pytest.raises(ValueError, match="ISO 4217"):
        exponent(currency)
    with pytest.raises(ValueError, match="ISO 4217"):
        to_minor("1", currency)
    with pytest.raises(ValueError, match="ISO 4217"):
        to_decimal(1, currency)


@given(amounts, currencies)
def test_text_and_minor_units_are_each_others_inverse(minor: int, currency: str) -> None:
    assert to_minor(to_decimal(minor, currency), currency) == minor


@given(st.integers(-(2**70), 2**70), currencies)
def test_text_has_exactly_the_currencys_decimals_and_the_exact_value(minor: int, currency: str) -> None:
    text = to_decimal(minor, currency)
    _, _, fraction = text.partition(".")
    assert len(fraction) == exponent(currency)
    assert Decimal(text) == Decimal(minor).scaleb(-exponent(currency))
    assert text.count("-") == (minor < 0)


@given(st.text(max_size=30), currencies)
def test_any_text_is_an_amount_or_a_value_error(text: str, currency: str) -> None:
    try:
        minor = to_minor(text, currency)
    except ValueError:
        return
    assert 0 < minor <= MAX_AMOUNT_MINOR
    assert type(minor) is int
