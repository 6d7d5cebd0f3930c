"""The proof of payments finds each way in which the provider's books, our payments and the ledger may differ."""

import pytest

from ops.proof.payments import Moved, agreement, of_books

DEPOSIT = Moved("d1", "deposit", 1, 2500, "USD", moved=True)
PAYOUT = Moved("w1", "withdrawal", 1, 1000, "USD", moved=True)
FAILED = Moved("d2", "deposit", 1, 700, "USD", moved=False)
NEVER_SENT = Moved("d3", "deposit", 2, 900, "EUR", moved=False)
REFUSED = Moved("d4", "deposit", 3, 400, "USD", moved=True)
GIVEN_BACK = Moved("r4", "refund", 3, 400, "USD", moved=True)
BOOKS = [DEPOSIT, PAYOUT, FAILED, REFUSED, GIVEN_BACK]
PAYMENTS = [*BOOKS, NEVER_SENT]
LEDGER = {(1, "USD"): 1500}


def test_what_agrees_holds() -> None:
    check = agreement(BOOKS, PAYMENTS, LEDGER, {})
    assert check.holds, check.findings
    assert check.looked_at == "6 payments, 5 in the provider's books"


@pytest.mark.parametrize(
    ("books", "payments", "ledger", "said"),
    [
        (BOOKS, PAYMENTS, {(1, "USD"): 1501}, "player 1: 1500 USD in payments, 1501 in the ledger"),
        (BOOKS, PAYMENTS, {**LEDGER, (2, "EUR"): 900}, "player 2: 0 EUR in payments, 900 in the ledger"),
        (BOOKS, PAYMENTS, {}, "player 1: 1500 USD in payments, 0 in the ledger"),
        (BOOKS[1:], PAYMENTS, LEDGER, "d1: we say deposit of 2500 USD of player 1 moved, and it is not in the books"),
        (BOOKS, PAYMENTS[1:], {(1, "USD"): -1000}, "d1: the books say deposit of 2500 USD of player 1 moved"),
        (
            [DEPOSIT._replace(amount_minor=2501), *BOOKS[1:]],
            PAYMENTS,
            LEDGER,
            "d1: the books say deposit of 2501 USD of player 1 moved, we say deposit of 2500 USD of player 1 moved",
        ),
        (
            [*BOOKS[:2], FAILED._replace(moved=True), *BOOKS[3:]],
            PAYMENTS,
            LEDGER,
            "d2: the books say deposit of 700 USD of player 1 moved, we say deposit of 700 USD of player 1 not moved",
        ),
    ],
)
def test_each_difference_is_found(
    books: list[Moved], payments: list[Moved], ledger: dict[tuple[int, str], int], said: str
) -> None:
    assert any(finding.startswith(said) for finding in agreement(books, payments, ledger, {}).findings)


def test_what_a_refund_took_before_it_went_out_is_in_the_ledger_alone() -> None:
    on_its_way = Moved("r1", "refund", 1, 300, "USD", moved=False)
    ledger = {(1, "USD"): 1200}
    assert agreement([*BOOKS, on_its_way], [*PAYMENTS, on_its_way], ledger, {(1, "USD"): 300}).holds
    assert not agreement([*BOOKS, on_its_way], [*PAYMENTS, on_its_way], ledger, {}).holds


def test_the_books_are_read_as_the_sandbox_answers_them() -> None:
    row = {"payment_id": "d1", "direction": "deposit", "user_id": 1, "amount_minor": 2500, "currency": "USD"}
    assert of_books([row | {"outcome": "completed"}]) == [DEPOSIT]
    for outcome in ("processing", "failed", "charged_back"):
        assert of_books([row | {"outcome": outcome}]) == [DEPOSIT._replace(moved=False)]
