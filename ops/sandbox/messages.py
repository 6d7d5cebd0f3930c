"""What the sandbox's webhooks say, in Stripe's form and in PayPal's. Amounts have ISO 4217's decimals."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson

from ops.sandbox.models import Direction, Outcome, Payment
from shared import money

_STRIPE = {
    (Direction.DEPOSIT, Outcome.PROCESSING): ("payment_intent.processing",),
    (Direction.DEPOSIT, Outcome.COMPLETED): ("payment_intent.succeeded", "charge.succeeded"),
    (Direction.DEPOSIT, Outcome.FAILED): ("payment_intent.payment_failed",),
    (Direction.DEPOSIT, Outcome.CHARGED_BACK): ("charge.dispute.funds_withdrawn",),
    (Direction.DEPOSIT, Outcome.REINSTATED): ("charge.dispute.funds_reinstated", "charge.dispute.closed"),
    (Direction.WITHDRAWAL, Outcome.COMPLETED): ("transfer.created",),
    (Direction.WITHDRAWAL, Outcome.FAILED): ("transfer.reversed",),
    (Direction.REFUND, Outcome.PROCESSING): ("refund.created",),
    (Direction.REFUND, Outcome.COMPLETED): ("refund.updated",),
    (Direction.REFUND, Outcome.FAILED): ("refund.failed",),
}
_PAYPAL = {
    (Direction.DEPOSIT, Outcome.PROCESSING): "PAYMENT.CAPTURE.PENDING",
    (Direction.DEPOSIT, Outcome.COMPLETED): "PAYMENT.CAPTURE.COMPLETED",
    (Direction.DEPOSIT, Outcome.FAILED): "PAYMENT.CAPTURE.DENIED",
    (Direction.DEPOSIT, Outcome.CHARGED_BACK): "PAYMENT.CAPTURE.REVERSED",
    (Direction.DEPOSIT, Outcome.REINSTATED): "CUSTOMER.DISPUTE.RESOLVED",
    (Direction.WITHDRAWAL, Outcome.COMPLETED): "PAYMENT.PAYOUTS-ITEM.SUCCEEDED",
    (Direction.WITHDRAWAL, Outcome.FAILED): "PAYMENT.PAYOUTS-ITEM.FAILED",
    (Direction.REFUND, Outcome.COMPLETED): "PAYMENT.CAPTURE.REFUNDED",
}
_REFUND_STATUS = {Outcome.PROCESSING: "pending", Outcome.COMPLETED: "succeeded", Outcome.FAILED: "failed"}


def bodies(payment: Payment, now: float) -> list[bytes]:
    """What is told of how a payment stands; nothing where its provider has no event for that."""
    kind = payment.direction, payment.outcome
    if payment.by_paypal():
        return [_paypal(payment, _PAYPAL[kind], now)] if kind in _PAYPAL else []
    return [_stripe(payment, event_type, now) for event_type in _STRIPE.get(kind, ())]


def _stripe(payment: Payment, event_type: str, now: float) -> bytes:
    event = {
        "id": f"evt_{uuid4().hex}",
        "object": "event",
        "type": event_type,
        "created": int(now),
        "livemode": False,
        "data": {"object": _stripe_object(payment, event_type)},
    }
    return orjson.dumps(event)


def _stripe_object(payment: Payment, event_type: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": payment.reference,
        "object": event_type.split(".")[0],
        "amount": payment.amount_minor,
        "currency": payment.currency.lower(),
        "metadata": {"payment_id": payment.payment_id, "user_id": str(payment.user_id), "confirmed": "true"},
        "payment_method": payment.instrument or f"pm_{payment.user_id}",
    }
    if event_type == "payment_intent.payment_failed":
        found["last_payment_error"] = {"code": "card_declined", "decline_code": payment.reason}
    if event_type == "charge.succeeded":
        found |= {"id": f"ch_{payment.reference}", "payment_intent": payment.reference, "fee": payment.fee_minor}
        found["payment_method_details"] = {"card": {"last4": "4242"}}
    if payment.direction is Direction.REFUND:
        found |= {"status": _REFUND_STATUS.get(payment.outcome), "payment_intent": payment.of_reference}
    if event_type.startswith("charge.dispute."):
        # A dispute knows its charge and its intent, and nothing of ours.
        found |= {"id": f"dp_{payment.reference}", "payment_intent": payment.reference, "metadata": {}}
        found |= {"reason": "fraudulent", "status": "won" if payment.outcome is Outcome.REINSTATED else "lost"}
    return found


def _paypal(payment: Payment, event_type: str, now: float) -> bytes:
    resource = _payout if payment.direction is Direction.WITHDRAWAL else _capture
    if payment.outcome is Outcome.REINSTATED:
        resource = _dispute
    event = {
        "id": f"WH-{uuid4().hex}",
        "event_type": event_type,
        "event_version": "1.0",
        "create_time": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "resource": resource(payment),
    }
    return orjson.dumps(event)


def _capture(payment: Payment) -> dict[str, Any]:
    return {
        "id": f"CAP-{payment.reference}" if payment.direction is Direction.DEPOSIT else payment.reference,
        "amount": {
            "currency_code": payment.currency,
            "value": money.to_decimal(payment.amount_minor, payment.currency),
        },
        "custom_id": payment.payment_id,
        "supplementary_data": {"related_ids": {"order_id": payment.reference}},
        "seller_receivable_breakdown": {
            "paypal_fee": {
                "currency_code": payment.currency,
                "value": money.to_decimal(payment.fee_minor, payment.currency),
            }
        },
        "status_details": {"reason": payment.reason},
    }


def _dispute(payment: Payment) -> dict[str, Any]:
    capture = _capture(payment)
    return {
        "dispute_id": f"PP-D-{payment.reference}",
        "disputed_transactions": [{"seller_transaction_id": capture["id"], "custom": payment.payment_id}],
        "dispute_amount": capture["amount"],
        "dispute_outcome": {"outcome_code": "RESOLVED_SELLER_FAVOUR"},
    }


def _payout(payment: Payment) -> dict[str, Any]:
    return {
        "payout_batch_id": payment.reference,
        "payout_item": {
            "sender_item_id": payment.payment_id,
            "receiver": payment.instrument,
            "amount": {"currency": payment.currency, "value": money.to_decimal(payment.amount_minor, payment.currency)},
        },
        "payout_item_fee": {
            "currency": payment.currency,
            "value": money.to_decimal(payment.fee_minor, payment.currency),
        },
        "errors": {"name": payment.reason} if payment.reason else None,
    }
