"""Scores: their reasons, their decay, and what planted fraudsters and honest players get."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.detection import LEVELS, PARAMETERS, Found, detect, rule_set
from bench.scenarios import PATTERNS, players
from fraud_service.domain.features import Features, fold
from fraud_service.domain.observations import Observation, What, of_ledger
from fraud_service.domain.readings import read
from fraud_service.domain.rules import Rule, compiled
from fraud_service.domain.scoring import Level, RuleSet, decayed, score
from fraud_service.handlers.rulebook import initial_rules
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind, Reason
from shared.testing import FakeLedger
from tests.fraud_service.strategies import START, observations
from tests.fraud_service.test_rules import body

# The rules were tuned with other seeds.
SEED = 7_041_776
HONEST = 20_000
PLANTED_EACH = 200


def rule(version: int = 1, **changed: object) -> Rule:
    return compiled(version, body(**{"condition": "deposits_72h > 0", "sees": "deposits_72h", **changed}))  # type: ignore[arg-type]


def deposited() -> Features:
    return fold(Features(), [Observation(1, START, What.DEPOSIT, "0:1", 100, "USD")])


def test_a_score_has_its_reasons() -> None:
    found = score(deposited(), RuleSet(1, [rule(text="{deposits_72h} deposits")]), PARAMETERS, LEVELS, START)
    (reason,) = found.reasons
    assert (found.score, reason.rule, reason.version, reason.seen, reason.against) == (10, "rule", 1, 1, 1)
    assert (reason.text, reason.evidence, reason.points_milli) == ("1 deposits", ("0:1",), 10_000)


def test_a_third_refund_within_a_month_is_a_reason_and_one_that_was_refused_is_none() -> None:
    (repeated,) = [each for each in initial_rules() if each.id == "repeated_refunds"]
    rules, ledger = RuleSet(1, [compiled(1, repeated)]), FakeLedger(1)
    rows = [ledger.add(Kind.REFUND, 1), ledger.add(Kind.REFUND, 1), ledger.add(Kind.REFUND, 1, reason=Reason.EXPIRED)]
    twice = fold(Features(), of_ledger(rows))
    assert score(twice, rules, PARAMETERS, LEVELS, twice.latest).score == 0
    thrice = fold(twice, of_ledger([ledger.add(Kind.REFUND, 1)]))
    found = score(thrice, rules, PARAMETERS, LEVELS, thrice.latest)
    (reason,) = found.reasons
    assert (found.score, reason.rule, reason.evidence) == (15, "repeated_refunds", ("0:1", "0:2", "0:4"))


def test_a_refund_that_did_not_go_out_is_no_refund_and_one_that_was_corrected_by_a_part_is() -> None:
    ledger = FakeLedger(1)
    refunds = [ledger.add(Kind.REFUND, 1) for _ in range(3)]

    def refunds_after(*reversals: LedgerEvent) -> int:
        seen = fold(Features(), of_ledger([*reversals, *refunds]))
        return read(seen, PARAMETERS, seen.latest)["refunds_30d"].value

    assert refunds_after() == 3
    assert refunds_after(reversal(ledger, refunds[1], 400)) == 3
    assert refunds_after(reversal(ledger, refunds[1], 400), reversal(ledger, refunds[1], 600)) == 2
    assert refunds_after(reversal(ledger, refunds[0]), reversal(ledger, refunds[1])) == 1
    # What takes back something else says nothing of refunds.
    assert refunds_after(reversal(ledger, refunds[0], of=Kind.CHARGEBACK)) == 3


def reversal(ledger: FakeLedger, taken: LedgerEvent, amount: int = 1000, of: Kind = Kind.REFUND) -> LedgerEvent:
    row = ledger.add(Kind.REVERSAL, 1, amount)
    return row.model_copy(update={"reference_id": str(taken.command_id), "facts": {"reversed_kind": of.value}})


def test_what_a_shadow_rule_says_adds_nothing() -> None:
    found = score(deposited(), RuleSet(1, [], [rule()]), PARAMETERS, LEVELS, START)
    assert (found.score, len(found.reasons), len(found.shadow)) == (0, 0, 1)


def test_a_rule_that_fails_is_told_and_stops_no_other() -> None:
    broken = rule(2, condition="9223372036854775807 + deposits_72h > 0")
    found = score(deposited(), RuleSet(1, [broken, rule()]), PARAMETERS, LEVELS, START)
    assert found.score == 10
    assert [failure.version for failure in found.failures] == [2]


def test_points_halve_every_half_life_and_end_with_the_window() -> None:
    def after(minutes: int) -> int:
        return score(deposited(), RuleSet(1, [rule(points=80)]), PARAMETERS, LEVELS, START + minutes * 60_000).score

    assert [after(minutes) for minutes in (0, 30, 60, 61)] == [80, 60, 40, 0]


@given(st.integers(1, 100), st.integers(0, 10**10), st.integers(0, 10**9), st.integers(60_000, 10**10))
def test_decay_never_rises(points: int, age: int, later: int, half_life: int) -> None:
    assert 0 <= decayed(points, age + later, half_life) <= decayed(points, age, half_life) <= points * 1000
    # Each halving and each straight line is cut to a thousandth once.
    assert abs(decayed(points, age + half_life, half_life) * 2 - decayed(points, age, half_life)) <= 2


@given(observations())
def test_a_score_is_within_bounds_and_the_same_again(seen: list[Observation]) -> None:
    features, rules = fold(Features(), seen), rule_set()
    found = score(features, rules, PARAMETERS, LEVELS, features.latest)
    assert 0 <= found.score <= 100
    assert found.score == min(sum(reason.points_milli for reason in found.reasons) // 1000, 100)
    assert not found.failures
    assert score(fold(Features(), reversed(seen)), rules, PARAMETERS, LEVELS, features.latest) == found


def test_levels_begin_where_they_are_said_to() -> None:
    at = {score: LEVELS.of(score) for score in (24, 25, 49, 50, 75, 76)}
    assert list(at.values()) == [
        *(Level.SAFE, Level.SUSPICIOUS, Level.SUSPICIOUS, Level.RISKY, Level.RISKY, Level.FRAUDULENT),
    ]


@pytest.fixture(scope="module")
def detected() -> dict[str, Found]:
    return detect(players(SEED, honest_count=HONEST, planted_each=PLANTED_EACH))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_hardly_any_honest_player_is_ever_above_50(detected: dict[str, Found]) -> None:
    honest = detected["honest"]
    assert len(honest.highest) == HONEST
    assert honest.above(50) / HONEST < 0.005


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_nearly_every_planted_fraudster_is_above_75(detected: dict[str, Found], pattern: str) -> None:
    assert len(detected[pattern].highest) == PLANTED_EACH
    assert detected[pattern].above(75) >= PLANTED_EACH * 0.95


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("pattern", "rule"),
    [("bot", "bet_velocity"), ("streak", "winning_streak"), ("laundering", "rapid_withdrawal")],
)
def test_the_guides_own_patterns_are_found(detected: dict[str, Found], pattern: str, rule: str) -> None:
    assert detected[pattern].rules[rule] >= PLANTED_EACH / 2
