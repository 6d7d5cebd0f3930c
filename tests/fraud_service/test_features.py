"""What is remembered of a player does not depend on the order in which it is told."""

from random import Random

import orjson
from hypothesis import given
from hypothesis import strategies as st

from fraud_service.domain.features import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    MINUTES_KEPT,
    ROUNDS,
    Features,
    decode,
    encode,
    fold,
)
from fraud_service.domain.observations import Observation, What
from fraud_service.domain.readings import Parameters, read
from tests.fraud_service.strategies import START, observations


def bet(at: int, ref: str = "0:1") -> Observation:
    return Observation(1, at, What.BET, ref, 100, "USD")


@given(observations(), st.randoms(use_true_random=False))
def test_any_order_in_any_batches_gives_the_same_bits(seen: list[Observation], draw: Random) -> None:
    at_once = fold(Features(), seen)
    shuffled = list(seen)
    draw.shuffle(shuffled)
    features = Features()
    while shuffled:
        size = draw.randint(1, len(shuffled))
        # Through the text, as a restart between two batches goes.
        features = decode(encode(fold(features, shuffled[:size])))
        del shuffled[:size]
    assert encode(features) == encode(at_once)


@given(observations())
def test_the_text_gives_the_features_back(seen: list[Observation]) -> None:
    features = fold(Features(), seen)
    assert decode(encode(features)) == features


@given(observations())
def test_the_fold_leaves_what_it_was_given(seen: list[Observation]) -> None:
    before = fold(Features(), seen[:1])
    text = encode(before)
    fold(before, seen[1:])
    assert encode(before) == text


@given(observations())
def test_every_reading_is_a_whole_number_that_is_not_negative(seen: list[Observation]) -> None:
    features = fold(Features(), seen)
    for reading in read(features, Parameters(), features.latest).values():
        assert isinstance(reading.value, int)
        assert reading.value >= 0
        assert reading.at <= features.latest
        assert len(reading.evidence) <= 10


def test_a_late_bet_counts_in_its_own_minute() -> None:
    late = fold(fold(Features(), [bet(START + HOUR_MS)]), [bet(START, "0:2")])
    assert {minute: bets for minute, (bets, _) in late.minutes.items()} == {
        START // MINUTE_MS: 1,
        (START + HOUR_MS) // MINUTE_MS: 1,
    }


def test_what_is_past_its_horizon_goes_and_does_not_come_back() -> None:
    features = fold(Features(), [bet(START), bet(START + (MINUTES_KEPT + 1) * MINUTE_MS, "0:2")])
    assert len(features.minutes) == 1
    assert len(fold(features, [bet(START, "0:3")]).minutes) == 1


def test_the_state_of_a_player_is_bounded() -> None:
    rounds = [
        Observation(1, START + n * DAY_MS // 500, What.ROUND, f"r{n}", number=500_000, won=True) for n in range(5000)
    ]
    bets = [bet(START + n * 1000, f"0:{n}") for n in range(50_000)]
    features = fold(Features(), [*rounds, *bets])
    assert len(features.rounds) == ROUNDS
    assert len(features.minutes) <= MINUTES_KEPT
    assert len(encode(features)) < 20_000


def test_the_winning_streak_is_by_the_rounds_own_times() -> None:
    played = [Observation(1, START + n, What.ROUND, f"r{n}", won=n != 3) for n in range(30)]
    reading = read(fold(Features(), reversed(played)), Parameters(), START + 30)["winning_streak"]
    assert reading.value == 26
    assert reading.evidence[-1] == "r29"


def test_a_withdrawal_is_rapid_up_to_the_minute() -> None:
    def rapid(after_ms: int, currency: str = "USD") -> int:
        seen = [
            Observation(1, START, What.DEPOSIT, "0:1", 100, "USD"),
            Observation(1, START + after_ms, What.WITHDRAWAL, "0:2", 100, currency),
        ]
        return read(fold(Features(), seen), Parameters(), START + after_ms)["rapid_withdrawals"].value

    assert rapid(5 * MINUTE_MS) == 1
    assert rapid(5 * MINUTE_MS + 1) == 0
    assert rapid(MINUTE_MS, "EUR") == 0


def test_failed_deposits_in_a_row_end_with_one_that_came_about() -> None:
    whats = [What.DEPOSIT_FAILED, What.DEPOSIT, What.DEPOSIT_FAILED, What.DEPOSIT_FAILED]
    seen = [Observation(1, START + n, what, f"0:{n}", 100, "USD") for n, what in enumerate(whats)]
    readings = read(fold(Features(), seen), Parameters(), START + 10)
    assert readings["failed_deposits_in_row"].value == 2
    assert readings["failed_deposits_24h"].value == 3


def test_what_was_kept_before_refunds_were_noticed_is_still_read() -> None:
    kept = orjson.loads(encode(fold(Features(), [bet(START)])))
    del kept["refunds"]
    assert decode(orjson.dumps(kept).decode()).refunds == []


def test_what_was_kept_before_refunds_named_their_command_still_counts() -> None:
    kept = orjson.loads(encode(fold(Features(), [bet(START)])))
    del kept["reversed_refunds"]
    kept["refunds"] = [[START, "0:7"]]
    assert read(decode(orjson.dumps(kept).decode()), Parameters(), START)["refunds_30d"].value == 1
