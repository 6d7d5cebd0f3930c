"""What a condition may say, and where a wrong one is wrong."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraud_service.domain.readings import NAMES, Parameters
from fraud_service.domain.rules import (
    MOVES,
    Evaluator,
    RuleBody,
    RuleFailed,
    compiled,
    draft,
    place_of,
    sentence,
)
from fraud_service.handlers.rulebook import initial_rules
from shared.contracts.fraud import RuleState
from shared.errors import InvalidInput


def body(condition: str = "bets_24h > 1", **changed: Any) -> RuleBody:
    values = {
        **{"id": "rule", "condition": condition, "points": 10, "severity": "low", "window_minutes": 60},
        **{"half_life_minutes": 60, "sees": "bets_24h", "against": 1, "text": "{bets_24h} bets"},
    }
    return RuleBody.model_validate(values | changed)


def holds(condition: str, **values: int) -> bool:
    rule = compiled(1, body(condition))
    return Evaluator([rule], dict.fromkeys(NAMES, 0) | Parameters().named() | values).holds(rule)


@pytest.mark.parametrize(
    ("condition", "place"),
    [
        ("bets_24h >", "1:11: Syntax error"),
        ("bets_24h > 1 &&\n  nothing > 1", "2:3: undeclared reference to 'nothing'"),
        ("bets_24h > 'x'", '1:12: "\'" is not let in'),
        ("bets_24h > 1.5", "1:13: '.' is not let in"),
        ("bets_24h / 0 > 1", "1:10: divides by what may be zero"),
        ("bets_24h % 0x0 > 1", "1:10: divides by what may be zero"),
        ("bets_24h / deposits_72h > 1", "1:10: divides by what may be zero"),
        ("bets_24h / (1 - 1) > 1", "1:10: divides by what may be zero"),
        ("[1, 2].all(x, x > 0)", "1:1: '[' is not let in"),
        ("size(bets_24h) > 1", "1:1: size is called"),
        ("bets_24h + 1", "1:1: is INT, not a condition"),
        ("bets_24h > true", "1:10: found no matching overload"),
        ("(" * 21 + "bets_24h" + ")" * 21 + " > 1", "1:21: more than 20 brackets"),
    ],
)
def test_a_wrong_condition_is_refused_with_its_place(condition: str, place: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        draft(body(condition))
    assert [error.field for error in refused.value.errors] == ["condition"]
    assert refused.value.errors[0].message.startswith(place)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"sees": "nothing"}, "sees"),
        ({"against": "NOTHING"}, "against"),
        ({"text": "{nothing}"}, "text"),
        ({"text": "{bets_24h.real}"}, "text"),
        ({"text": "{bets_24h:>99999999}"}, "text"),
        ({"text": "{bets_24h"}, "text"),
        ({"text": "{}"}, "text"),
    ],
)
def test_a_name_that_is_not_there_is_refused(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        draft(body(**changed))
    assert [error.field for error in refused.value.errors] == [field]


@given(st.text(alphabet="ab01()<>=!&|?:+-*/% \n.,'\"[]{}", max_size=60))
def test_whatever_is_drafted_is_refused_by_name_or_has_a_truth(condition: str) -> None:
    try:
        draft(body(condition or " "))
    except InvalidInput:
        return
    assert holds(condition) in (True, False)


def test_conditions_are_true_or_not() -> None:
    assert holds("bets_24h > 1 && bets_24h / 2 >= 2", bets_24h=4)
    assert not holds("bets_24h > 1 && !(bets_24h < 10)", bets_24h=4)
    assert holds("peak_bets_per_minute > VELOCITY_THRESHOLD", peak_bets_per_minute=11)
    assert not holds("peak_bets_per_minute > VELOCITY_THRESHOLD", peak_bets_per_minute=10)


def test_an_overflow_is_a_failure_and_no_answer() -> None:
    with pytest.raises(RuleFailed, match="overflow"):
        holds("bets_24h * 9223372036854775807 > 1", bets_24h=4)


def test_the_initial_rules_are_right_and_are_named_once() -> None:
    rules = initial_rules()
    for rule in rules:
        draft(rule)
        assert "{" not in sentence(rule, dict.fromkeys([*NAMES, *Parameters().named()], 7))
    assert len({rule.id for rule in rules}) == len(rules)


def test_places_count_from_one() -> None:
    assert place_of("ab\ncd", 0) == "1:1"
    assert place_of("ab\ncd", 4) == "2:2"


def test_nothing_comes_back_from_retirement() -> None:
    assert MOVES[RuleState.RETIRED] == frozenset()
    assert RuleState.ACTIVE not in MOVES[RuleState.DISABLED]


@given(st.data())
@pytest.mark.slow
def test_a_rule_that_its_guards_pass_over_would_not_hold(data: st.DataObject) -> None:
    values = {name: data.draw(st.integers(0, 30), name) for name in [*NAMES, *Parameters().named()]}
    conditions = [
        *(rule.condition for rule in initial_rules()),
        *(
            "bets_24h > 3 || bets_72h < 4",
            "bets_24h > 3 && (bets_72h < 4 || bets_72h > 9)",
            "bets_24h != VELOCITY_THRESHOLD",
        ),
        *("bets_24h > 3 ? bets_72h < 4 : bets_72h > 9", "!(bets_24h > 3) && bets_24h + 1 > 2", "0x10 < bets_24h"),
    ]
    for condition in conditions:
        rule = compiled(1, body(condition))
        assert rule.may_hold(values) or not Evaluator([rule], values).holds(rule)


def test_guards_spare_the_asking() -> None:
    rule = compiled(1, body("bets_24h > 3 && bets_72h < VELOCITY_THRESHOLD"))
    assert len(rule.guards) == 2
    assert not compiled(1, body("bets_24h > 3 || bets_72h < 4")).guards
