"""Payments three ways: the provider's books, our payments and the ledger, each payment and player to the minor unit."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ops.proof.check import MAX_FINDINGS, Check

# Whose money, and in which currency; in minor units of it, what came from the player is positive.
Sums = Mapping[tuple[int, str], int]

# A dispute that was won leaves its deposit where it was.
_STANDS = frozenset({"completed", "reinstated"})
_SIGNS = {"deposit": 1, "withdrawal": -1, "refund": -1}
_PAYMENTS = text(
    """SELECT id::text AS payment_id, direction, user_id, amount_minor, currency, status, of_payment::text
    FROM payments WHERE provider = :provider"""
)
_AHEAD = text(
    """SELECT user_id, currency, sum(amount_minor)::bigint AS net
    FROM payments
    WHERE provider = :provider AND direction = 'refund' AND posted = 'taken_back'
        AND status IN ('created', 'pending', 'processing', 'unknown')
    GROUP BY user_id, currency"""
)
_LEDGER = text(
    """SELECT user_id, currency, sum(CASE WHEN debit = 'clearing' THEN amount ELSE -amount END)::bigint AS net
    FROM transactions
    WHERE status = 'posted' AND provider = :provider AND 'clearing' IN (debit::text, credit::text)
    GROUP BY user_id, currency"""
)


class Moved(NamedTuple):
    """A payment as one side has it. `moved`: whether it moved money there, and that has not come back."""

    payment_id: str
    direction: str
    user_id: int
    amount_minor: int
    currency: str
    moved: bool


async def of_payments(connection: AsyncConnection, provider: str) -> Sequence[Moved]:
    """What our payments say. A deposit that was refunded has moved, and its refund has moved it back.

    A withdrawal that went back as the refund of a deposit is a refund in the provider's books.
    """
    rows = (await connection.execute(_PAYMENTS, {"provider": provider})).all()
    given_back = {row.of_payment for row in rows if row.direction == "refund" and row.status == "completed"}
    return [
        Moved(
            row.payment_id,
            row.direction if row.of_payment is None else "refund",
            *(row.user_id, row.amount_minor, row.currency),
            moved=row.status in _STANDS or (row.status == "refunded" and row.payment_id in given_back),
        )
        for row in rows
    ]


async def of_ledger(connection: AsyncConnection, provider: str) -> Sums:
    """What the ledger moved between a provider's account and players."""
    rows = await connection.execute(_LEDGER, {"provider": provider})
    return {(row.user_id, row.currency): row.net for row in rows}


async def ahead(connection: AsyncConnection, provider: str) -> Sums:
    """What the ledger took from players for refunds that are still on their way, by our payments."""
    rows = await connection.execute(_AHEAD, {"provider": provider})
    return {(row.user_id, row.currency): row.net for row in rows}


def of_books(books: Iterable[Mapping[str, Any]]) -> Sequence[Moved]:
    """What the sandbox's books say, as `GET /books` answers them."""
    return [
        Moved(
            *(row["payment_id"], row["direction"], row["user_id"], row["amount_minor"], row["currency"]),
            moved=row["outcome"] in _STANDS,
        )
        for row in books
    ]


def agreement(books: Sequence[Moved], payments: Sequence[Moved], ledger: Sums, ahead: Sums) -> Check:
    """Whether the three say the same of each payment and of each player; the ledger may be `ahead` of the others."""
    check = Check("books, payments and ledger agree", f"{len(payments)} payments, {len(books)} in the provider's books")
    ours = {payment.payment_id: payment for payment in payments}
    for booked in books:
        payment = ours.get(booked.payment_id)
        if payment != booked:
            check.findings.append(f"{booked.payment_id}: the books say {_said(booked)}, we say {_said(payment)}")
    in_books = {booked.payment_id for booked in books}
    check.findings += [
        f"{payment.payment_id}: we say {_said(payment)}, and it is not in the books"
        for payment in payments
        if payment.moved and payment.payment_id not in in_books
    ]
    sums = Counter(_sums(payments))
    sums.subtract(ahead)
    check.findings += [
        f"player {user_id}: {sums[user_id, currency]} {currency} in payments, {net} in the ledger"
        for user_id, currency in sorted(sums.keys() | ledger.keys())
        if sums[user_id, currency] != (net := ledger.get((user_id, currency), 0))
    ]
    check.findings = check.findings[:MAX_FINDINGS]
    return check


def _sums(moved: Iterable[Moved]) -> Sums:
    sums: Counter[tuple[int, str]] = Counter()
    for each in moved:
        if each.moved:
            sums[each.user_id, each.currency] += _SIGNS[each.direction] * each.amount_minor
    return sums


def _said(moved: Moved | None) -> str:
    if moved is None:
        return "nothing"
    outcome = "moved" if moved.moved else "not moved"
    return f"{moved.direction} of {moved.amount_minor} {moved.currency} of player {moved.user_id} {outcome}"
