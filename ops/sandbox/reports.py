"""Settlement reports of the sandbox's books, as CSV in the forms of Stripe and of PayPal."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from ops.sandbox.models import Direction, Movement, Payment
from shared import money

_STRIPE_COLUMNS = (
    "balance_transaction_id",
    "created_utc",
    "currency",
    "gross",
    "fee",
    "net",
    "reporting_category",
    "source_id",
    "payment_intent_id",
    "payment_metadata[payment_id]",
    "refund_metadata[payment_id]",
    "transfer_metadata[payment_id]",
)
_STRIPE_CATEGORIES = {Direction.DEPOSIT: "charge", Direction.WITHDRAWAL: "transfer", Direction.REFUND: "refund"}
# What moves later, by whether it comes back.
_STRIPE_LATER = {
    (Direction.DEPOSIT, False): "dispute",
    (Direction.DEPOSIT, True): "dispute_reversal",
    (Direction.WITHDRAWAL, True): "transfer_reversal",
    (Direction.REFUND, True): "refund_failure",
}
_PAYPAL_COLUMNS = (
    "CH",
    "Transaction ID",
    "Invoice ID",
    "PayPal Reference ID",
    "PayPal Reference ID Type",
    "Transaction Event Code",
    "Transaction Initiation Date",
    "Transaction Completion Date",
    "Transaction Debit or Credit",
    "Gross Transaction Amount",
    "Gross Transaction Currency",
    "Fee Debit or Credit",
    "Fee Amount",
    "Fee Currency",
    "Custom Field",
    "Consumer ID",
)
_PAYPAL_CODES = {Direction.DEPOSIT: "T0006", Direction.WITHDRAWAL: "T0001", Direction.REFUND: "T1107"}
_PAYPAL_LATER = {
    (Direction.DEPOSIT, False): "T1201",
    (Direction.DEPOSIT, True): "T1202",
    (Direction.WITHDRAWAL, True): "T1115",
    (Direction.REFUND, True): "T1107",
}


def as_stripe(settled: Iterable[Payment], moved: Iterable[Movement]) -> str:
    """Stripe's itemized report of balance changes: amounts in decimals, with signs. What moves later has a row too."""
    rows: list[Sequence[str]] = [_STRIPE_COLUMNS]
    for payment in settled:
        comes = payment.direction is Direction.DEPOSIT
        rows.append(_stripe_row(payment, _STRIPE_CATEGORIES[payment.direction], payment.fee_minor, comes=comes))
    for payment, back, at in moved:
        category = _STRIPE_LATER[payment.direction, back]
        rows.append(_stripe_row(payment._replace(created_at=at), category, 0, comes=back))
    return _text(rows)


def as_paypal(settled: Iterable[Payment], moved: Iterable[Movement], start: datetime, end: datetime) -> str:
    """PayPal's settlement report: amounts in smallest units without a sign, each beside DR or CR."""
    rows: list[Sequence[str]] = [
        ("RH", _paypal_time(end), "A", "SANDBOX", "009"),
        ("FH", "01"),
        ("SH", _paypal_time(start), _paypal_time(end), "SANDBOX", ""),
        _PAYPAL_COLUMNS,
    ]
    count = 0
    for payment in settled:
        rows.append(_paypal_row(payment, _PAYPAL_CODES[payment.direction], payment.direction is Direction.DEPOSIT))
        count += 1
    for payment, back, at in moved:
        code = _PAYPAL_LATER[payment.direction, back]
        rows.append(_paypal_row(payment._replace(fee_minor=0, created_at=at), code, back))
        count += 1
    rows += [("SC", str(count)), ("RC", str(count)), ("FF", str(count))]
    return _text(rows)


def _stripe_row(payment: Payment, category: str, fee_minor: int, *, comes: bool) -> Sequence[str]:
    gross = payment.amount_minor if comes else -payment.amount_minor
    deposit = payment.reference if payment.direction is Direction.DEPOSIT else payment.of_reference or ""
    ours = [
        payment.payment_id if payment.direction is direction and not category.startswith("dispute") else ""
        for direction in (Direction.DEPOSIT, Direction.REFUND, Direction.WITHDRAWAL)
    ]
    return (
        f"txn_{category}_{payment.reference}",
        datetime.fromtimestamp(payment.created_at, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        payment.currency.lower(),
        money.to_decimal(gross, payment.currency),
        money.to_decimal(fee_minor, payment.currency),
        money.to_decimal(gross - fee_minor, payment.currency),
        category,
        payment.reference,
        deposit,
        *ours,
    )


def _paypal_row(payment: Payment, code: str, credit: bool) -> Sequence[str]:
    time = _paypal_time(datetime.fromtimestamp(payment.created_at, UTC))
    return (
        "SB",
        payment.reference,
        payment.payment_id,
        payment.of_reference or "",
        "TXN" if payment.of_reference else "",
        code,
        time,
        time,
        "CR" if credit else "DR",
        str(payment.amount_minor),
        payment.currency,
        "DR" if payment.fee_minor else "",
        str(payment.fee_minor) if payment.fee_minor else "",
        payment.currency if payment.fee_minor else "",
        payment.payment_id,
        str(payment.user_id),
    )


def _paypal_time(moment: datetime) -> str:
    return moment.strftime("%Y/%m/%d %H:%M:%S +0000")


def _text(rows: Iterable[Sequence[str]]) -> str:
    made = io.StringIO()
    csv.writer(made, lineterminator="\r\n").writerows(rows)
    return made.getvalue()
