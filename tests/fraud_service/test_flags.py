"""When a flag is raised, and what may become of one."""

import pytest

from fraud_service.domain.flags import MOVES, RESOLVED, UNRESOLVED, Raise, Standing, may_become, raising
from fraud_service.domain.rules import Severity
from fraud_service.domain.scoring import Level, Reason, Score
from shared.contracts.fraud import FlagStatus


def score(level: Level = Level.FRAUDULENT, seen_at: int = 10) -> Score:
    reason = Reason("rule", 1, Severity.HIGH, "bets_24h", 1, 1, 80_000, seen_at, "", ())
    return Score(80, level, seen_at, (reason,))


@pytest.mark.parametrize("level", [Level.SAFE, Level.SUSPICIOUS, Level.RISKY])
def test_nothing_is_raised_below_the_alert(level: Level) -> None:
    assert raising(score(level), None) is Raise.NONE


def test_the_first_flag_is_raised() -> None:
    assert raising(score(), None) is Raise.NEW


@pytest.mark.parametrize("status", sorted(UNRESOLVED))
def test_no_second_flag_while_one_is_unresolved(status: FlagStatus) -> None:
    assert raising(score(seen_at=11), Standing(status, 10)) is Raise.KEEP_UP
    assert raising(score(seen_at=10), Standing(status, 10)) is Raise.NONE


@pytest.mark.parametrize("status", sorted(RESOLVED))
def test_what_was_looked_at_is_not_raised_again_and_what_is_new_is(status: FlagStatus) -> None:
    assert raising(score(seen_at=10), Standing(status, 10)) is Raise.NONE
    assert raising(score(seen_at=11), Standing(status, 10)) is Raise.NEW


def test_what_is_resolved_stays_so() -> None:
    assert MOVES.keys() == set(FlagStatus)
    for status in RESOLVED:
        assert not any(may_become(status, wanted) for wanted in FlagStatus)
    for status in UNRESOLVED:
        assert may_become(status, FlagStatus.CONFIRMED)
