"""PayPal's disputes: told by a webhook, and looked up."""

import pytest

from payments_service.domain import amounts
from payments_service.domain.ports import Direction, Outcome
from payments_service.handlers.providers import paypal_events
from tests.payments_service.paypal import CAPTURED, DISPUTES, ORDERS, FakePayPal, provider
from tests.payments_service.samples import PAYMENT, paypal_event


@pytest.mark.parametrize(
    ("code", "outcome"),
    [("RESOLVED_BUYER_FAVOUR", Outcome.CHARGED_BACK), ("RESOLVED_SELLER_FAVOUR", Outcome.REINSTATED)],
)
async def test_a_dispute_that_was_resolved_is_told_and_looked_up(code: str, outcome: Outcome) -> None:
    dispute = {
        "dispute_id": "PP-D-1",
        "disputed_transactions": [{"seller_transaction_id": "CAP1", "custom": str(PAYMENT)}],
        "dispute_amount": {"currency_code": "USD", "value": "20.00"},
        "dispute_outcome": {"outcome_code": code},
        "reason": "UNAUTHORISED",
    }
    (event,) = paypal_events.events(paypal_event("CUSTOMER.DISPUTE.RESOLVED", **dispute), amounts.from_paypal)
    assert (event.outcome, event.payment_id, event.amount_minor) == (outcome, PAYMENT, 2000)
    listed = {"items": [{"dispute_id": "PP-D-1", "status": "RESOLVED"}]}
    one = f"{DISPUTES}/PP-D-1"
    fake = FakePayPal({f"{ORDERS}/ORDER1": (200, CAPTURED), DISPUTES: (200, listed), one: (200, dispute)})
    answer = await provider(fake).look_up(Direction.DEPOSIT, PAYMENT, "ORDER1")
    assert answer is not None
    assert (answer.outcome, answer.disputed_minor) == (outcome, 2000)
