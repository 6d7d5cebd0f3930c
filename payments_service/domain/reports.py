"""Providers' settlement reports, as CSV, read into lines. Amounts are decimal, in the currency's own decimals.

Stripe: the itemized reconciliation reports (`reporting_category`, `currency`, `gross`, `fee`, `created_utc`,
`source_id`, `payment_metadata[payment_id]`). PayPal: the settlement report (its rows by `CH` and `SB`; transaction
id, invoice id, event code, debit or credit, gross amount in minor units, currency, fee in minor units, completion).
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from uuid import UUID

from payments_service.domain.settlement import Line, Movement
from shared import money
from shared.errors import FieldError, InvalidInput

MAX_LINES = 100_000
_STRIPE: Mapping[str, Movement] = {
    "charge": Movement.IN,
    "refund": Movement.BACK,
    "dispute": Movement.BACK,
    "outbound_payment": Movement.OUT,
    "transfer": Movement.OUT,
    "payout": Movement.OUT,
}
# PayPal's transaction event codes, by their first letters.
_PAYPAL: Mapping[str, Movement] = {
    "T00": Movement.IN,
    "T0001": Movement.OUT,
    "T11": Movement.BACK,
}


def read(provider: str, text: str) -> list[Line]:
    """The lines of a provider's report. Raises InvalidInput, which names the line."""
    reader = _READERS.get(provider, _stripe)
    lines: list[Line] = []
    rows = csv.reader(io.StringIO(text))
    try:
        for line in reader(rows):
            lines.append(line)
            if len(lines) > MAX_LINES:
                raise InvalidInput([FieldError("report", f"must have at most {MAX_LINES} lines")])
    except (csv.Error, KeyError, ValueError, InvalidOperation) as error:
        what = f"column {error.args[0]!r} is missing" if isinstance(error, KeyError) else "is not as this report is"
        raise InvalidInput([FieldError("report", f"line {rows.line_num}: {what}")]) from None
    return lines


def _stripe(rows: Iterator[list[str]]) -> Iterator[Line]:
    names = next(rows, [])
    for row in rows:
        cell = dict(zip(names, row, strict=False))
        movement = _STRIPE.get(cell["reporting_category"])
        if movement is None:
            continue
        currency = cell["currency"].upper()
        yield Line(
            payment_id=_id(cell.get("payment_metadata[payment_id]", "")),
            movement=movement,
            amount_minor=_minor(cell["gross"], currency),
            currency=currency,
            fee_minor=_minor(cell["fee"], currency),
            day=_day(cell["created_utc"]),
            reference=cell["source_id"] or None,
        )


def _paypal(rows: Iterator[list[str]]) -> Iterator[Line]:
    names: list[str] = []
    for kind, *row in rows:
        if kind == "CH":
            names = row
        if kind != "SB":
            continue
        cell = dict(zip(names, row, strict=False))
        code = cell["Transaction Event Code"]
        movement = _PAYPAL.get(code) or _PAYPAL.get(code[:3])
        if movement is None:
            continue
        yield Line(
            payment_id=_id(cell["Invoice ID"]),
            movement=movement,
            amount_minor=int(cell["Gross Transaction Amount"]),
            currency=cell["Gross Transaction Currency"],
            fee_minor=int(cell["Fee Amount"] or "0"),
            day=_day(cell["Transaction Completion Date"]),
            reference=cell["Transaction ID"] or None,
        )


_READERS: Mapping[str, Callable[[Iterator[list[str]]], Iterator[Line]]] = {"stripe": _stripe, "paypal": _paypal}


def _id(text: str) -> UUID | None:
    return UUID(text) if text else None


def _minor(text: str, currency: str) -> int:
    minor = abs(Decimal(text)).scaleb(money.exponent(currency))
    if minor != minor.to_integral_value():
        raise ValueError(text)
    return int(minor)


def _day(text: str) -> date:
    return datetime.fromisoformat(text.replace("/", "-")).date()
