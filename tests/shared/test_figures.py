"""Figures of facts, and what rounds."""

from datetime import date

import pytest

from shared.figures.facts import Facts, Fee, Line, OwedOn
from shared.figures.figures import MOST_GAMES, OTHER_GAMES, in_decimals, of_days, of_period, percentage, rounded
from shared.figures.report import days_before, differences
from shared.figures.rules import Owed

DAY, NEXT = date(2026, 11, 24), date(2026, 11, 25)


def line(kind: str, rows: int, amount: int, **more: str) -> Line:
    texts = {"of_kind": "", "status": "posted", "reason": "", "game": "", "provider": "", "currency": "USD"} | more
    return Line(day=None, kind=kind, rows=rows, amount_minor=amount, **texts)


def test_net_revenue_is_ggr_less_what_goes_out_of_it() -> None:
    lines = [
        line("GAME_BET", 10, 10_000),
        line("BET_ROLLBACK", 1, 500),
        line("GAME_PAYOUT", 4, 6_000),
        line("PAYOUT_ROLLBACK", 1, 100),
        line("REFUND", 1, 40),
        line("CHARGEBACK", 2, 300),
        line("REVERSAL", 1, 100, of_kind="CHARGEBACK"),
        line("ADJUSTMENT_CREDIT", 1, 70),
        line("ADJUSTMENT_DEBIT", 1, 20),
    ]
    found = of_period(Facts(DAY, DAY, lines, fees=[Fee(DAY, "USD", "stripe", 9)]))["USD"]
    assert (found.ggr_minor, found.chargebacks_minor, found.adjustments_minor) == (3_600, 200, 50)
    assert found.net_revenue_minor == 3_600 - 40 - 200 - 9 - 50
    assert (found.hold_percentage, found.average_stake_minor) == ("37.89", 1_000)


def test_a_currency_shows_its_kinds_and_its_refusals_and_what_is_of_no_currency_is_left_out() -> None:
    lines = [
        line("GAME_BET", 3, 60, status="refused", reason="EXPIRED"),
        line("DEPOSIT", 1, 60, status="refused", reason="EXPIRED"),
        line("EXCLUSION", 1, 0, currency="XXX"),
    ]
    found = of_period(Facts(DAY, DAY, lines))
    assert found.keys() == {"USD"}
    assert (found["USD"].refusals, found["USD"].refused) == ({"EXPIRED": 4}, 4)
    assert found["USD"].kinds["GAME_BET"].refused == 3


def test_games_beyond_the_most_played_are_one_line_and_nothing_is_lost() -> None:
    lines = [line("GAME_BET", 1, 100 + number, game=f"g{number}") for number in range(MOST_GAMES + 5)]
    games = of_period(Facts(DAY, DAY, lines))["USD"].games
    assert len(games) == MOST_GAMES + 1
    assert games[OTHER_GAMES].bet_count == 5
    assert sum(game.bets_minor for game in games.values()) == sum(each.amount_minor for each in lines)


def test_what_is_owed_is_carried_from_day_to_day() -> None:
    changes = [OwedOn(date(2026, 11, 23), "USD", Owed(100, 5)), OwedOn(NEXT, "USD", Owed(-30, 0))]
    days = of_days(Facts(DAY, NEXT, (), owed=changes))["USD"]
    assert [figures.liabilities_minor for figures in days.values()] == [105, 75]


@pytest.mark.parametrize(
    ("dividend", "divisor", "expected"),
    [(5, 2, 2), (7, 2, 4), (-5, 2, -2), (-7, 2, -4), (1, 3, 0), (2, 3, 1), (-2, 3, -1), (7, -2, -4), (0, 9, 0)],
)
def test_halves_round_to_even(dividend: int, divisor: int, expected: int) -> None:
    assert rounded(dividend, divisor) == expected


def test_a_ratio_is_exact_until_it_is_rounded_and_of_nothing_there_is_none() -> None:
    assert percentage(1, 3) == "33.33"
    assert percentage(-1, 8) == "-12.50"
    assert percentage(1, 0) is None


def test_amounts_become_decimals_of_their_currency_wherever_they_stand() -> None:
    tree = {"a_minor": 5, "b_minor": None, "list": [{"c_minor": 12345}], "count": 3}
    assert in_decimals(tree, "USD") == {"a": "0.05", "b": None, "list": [{"c": "123.45"}], "count": 3}
    assert in_decimals(tree, "JPY")["list"] == [{"c": "12345"}]


def test_the_period_before_is_as_long() -> None:
    assert days_before(date(2026, 11, 1), date(2026, 11, 30)) == (date(2026, 10, 2), date(2026, 10, 31))
    assert days_before(DAY, DAY) == (date(2026, 11, 23), date(2026, 11, 23))


def test_each_difference_is_named_with_its_place() -> None:
    assert list(differences({"a": {"b": 1}, "c": [1, 2]}, {"a": {"b": 2}, "c": [1, 3], "d": 4})) == [
        "a b: the report says 1, the journal gives 2",
        "c 2: the report says 2, the journal gives 3",
        "d: the report says None, the journal gives 4",
    ]
