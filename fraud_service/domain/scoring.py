"""A player's score, always with its reasons. Live, in reprocessing and in backtests: one function.

Decay: a rule's points halve every half-life since what it saw was last so, in a straight line between two halvings,
in thousandths of a point. Nothing is left once the rule's window has passed. All of it is in integers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from fraud_service.domain.features import MINUTE_MS, Features
from fraud_service.domain.readings import Parameters, Readings, read
from fraud_service.domain.rules import Evaluator, Rule, RuleFailed, Severity, sentence
from fraud_service.domain.snoozes import NOTHING

HIGHEST = 100


class Level(StrEnum):
    """How bad a score is."""

    SAFE = "SAFE"
    SUSPICIOUS = "SUSPICIOUS"
    RISKY = "RISKY"
    FRAUDULENT = "FRAUDULENT"


class Levels(NamedTuple):
    """Where levels begin: SUSPICIOUS and RISKY at their number, FRAUDULENT above its own."""

    suspicious: int = 25
    risky: int = 50
    fraudulent: int = 75

    def of(self, score: int) -> Level:
        """A score's level."""
        if score > self.fraudulent:
            return Level.FRAUDULENT
        if score >= self.risky:
            return Level.RISKY
        return Level.SUSPICIOUS if score >= self.suspicious else Level.SAFE


class Reason(NamedTuple):
    """Why a score is what it is. `points_milli` are thousandths of a point; `seen_at` is in milliseconds."""

    rule: str
    version: int
    severity: Severity
    feature: str
    seen: int
    against: int
    points_milli: int
    seen_at: int
    text: str
    evidence: tuple[str, ...]


class Failure(NamedTuple):
    """A rule that failed, and how."""

    version: int
    rule: str
    error: str


@dataclass(frozen=True, slots=True)
class Score:
    """0 to 100 at a moment in milliseconds. What shadow rules say, and those that are snoozed, adds nothing."""

    score: int
    level: Level
    at: int
    reasons: tuple[Reason, ...]
    shadow: tuple[Reason, ...] = ()
    snoozed: tuple[Reason, ...] = ()
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules in force. `revision` grows with every change of them."""

    revision: int
    active: Sequence[Rule]
    shadow: Sequence[Rule] = ()


def decayed(points: int, age_ms: int, half_life_ms: int) -> int:
    """What is left of points, in thousandths.

    >>> decayed(40, 0, 60_000), decayed(40, 30_000, 60_000), decayed(40, 60_000, 60_000), decayed(40, 120_000, 60_000)
    (40000, 30000, 20000, 10000)
    """
    halvings, rest = divmod(max(age_ms, 0), half_life_ms)
    left = (points * 1000) >> halvings
    return left - left * rest // (2 * half_life_ms)


def score(
    features: Features,
    rules: RuleSet,
    parameters: Parameters,
    levels: Levels,
    now: int,
    asleep: frozenset[str] = NOTHING,
) -> Score:
    """A player's score at a moment. `asleep`: the rules that are snoozed for it then."""
    readings = read(features, parameters, now)
    # What never happened was not seen within any window, and most of it never did.
    seen = {name for name, reading in readings.items() if reading.at}
    fresh = [
        [rule for rule in asked if rule.sees in seen and now - readings[rule.sees].at <= rule.window_ms]
        for asked in (rules.active, rules.shadow)
    ]
    if any(fresh):
        values = {name: reading.value for name, reading in readings.items()} | parameters.named()
        fresh = [[rule for rule in asked if rule.may_hold(values)] for asked in fresh]
    if not any(fresh):
        return Score(0, levels.of(0), now, ())
    evaluator = Evaluator([*fresh[0], *fresh[1]], values)
    failures: list[Failure] = []
    active, shadow = (_reasons(asked, evaluator, readings, values, now, failures) for asked in fresh)
    counted, snoozed = (tuple(r for r in active if (r.rule in asleep) is sleeps) for sleeps in (False, True))
    total = min(sum(reason.points_milli for reason in counted) // 1000, HIGHEST)
    return Score(total, levels.of(total), now, counted, shadow, snoozed, tuple(failures))


def _reasons(
    asked: Iterable[Rule],
    evaluator: Evaluator,
    readings: Readings,
    values: Mapping[str, int],
    now: int,
    failures: list[Failure],
) -> tuple[Reason, ...]:
    found: list[Reason] = []
    for rule in asked:
        body = rule.body
        try:
            if not evaluator.holds(rule):
                continue
        except RuleFailed as error:
            failures.append(Failure(rule.version, body.id, str(error)))
            continue
        seen = readings[body.sees]
        found.append(
            Reason(
                rule=body.id,
                version=rule.version,
                severity=body.severity,
                feature=body.sees,
                seen=seen.value,
                against=body.against if isinstance(body.against, int) else values[body.against],
                points_milli=decayed(body.points, now - seen.at, body.half_life_minutes * MINUTE_MS),
                seen_at=seen.at,
                text=sentence(body, values),
                evidence=seen.evidence,
            )
        )
    return tuple(sorted(found, key=lambda reason: (-reason.points_milli, reason.rule, reason.version)))
