"""The providers' settlement reports: their CSV files as rows in minor units.

Of Stripe the itemized report of balance changes, of PayPal the settlement report (STL). A file is read whole or not at
all: what cannot be read is named by its line.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from payments_service.domain import amounts
from payments_service.domain.settlement import Line, Movement
from shared import money
from shared.contracts.payments import MAX_REPORT_BYTES
from shared.errors import FieldError, InvalidInput, TooLarge

_MAX_FIELD = 1000
# More are of no help to who has to mend the file.
_MAX_FINDINGS = 20


class RowKind(StrEnum):
    """What a row is about. OTHER moves no player's money: a payout to our bank, a reserve."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    WITHDRAWAL_RETURN = "withdrawal_return"
    REFUND = "refund"
    CHARGEBACK = "chargeback"
    CHARGEBACK_REVERSAL = "chargeback_reversal"
    FEE = "fee"
    OTHER = "other"


class ReportRow(NamedTuple):
    """One movement at a provider. The amount is positive where money came to us; the fee where it cost us."""

    row_id: str
    kind: RowKind
    reference: str | None
    payment_id: UUID | None
    amount_minor: int
    fee_minor: int
    currency: str
    occurred_at: datetime


# What a row is beside our payments, and the sign of its amount there: what went out is positive, too.
_MOVEMENTS: Mapping[RowKind, tuple[Movement, int]] = {
    RowKind.DEPOSIT: (Movement.IN, 1),
    RowKind.WITHDRAWAL: (Movement.OUT, -1),
    RowKind.WITHDRAWAL_RETURN: (Movement.BACK, 1),
    RowKind.REFUND: (Movement.BACK, -1),
    RowKind.CHARGEBACK: (Movement.BACK, -1),
    RowKind.CHARGEBACK_REVERSAL: (Movement.BACK, -1),
}

_Row = Mapping[str, str]
_Of = Callable[[_Row], ReportRow]

_STRIPE_KINDS = {
    "charge": RowKind.DEPOSIT,
    "charge_failure": RowKind.DEPOSIT,
    "refund": RowKind.REFUND,
    "refund_failure": RowKind.REFUND,
    "transfer": RowKind.WITHDRAWAL,
    "transfer_reversal": RowKind.WITHDRAWAL_RETURN,
    "dispute": RowKind.CHARGEBACK,
    "dispute_reversal": RowKind.CHARGEBACK_REVERSAL,
    "fee": RowKind.FEE,
    "network_cost": RowKind.FEE,
}
_STRIPE_NEEDS = ("balance_transaction_id", "created_utc", "currency", "gross", "fee", "net", "reporting_category")
_STRIPE_OURS = ("payment_metadata[payment_id]", "refund_metadata[payment_id]", "transfer_metadata[payment_id]")

# Source: PayPal, Reports, Transaction event codes, and Payouts, Settlement and transaction details.
_PAYPAL_KINDS = {
    "T0001": RowKind.WITHDRAWAL,
    "T1106": RowKind.CHARGEBACK,
    "T1107": RowKind.REFUND,
    "T1114": RowKind.WITHDRAWAL_RETURN,
    "T1115": RowKind.WITHDRAWAL_RETURN,
    "T1201": RowKind.CHARGEBACK,
    "T1202": RowKind.CHARGEBACK_REVERSAL,
}
_PAYPAL_NEEDS = (
    "transaction id",
    "transaction event code",
    "transaction completion date",
    "transaction debit or credit",
    "gross transaction amount",
    "gross transaction currency",
    "fee debit or credit",
    "fee amount",
)
_DIGITS = re.compile(r"[0-9]{1,18}")


def read(provider: str, body: bytes) -> list[Line]:
    """The lines of a provider's report that move players' money. The sandbox's are in Stripe's form.

    Raises InvalidInput, TooLarge.
    """
    rows = read_paypal(body) if provider == "paypal" else read_stripe(body)
    return [_line(row, *_MOVEMENTS[row.kind]) for row in rows if row.kind in _MOVEMENTS]


def _line(row: ReportRow, movement: Movement, sign: int) -> Line:
    return Line(
        payment_id=row.payment_id,
        movement=movement,
        amount_minor=sign * row.amount_minor,
        currency=row.currency,
        fee_minor=row.fee_minor,
        day=row.occurred_at.date(),
        reference=row.reference,
    )


def read_stripe(body: bytes) -> list[ReportRow]:
    """The rows of Stripe's report. Raises InvalidInput, TooLarge."""
    lines = _lines(body)
    _, columns = next(lines, (1, []))
    names = _columns(columns, _STRIPE_NEEDS)
    return _read(((line, _named(names, fields)) for line, fields in lines), _stripe_row)


def read_paypal(body: bytes) -> list[ReportRow]:
    """The rows of PayPal's report. Raises InvalidInput, for a file that ends early as well, and TooLarge."""
    names: Sequence[str] = ()
    rows: list[tuple[int, _Row | None]] = []
    counted = 0
    ended = False
    for line, fields in _lines(body):
        kind = fields[0].strip().upper()
        if kind == "CH":
            names = _columns(fields[1:], _PAYPAL_NEEDS)
        elif kind == "SB":
            rows.append((line, _named(names, fields[1:]) if names else None))
        elif kind == "SC":
            counted += int(fields[1]) if len(fields) > 1 and _DIGITS.fullmatch(fields[1]) else 0
        elif kind == "FF":
            ended = True
    if not ended or counted != len(rows):
        cut = f"has {len(rows)} rows and says {counted}, or does not end: cut off?"
        raise InvalidInput([FieldError("report", cut)])
    return _read(rows, _paypal_row)


def _stripe_row(row: _Row) -> ReportRow:
    currency = row["currency"].upper()
    gross, fee, net = (amounts.signed(row[name], currency) for name in ("gross", "fee", "net"))
    if gross - fee != net:
        raise InvalidInput([FieldError("net", "is not gross less fee")])
    kind = _STRIPE_KINDS.get(row["reporting_category"], RowKind.OTHER)
    source, intent = row.get("source_id") or None, row.get("payment_intent_id") or None
    of_deposit = kind in (RowKind.DEPOSIT, RowKind.CHARGEBACK, RowKind.CHARGEBACK_REVERSAL)
    return ReportRow(
        row_id=row["balance_transaction_id"],
        kind=kind,
        # What the payment is known by: its intent's id, or its own.
        reference=(intent or source) if of_deposit else source,
        payment_id=_first_id(row, _STRIPE_OURS),
        amount_minor=gross,
        fee_minor=fee,
        currency=currency,
        occurred_at=datetime.strptime(row["created_utc"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC),
    )


def _paypal_row(row: _Row) -> ReportRow:
    currency = row["gross transaction currency"]
    credit = _credit(row["transaction debit or credit"])
    gross = _units(row["gross transaction amount"], currency)
    fee = 0
    if row["fee amount"]:
        fee = _units(row["fee amount"], row.get("fee currency") or currency)
        if (row.get("fee currency") or currency) != currency:
            raise InvalidInput([FieldError("fee currency", "is not the amount's")])
        fee = -fee if _credit(row["fee debit or credit"]) else fee
    code = row["transaction event code"]
    return ReportRow(
        row_id=row["transaction id"],
        kind=_paypal_kind(code, credit),
        reference=row["transaction id"] or None,
        payment_id=_first_id(row, ("custom field", "invoice id")),
        amount_minor=gross if credit else -gross,
        fee_minor=fee,
        currency=currency,
        occurred_at=datetime.strptime(row["transaction completion date"], "%Y/%m/%d %H:%M:%S %z").astimezone(UTC),
    )


def _paypal_kind(code: str, credit: bool) -> RowKind:
    if code in _PAYPAL_KINDS:
        return _PAYPAL_KINDS[code]
    if code.startswith("T01"):
        return RowKind.FEE
    # T00..: payments for goods and services; what we were paid is a deposit.
    return RowKind.DEPOSIT if code.startswith("T00") and credit else RowKind.OTHER


def _credit(text: str) -> bool:
    if text not in ("CR", "DR"):
        raise InvalidInput([FieldError("debit or credit", "must be CR or DR")])
    return text == "CR"


def _units(text: str, currency: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise InvalidInput([FieldError("amount", "must be digits alone: PayPal's smallest units")])
    minor = amounts.from_paypal_units(int(text), currency)
    if minor > money.MAX_AMOUNT_MINOR:
        raise InvalidInput([FieldError("amount", f"must be at most {amounts.told(money.MAX_AMOUNT_MINOR, currency)}")])
    return minor


def _lines(body: bytes) -> Iterator[tuple[int, Sequence[str]]]:
    """The fields of each line that has some, with the line's number."""
    if len(body) > MAX_REPORT_BYTES:
        raise TooLarge(f"a report has at most {MAX_REPORT_BYTES} bytes")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput([FieldError("report", "must be CSV in UTF-8")]) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            raise InvalidInput([FieldError(f"line {reader.line_num}", "is not CSV")]) from None
        if any(len(field) > _MAX_FIELD for field in fields):
            raise InvalidInput([FieldError(f"line {reader.line_num}", f"has a field of more than {_MAX_FIELD}")])
        if any("\0" in field for field in fields):
            raise InvalidInput([FieldError(f"line {reader.line_num}", "has a NUL, which text does not have")])
        if any(fields):
            yield reader.line_num, fields


def _columns(fields: Sequence[str], needed: Sequence[str]) -> Sequence[str]:
    names = [" ".join(field.lower().split()) for field in fields]
    missing = [name for name in needed if name not in names]
    if missing:
        raise InvalidInput([FieldError("report", f"has no column {', '.join(missing)}")])
    return names


def _named(names: Sequence[str], fields: Sequence[str]) -> _Row | None:
    """The fields by their columns' names; None where some are missing or too many."""
    if len(fields) != len(names):
        return None
    return {name: field.strip() for name, field in zip(names, fields, strict=True)}


def _read(rows: Iterator[tuple[int, _Row | None]] | Sequence[tuple[int, _Row | None]], of: _Of) -> list[ReportRow]:
    found: list[ReportRow] = []
    wrong: list[FieldError] = []
    for line, row in rows:
        if row is None:
            wrong.append(FieldError(f"line {line}", "has not as many fields as there are columns"))
            continue
        try:
            found.append(of(row))
        except InvalidInput as error:
            wrong.append(FieldError(f"line {line}", str(error)))
        except ValueError:
            wrong.append(FieldError(f"line {line}", "has no time in the form of its provider"))
    if wrong:
        raise InvalidInput(wrong[:_MAX_FINDINGS])
    return found


def _first_id(row: _Row, names: Sequence[str]) -> UUID | None:
    for name in names:
        try:
            return UUID(row[name])
        except (KeyError, ValueError):
            continue
    return None
