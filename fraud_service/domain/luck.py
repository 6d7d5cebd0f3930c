"""How surprising a number of wins is: the upper tail of a binomial distribution, in integers."""

from functools import lru_cache
from math import comb

MILLION = 1_000_000
MOST_DIGITS = 18
# The tail is summed in units of one in 2**160, far below the rarest that is told apart.
_SCALE = 160


@lru_cache(maxsize=4096)
def surprise(rounds: int, wins: int, chances_ppm: int) -> int:
    """The largest d, at most MOST_DIGITS, such that so many wins or more happen once in 10**d times or less.

    `chances_ppm` is the sum of the rounds' chances in millionths. Where they differ, their mean gives at least the
    true tail (Hoeffding 1956), so a player is never made luckier than he was.
    """
    if rounds == 0 or wins * MILLION <= chances_ppm:
        return 0
    win, total = chances_ppm, rounds * MILLION
    lose = total - win
    if lose <= 0:
        return 0
    term = (comb(rounds, wins) * win**wins * lose ** (rounds - wins) << _SCALE) // total**rounds
    tail = 0
    for count in range(wins, rounds + 1):
        tail += term
        term = term * (rounds - count) * win // ((count + 1) * lose)
        if term == 0:
            break
    digits = 0
    while digits < MOST_DIGITS and tail * 10 ** (digits + 1) <= 1 << _SCALE:
        digits += 1
    return digits
