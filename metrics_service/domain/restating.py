"""Restatements: in which figures two readings of the same days differ."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from typing import Any, NamedTuple

from shared.figures.figures import Days, Headline


class Difference(NamedTuple):
    """One figure of a day that changed. Amounts are minor units, as text; None where there was none."""

    day: date
    currency: str
    figure: str
    before: str | None
    after: str | None


def differences(before: Days, after: Days) -> Iterator[Difference]:
    """Every figure that is not the same in both, by currency, then by day."""
    for currency in sorted(before.keys() | after.keys()):
        old, new = before.get(currency, {}), after.get(currency, {})
        for day in sorted(old.keys() | new.keys()):
            was, now = asdict(old.get(day, Headline())), asdict(new.get(day, Headline()))
            for name in was:
                if was[name] != now[name]:
                    yield Difference(day, currency, name.removesuffix("_minor"), _text(was[name]), _text(now[name]))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
