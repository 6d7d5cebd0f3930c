"""The binomial tail, beside the same in exact fractions."""

from fractions import Fraction
from math import comb

from hypothesis import given
from hypothesis import strategies as st

from fraud_service.domain.luck import MOST_DIGITS, surprise


def exact(rounds: int, wins: int, chance: Fraction) -> Fraction:
    return sum(
        (comb(rounds, n) * chance**n * (1 - chance) ** (rounds - n) for n in range(wins, rounds + 1)), Fraction(0)
    )


@given(st.integers(1, 120), st.integers(0, 120), st.integers(1, 999_999))
def test_it_is_the_exact_tail(rounds: int, wins: int, ppm: int) -> None:
    wins = min(wins, rounds)
    digits = surprise(rounds, wins, ppm * rounds)
    if wins * 1_000_000 <= ppm * rounds:
        assert digits == 0
        return
    tail = exact(rounds, wins, Fraction(ppm, 1_000_000))
    # Cut off in its last places, the tail may seem a hair rarer than it is, and never more common.
    slack = Fraction(1, 10**30)
    assert tail <= Fraction(1, 10**digits) + slack
    assert digits == MOST_DIGITS or tail > Fraction(1, 10 ** (digits + 1))


def test_known_tails() -> None:
    assert surprise(10, 10, 10 * 500_000) == 3
    assert surprise(20, 20, 20 * 100_000) == MOST_DIGITS
    assert surprise(0, 0, 0) == 0
    assert surprise(100, 50, 100 * 500_000) == 0
