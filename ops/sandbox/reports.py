"""Settlement reports of the sandbox's books, as CSV in the forms of Stripe and of PayPal."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from ops.sandbox.models import Direction, Outcome, Payment
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


def as_stripe(payments: Iterable[Payment]) -> str:
    """Stripe's itemized report of balance changes: amounts in decimals, with signs."""
    rows: list[Sequence[str]] = [_STRIPE_COLUMNS]
    for payment in _settled(payments):
        rows.append(_stripe_row(payment, _STRIPE_CATEGORIES[payment.direction], payment.fee_minor))
        if payment.outcome is Outcome.CHARGED_BACK:
            back = payment._replace(amount_minor=-payment.amount_minor)
            rows.append(_stripe_row(back, "dispute", 0))
    return _text(rows)


def as_paypal(payments: Iterable[Payment], start: datetime, end: datetime) -> str:
    """PayPal's settlement report: amounts in smallest units without a sign, each beside DR or CR."""
    rows: list[Sequence[str]] = [
        ("RH", _paypal_time(end), "A", "SANDBOX", "009"),
        ("FH", "01"),
        ("SH", _paypal_time(start), _paypal_time(end), "SANDBOX", ""),
        _PAYPAL_COLUMNS,
    ]
    count = 0
    for payment in _settled(payments):
        rows.append(_paypal_row(payment, _PAYPAL_CODES[payment.direction], payment.direction is Direction.DEPOSIT))
        count += 1
        if payment.outcome is Outcome.CHARGED_BACK:
            rows.append(_paypal_row(payment._replace(fee_minor=0), "T1201", False))
            count += 1
    rows += [("SC", str(count)), ("RC", str(count)), ("FF", str(count))]
    return _text(rows)


def _settled(payments: Iterable[Payment]) -> list[Payment]:
    return [payment for payment in payments if payment.outcome in (Outcome.COMPLETED, Outcome.CHARGED_BACK)]


def _stripe_row(payment: Payment, category: str, fee_minor: int) -> Sequence[str]:
    gross = payment.amount_minor if payment.direction is Direction.DEPOSIT else -payment.amount_minor
    deposit = payment.reference if payment.direction is Direction.DEPOSIT else payment.of_reference or ""
    ours = [
        payment.payment_id if payment.direction is direction and category != "dispute" else ""
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
