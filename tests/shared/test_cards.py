"""Card numbers: found, refused and redacted; what only looks like one is left alone."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from shared import cards, logs
from shared.errors import InvalidInput

NUMBERS = [
    "4242424242424242",
    "4242 4242 4242 4242",
    "5555-5555-5555-4444",
    "378282246310005",
    "6011111111111117",
    "2223003122003222",
    "4222222222222",
]
HARMLESS = [
    "4242424242424241",  # its check digit is wrong
    "1764000000000000000",  # a time in nanoseconds
    "42424242-4242-4242-4242-424242424242",  # a UUID
    "pm_4242424242424242",  # a token
    "424242424242",  # too short
    "42424242424242424242",  # too long
]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_card_number_is_found_wherever_it_stands(number: str) -> None:
    assert cards.contains(number)
    values: list[JsonValue] = [
        {"card": {"number": number}},
        {"items": ["x", f"my card is {number}, thanks"]},
        {number: 1},
    ]
    for value in values:
        with pytest.raises(InvalidInput) as refused:
            cards.refuse(value)
        assert number not in str(refused.value)


def test_a_card_number_that_is_a_number_is_found() -> None:
    with pytest.raises(InvalidInput, match=r"body\.card"):
        cards.refuse({"card": 4242424242424242})


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_one_is_left_alone(text: str) -> None:
    cards.refuse({"x": text})
    assert cards.redact(text) == text


@given(st.integers(min_value=10**12, max_value=10**18 - 1))
def test_every_number_with_its_check_digit_is_found(body: int) -> None:
    digits = "4" + str(body)[1:]
    doubled = sum(sum(divmod(2 * int(digit), 10)) for digit in digits[::-1][::2])
    check = -(doubled + sum(int(digit) for digit in digits[::-1][1::2])) % 10
    assert cards.redact(f"<{digits}{check}>") == f"<{cards.REDACTED}>"


def test_a_body_of_endless_depth_is_refused() -> None:
    value: list[object] = []
    for _ in range(100):
        value = [value]
    with pytest.raises(InvalidInput, match="deep"):
        cards.refuse(value)  # type: ignore[arg-type]


def test_no_card_number_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    try:
        logs.configure("a_test", "INFO", "json")
        logs.get("cards").info("came", body={"number": 4242424242424242, "text": "4242 4242 4242 4242"})
        logging.getLogger("library").error("it was %s", "5555555555554444")
        out = capsys.readouterr().out
    finally:
        root.handlers, root.level = handlers, level
    assert out.count(cards.REDACTED) == 3
    assert not cards.contains(out)
