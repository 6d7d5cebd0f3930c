"""A report: the figures of a period as a document that carries its proof.

Money is decimal strings in its currency. What is signed is `langsense.report.v1`, a line feed, and the document without
its signature as JSON: keys sorted, no spaces, UTF-8. The signature is Ed25519, in hex, by the key named by `key_id`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from shared import clock
from shared.checkpoints import PublicKeys, SigningKeys
from shared.figures import figures
from shared.figures.facts import Cut, Facts, Fee
from shared.figures.rules import FORMULAS
from shared.money import to_decimal, to_minor

FORM = "langsense.report.v1"

Report = dict[str, Any]

_HEADLINE = tuple(each.name for each in fields(figures.Headline))


class Corrected(NamedTuple):
    """What was restated of a closed day. Amounts are minor units, as text."""

    day: date
    currency: str
    figure: str
    before: str | None
    after: str | None
    restated_at: datetime
    cause: str


def days_before(first: date, last: date) -> tuple[date, date]:
    """The period before one, as long as it: both its days."""
    eve = first - timedelta(days=1)
    return eve - (last - first), eve


def of(
    facts: Facts,
    before: Facts,
    *,
    time_zone: str,
    made_at: datetime,
    open_days: Sequence[date],
    corrected: Sequence[Corrected],
) -> Report:
    """A report that is not signed yet: of a period, beside the one before it."""
    return {
        "report": FORM,
        "from": facts.first.isoformat(),
        "to": facts.last.isoformat(),
        "time_zone": time_zone,
        "made_at": clock.to_text(made_at),
        "open_days": [day.isoformat() for day in open_days],
        "currencies": currencies(facts),
        "before": {
            "from": before.first.isoformat(),
            "to": before.last.isoformat(),
            "currencies": headlines(before),
        },
        "stated_fees": [_stated(fee) for fee in sorted([*before.fees, *facts.fees])],
        "restatements": [_restated(each) for each in corrected],
        "formulas": dict(FORMULAS),
        "cut": {str(lane): cut._asdict() for lane, cut in sorted(facts.cut.items())},
    }


def currencies(facts: Facts) -> Report:
    """A report's figures of its period and of each of its days, by currency."""
    days = figures.of_days(facts)
    return {
        currency: {
            **figures.in_decimals(asdict(found), currency),
            "days": {day.isoformat(): _headline(of, currency) for day, of in days[currency].items()},
        }
        for currency, found in figures.of_period(facts).items()
    }


def headlines(facts: Facts) -> Report:
    """What a report says of the period before."""
    return {currency: _headline(found, currency) for currency, found in figures.of_period(facts).items()}


def signed(report: Report, keys: SigningKeys) -> Report:
    """A report with its signature."""
    unsigned = {**report, "key_id": keys.current}
    return {**unsigned, "signature": keys.sign(said(unsigned))}


def wrong_signature(report: Mapping[str, Any], public: PublicKeys) -> str | None:
    """What is wrong with a report's signature, or None."""
    unsigned = {name: value for name, value in report.items() if name != "signature"}
    return public.wrong_signature(str(report.get("key_id")), str(report.get("signature")), said(unsigned))


def said(unsigned: Mapping[str, Any]) -> bytes:
    """The bytes that a signature covers."""
    return FORM.encode() + b"\n" + orjson.dumps(unsigned, option=orjson.OPT_SORT_KEYS)


def cut_of(report: Mapping[str, Any]) -> dict[int, Cut]:
    """Where each lane was cut."""
    return {int(lane): Cut(int(at["position"]), str(at["head"])) for lane, at in report["cut"].items()}


def fees_of(report: Mapping[str, Any]) -> Iterator[Fee]:
    """What providers asked for, as the report states it: it is not in the journal."""
    for fee in report["stated_fees"]:
        amount = to_minor(fee["fee"], fee["currency"], zero=True)
        yield Fee(date.fromisoformat(fee["date"]), fee["currency"], fee["provider"], amount)


def differences(says: Any, holds: Any, place: str = "") -> Iterator[str]:
    """Every value in which two trees differ, in words, with its place: what the report says, what the journal gives."""
    if isinstance(says, Mapping) and isinstance(holds, Mapping):
        for name in sorted(says.keys() | holds.keys()):
            yield from differences(says.get(name), holds.get(name), f"{place} {name}".strip())
    elif isinstance(says, list) and isinstance(holds, list) and len(says) == len(holds):
        for number, (one, other) in enumerate(zip(says, holds, strict=True), 1):
            yield from differences(one, other, f"{place} {number}")
    elif says != holds:
        yield f"{place}: the report says {says}, the journal gives {holds}"


def _headline(found: figures.Headline, currency: str) -> Report:
    # Plain values: `asdict` would take each apart and copy it.
    shown: Report = figures.in_decimals({name: getattr(found, name) for name in _HEADLINE}, currency)
    return shown


def _stated(fee: Fee) -> Report:
    return {
        "date": fee.day.isoformat(),
        "currency": fee.currency,
        "provider": fee.provider,
        "fee": to_decimal(fee.fee_minor, fee.currency),
    }


# Counted, or a ratio: not in minor units.
_NO_AMOUNTS = frozenset({"bet_count", "active_players", "new_players", "refused", "hold_percentage"})


def _restated(each: Corrected) -> Report:
    def shown(value: str | None) -> str | None:
        return value if value is None or each.figure in _NO_AMOUNTS else to_decimal(int(value), each.currency)

    return {
        "date": each.day.isoformat(),
        "currency": each.currency,
        "figure": each.figure,
        "before": shown(each.before),
        "after": shown(each.after),
        "restated_at": clock.to_text(each.restated_at),
        "cause": each.cause,
    }
