"""Settlement reports: each row of either provider in minor units, and nothing of a file that cannot be read whole."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.sandbox import reports
from ops.sandbox.models import Direction, Outcome, Payment
from payments_service.domain.settlement_reports import (
    ReportRow,
    RowKind,
    read_paypal,
    read_stripe,
)
from shared.contracts.payments import MAX_REPORT_BYTES
from shared.errors import InvalidInput, TooLarge
from tests.payments_service.samples import NOW, PAYMENT

STRIPE = (
    "balance_transaction_id,created_utc,created,available_on_utc,currency,gross,fee,net,reporting_category,source_id,"
    "description,payment_intent_id,payment_metadata[payment_id],refund_metadata[payment_id]\n"
    f"txn_1,2026-11-24 10:00:00,x,x,usd,25.00,1.03,23.97,charge,ch_1,A deposit,pi_1,{PAYMENT},\n"
    f"txn_2,2026-11-24 10:00:00,x,x,usd,-5.00,0.00,-5.00,refund,re_1,,pi_1,,{PAYMENT}\n"
    "txn_3,2026-11-24 10:00:00,x,x,jpy,-500,15,-515,dispute,dp_1,,pi_2,,\n"
    "txn_4,2026-11-24 10:00:00,x,x,kwd,-1.230,0.000,-1.230,transfer,tr_1,,,,\n"
    'txn_5,2026-11-24 10:00:00,x,x,usd,-18.97,0.00,-18.97,payout,po_1,"To our bank, daily",,,\n'
)
PAYPAL_COLUMNS = (
    '"CH","Transaction ID","Invoice ID","PayPal Reference ID","PayPal Reference ID Type","Transaction Event Code",'
    '"Transaction Initiation Date","Transaction Completion Date","Transaction  Debit or Credit",'
    '"Gross Transaction Amount","Gross Transaction Currency","Fee Debit or Credit","Fee Amount","Fee Currency",'
    '"Custom Field","Consumer ID"\n'
)
PAYPAL = (
    '"RH",2026/11/25 00:00:00 -0800,"A","MERCHANT",009\n"FH",01\n'
    '"SH",2026/11/24 00:00:00 -0800,2026/11/24 23:59:59 -0800,"MERCHANT",""\n'
    + PAYPAL_COLUMNS
    + f'"SB","T1","{PAYMENT}","","","T0006",2026/11/24 02:00:00 -0800,2026/11/24 02:00:00 -0800,"CR",2500,"USD",'
    f'"DR",103,"USD","{PAYMENT}","P1"\n'
    '"SB","T2","","","","T0001",2026/11/24 02:00:00 -0800,2026/11/24 02:00:00 -0800,"DR",1000,"USD",'
    '"DR",25,"USD","",""\n'
    '"SB","T3","","T1","TXN","T1107",2026/11/24 02:00:00 -0800,2026/11/24 02:00:00 -0800,"DR",7,"HUF",'
    '"CR",1,"HUF","",""\n'
    '"SB","T4","","T1","TXN","T1201",2026/11/24 02:00:00 -0800,2026/11/24 02:00:00 -0800,"DR",25,"JPY","","","","",""\n'
    f'"SB","T5","","T2","TXN","T1115",2026/11/24 02:00:00 -0800,2026/11/24 02:00:00 -0800,"CR",1000,"USD","","","",'
    f'"{PAYMENT}",""\n'
    '"SC",5\n"RC",5\n"FF",5\n'
)


def test_stripes_report_is_read() -> None:
    assert read_stripe(STRIPE.encode()) == [
        ReportRow("txn_1", RowKind.DEPOSIT, "pi_1", PAYMENT, 2500, 103, "USD", NOW),
        ReportRow("txn_2", RowKind.REFUND, "re_1", PAYMENT, -500, 0, "USD", NOW),
        ReportRow("txn_3", RowKind.CHARGEBACK, "pi_2", None, -500, 15, "JPY", NOW),
        ReportRow("txn_4", RowKind.WITHDRAWAL, "tr_1", None, -1230, 0, "KWD", NOW),
        ReportRow("txn_5", RowKind.OTHER, "po_1", None, -1897, 0, "USD", NOW),
    ]


def test_a_description_may_have_lines_and_odd_separators() -> None:
    odd = STRIPE.replace('"To our bank, daily"', '"To our\nbank\u2028daily"').replace("\n", "\r\n")
    assert read_stripe(odd.encode()) == read_stripe(STRIPE.encode())


def test_paypals_report_is_read() -> None:
    assert read_paypal(b"\xef\xbb\xbf" + PAYPAL.encode()) == [
        ReportRow("T1", RowKind.DEPOSIT, "T1", PAYMENT, 2500, 103, "USD", NOW),
        ReportRow("T2", RowKind.WITHDRAWAL, "T2", None, -1000, 25, "USD", NOW),
        ReportRow("T3", RowKind.REFUND, "T3", None, -700, -100, "HUF", NOW),
        ReportRow("T4", RowKind.CHARGEBACK, "T4", None, -25, 0, "JPY", NOW),
        ReportRow("T5", RowKind.WITHDRAWAL_RETURN, "T5", PAYMENT, 1000, 0, "USD", NOW),
    ]


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("25.00,1.03,23.97", "25.00,1.03,23.98", "line 2"),
        ("-5.00,0.00", "-5.001,0.00", "line 3"),
        ("-5.00,0.00", "5e2,0.00", "line 3"),
        ("jpy,-500", "xyz,-500", "line 4"),
        ("txn_4,2026-11-24 10:00:00", "txn_4,yesterday", "line 5"),
        (",po_1,", ",", "line 6"),
        ('"To our bank, daily"', '"To our "bank" daily"', "line 6"),
        ("gross", "grss", "gross"),
        (",usd,25.00", "," + "x" * 2000 + ",25.00", "line 2"),
        ("pi_2", "pi\0", "line 4"),
    ],
)
def test_what_is_wrong_in_stripes_is_named_by_its_line(old: str, new: str, named: str) -> None:
    assert old in STRIPE
    with pytest.raises(InvalidInput, match=named):
        read_stripe(STRIPE.replace(old, new, 1).encode())


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('"CR",2500', '"XX",2500', "line 5"),
        ('"CR",2500', '"CR",25.00', "line 5"),
        ('"SB","T4"', '"SB","T\0"', "line 8"),
        ('"DR",7,"HUF"', '"DR",99999999999999,"HUF"', "line 7"),
        ('"DR",103,"USD"', '"DR",103,"EUR"', "line 5"),
        ('"FF",5\n', "", "cut off"),
        ('"SC",5', '"SC",6', "cut off"),
        (PAYPAL_COLUMNS, "", "columns"),
        ("Fee Amount", "Fee", "fee amount"),
    ],
)
def test_what_is_wrong_in_paypals_is_named_by_its_line(old: str, new: str, named: str) -> None:
    assert old in PAYPAL
    with pytest.raises(InvalidInput, match=named):
        read_paypal(PAYPAL.replace(old, new, 1).encode())


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"\x00"])
def test_what_is_no_report_is_refused(body: bytes) -> None:
    for read in (read_stripe, read_paypal):
        with pytest.raises(InvalidInput):
            read(body)


def test_one_that_is_too_large_is_refused() -> None:
    with pytest.raises(TooLarge):
        read_stripe(b" " * (MAX_REPORT_BYTES + 1))


def test_findings_have_a_bound() -> None:
    head, row = STRIPE.splitlines()[:2]
    with pytest.raises(InvalidInput) as refused:
        read_stripe("\n".join([head, *[row.replace("23.97", "0.00")] * 100]).encode())
    assert len(refused.value.errors) == 20


payments = st.builds(
    lambda direction, minor, currency: Payment(
        payment_id=str(uuid4()),
        direction=direction,
        user_id=42,
        amount_minor=minor,
        currency=currency,
        method="card",
        instrument=None,
        of_reference="pi_0" if direction is Direction.REFUND else None,
        reference=f"ref_{uuid4().hex}",
        outcome=Outcome.COMPLETED,
        reason=None,
        fee_minor=minor * 29 // 1000,
        created_at=NOW.timestamp(),
    ),
    st.sampled_from(Direction),
    st.integers(1, 10**9),
    st.sampled_from(["USD", "JPY", "KWD"]),
)


@given(st.lists(payments, max_size=20))
def test_the_sandboxs_reports_say_what_its_books_say_in_either_form(books: list[Payment]) -> None:
    expected = [
        (
            payment.payment_id,
            payment.reference,
            payment.direction.value,
            payment.amount_minor if payment.direction is Direction.DEPOSIT else -payment.amount_minor,
            payment.fee_minor,
            payment.currency,
        )
        for payment in books
    ]
    paypal = reports.as_paypal(books, [], NOW, datetime(2026, 11, 25, tzinfo=UTC))
    for rows in (read_stripe(reports.as_stripe(books, []).encode()), read_paypal(paypal.encode())):
        assert [
            (str(row.payment_id), row.reference, row.kind.value, row.amount_minor, row.fee_minor, row.currency)
            for row in rows
        ] == expected
