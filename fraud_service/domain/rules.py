"""Rules as data: a condition in CEL over named features, points, a window, a half-life, and a text.

A condition is compared, checked for types and for names by the CEL library; beyond that only what ends within a time
that its length bounds is let in: names, whole numbers, and their operators. Nothing in it loops, nothing is called,
and it divides by a number that is written in it and is not zero, or not at all.
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import pairwise
from string import Formatter
from typing import Annotated

from cel_expr_python import cel
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from fraud_service.domain.features import MINUTE_MS
from fraud_service.domain.readings import NAMES, Parameters
from shared.contracts.fraud import RuleState
from shared.errors import FieldError, InvalidInput, PermanentError

MAX_CONDITION = 1000
MAX_DEPTH = 20

_TOKEN = re.compile(
    r"\s+|(?P<name>[A-Za-z_]\w*)|(?P<number>0[xX][0-9a-fA-F]+|\d+)"
    r"|(?P<operator>&&|\|\||[<>=!]=|[<>!?:+\-*/%()])|(?P<other>.)",
    re.DOTALL | re.ASCII,
)
_COMPARISONS: Mapping[str, Callable[[int, int], bool]] = {
    **{"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge},
    **{"==": operator.eq, "!=": operator.ne},
}
Guard = tuple[str, Callable[[int, int], bool], int | str]
_PLACE = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)")


class Severity(StrEnum):
    """How bad it is when a rule fires."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


# What may become what. A disabled version is drafted anew.
MOVES: Mapping[RuleState, frozenset[RuleState]] = {
    RuleState.DRAFT: frozenset({RuleState.SHADOW, RuleState.ACTIVE, RuleState.RETIRED}),
    RuleState.SHADOW: frozenset({RuleState.ACTIVE, RuleState.RETIRED, RuleState.DISABLED}),
    RuleState.ACTIVE: frozenset({RuleState.SHADOW, RuleState.RETIRED, RuleState.DISABLED}),
    RuleState.RETIRED: frozenset(),
    RuleState.DISABLED: frozenset({RuleState.RETIRED}),
}

RuleId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
_Sentence = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\p{Cc}]+$")]


class RuleBody(BaseModel):
    """What a rule says. `sees` is the feature that its reason shows, and `against` what it is held against.

    The rule speaks while what it sees is at most `window_minutes` old, and its points halve every
    `half_life_minutes`. `text` is its reason, with `{feature}` and `{PARAMETER}` filled in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: RuleId
    condition: Annotated[str, StringConstraints(min_length=1, max_length=MAX_CONDITION)]
    points: int = Field(ge=1, le=100)
    severity: Severity
    window_minutes: int = Field(ge=1, le=60 * 24 * 30)
    half_life_minutes: int = Field(ge=1, le=60 * 24 * 365)
    sees: str
    against: int | str
    text: _Sentence


class RuleFailed(PermanentError):
    """A condition that failed at run time, such as by overflow."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A version of a rule, ready to be asked."""

    version: int
    body: RuleBody
    expression: cel.Expression
    sees: str
    window_ms: int
    # What its condition reads.
    names: frozenset[str]
    # Comparisons without which it does not hold. They cost less than to ask.
    guards: tuple[Guard, ...] = ()

    def may_hold(self, values: Mapping[str, int]) -> bool:
        """False only where the condition is false."""
        return all(
            compare(values[name], values[against] if isinstance(against, str) else against)
            for name, compare, against in self.guards
        )


def draft(body: RuleBody) -> cel.Expression:
    """Check a rule. Raises InvalidInput, which says where the condition is wrong, as line:column."""
    errors = [*_wrong_names(body)]
    expression: cel.Expression | None = None
    refused = _refused(body.condition)
    if refused is not None:
        errors.append(FieldError("condition", refused))
    else:
        try:
            expression = _compiled(body.condition)
        except RuntimeError as error:
            errors.append(FieldError("condition", _placed(str(error))))
        else:
            if expression.return_type() != cel.Type.BOOL:
                errors.append(FieldError("condition", f"1:1: is {expression.return_type().name()}, not a condition"))
    if errors or expression is None:
        raise InvalidInput(errors)
    return expression


def compiled(version: int, body: RuleBody) -> Rule:
    """A rule, ready to be asked. Raises InvalidInput."""
    names = frozenset(word for kind, word, _ in _tokens(body.condition) if kind == "name") & _NAMED
    return Rule(
        version, body, draft(body), body.sees, body.window_minutes * MINUTE_MS, names, tuple(_guards(body.condition))
    )


class Evaluator:
    """Asks rules about one player at one moment."""

    def __init__(self, rules: Iterable[Rule], values: Mapping[str, int]) -> None:
        """`values`: of every feature and parameter by its name."""
        # To hand a value over costs as much as to ask a rule, and few rules read many.
        names = frozenset[str]().union(*(rule.names for rule in rules))
        self._activation = _environment().Activation({name: values[name] for name in names})

    def holds(self, rule: Rule) -> bool:
        """Whether its condition holds. Raises RuleFailed."""
        try:
            value = rule.expression.eval(self._activation).value()
        except RuntimeError as error:
            raise RuleFailed(str(error)) from error
        if not isinstance(value, bool):
            raise RuleFailed(str(value))
        return value


def place_of(condition: str, offset: int) -> str:
    """`line:column`, both from 1."""
    before = condition[:offset]
    return f"{before.count(chr(10)) + 1}:{offset - (before.rfind(chr(10)) + 1) + 1}"


def _tokens(condition: str) -> Iterator[tuple[str, str, int]]:
    for match in _TOKEN.finditer(condition):
        if match.lastgroup is not None:
            yield match.lastgroup, match.group(), match.start()


def _refused(condition: str) -> str | None:
    """What is let in by no condition, with its place; None where there is nothing of it."""
    tokens = [*_tokens(condition), ("end", "", len(condition))]
    depth = 0
    for (kind, word, offset), (next_kind, next_word, _) in pairwise(tokens):
        place = place_of(condition, offset)
        if kind == "other":
            return f"{place}: {word!r} is not let in; a condition has names, whole numbers and their operators"
        if kind == "name" and next_word == "(":
            return f"{place}: {word} is called; a condition calls nothing and has no loops"
        if word in ("/", "%") and not (next_kind == "number" and int(next_word, 0) != 0):
            return f"{place}: divides by what may be zero; divide by a whole number above zero, or multiply instead"
        depth += (word == "(") - (word == ")")
        if depth > MAX_DEPTH:
            return f"{place}: more than {MAX_DEPTH} brackets inside each other"
    return None


def _placed(message: str) -> str:
    found = _PLACE.search(message)
    return f"{found[1]}:{found[2]}: {found[3]}" if found else "1:1: does not compile"


def _wrong_names(body: RuleBody) -> Iterator[FieldError]:
    if body.sees not in NAMES:
        yield FieldError("sees", f"there is no feature {body.sees}")
    if isinstance(body.against, str) and body.against not in Parameters().named():
        yield FieldError("against", f"there is no parameter {body.against}; or give a whole number")
    try:
        parts = list(Formatter().parse(body.text))
    except ValueError as error:
        yield FieldError("text", str(error))
        return
    for _, name, form, conversion in parts:
        if name is not None and (name not in _NAMED or form or conversion):
            yield FieldError("text", f"{{{name}}} is no feature and no parameter")


def sentence(body: RuleBody, values: Mapping[str, int]) -> str:
    """A rule's text with its numbers."""
    return body.text.format_map(values)


_NAMED = NAMES.keys() | Parameters().named().keys()


@cache
def _environment() -> cel.Env:
    """Names and types alone: nothing in it changes."""
    return cel.NewEnv(variables=dict.fromkeys(_NAMED, cel.Type.INT))


def _guards(condition: str) -> Iterator[Guard]:
    """The comparisons of a name with a number or a name that a condition joins by && alone."""
    parts: list[list[tuple[str, str]]] = [[]]
    depth = 0
    for kind, word, _ in _tokens(condition):
        depth += (word == "(") - (word == ")")
        if depth == 0 and word in ("||", "?"):
            return
        if depth == 0 and word == "&&":
            parts.append([])
        else:
            parts[-1].append((kind, word))
    for part in parts:
        if len(part) == 3 and part[0][0] == "name" and part[0][1] in _NAMED and part[1][1] in _COMPARISONS:
            kind, word = part[2]
            if kind == "number":
                yield part[0][1], _COMPARISONS[part[1][1]], int(word, 0)
            elif word in _NAMED:
                yield part[0][1], _COMPARISONS[part[1][1]], word


def _compiled(condition: str) -> cel.Expression:
    return _environment().compile(condition)
