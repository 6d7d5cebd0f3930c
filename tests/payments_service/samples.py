"""What Stripe and PayPal send, as their documentation shows it, about payments of ours."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

PAYMENT = UUID("0192f0c1-0000-7000-8000-000000000042")
NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
SECRET = "whsec_" + "a" * 32


def stripe_event(event_type: str = "payment_intent.succeeded", **members: Any) -> bytes:
    """An event about an object with these members."""
    found = {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 2500,
        "currency": "usd",
        "metadata": {"payment_id": str(PAYMENT), "user_id": "42", "confirmed": "false"},
        "payment_method": "pm_1",
        "status": "succeeded",
        **members,
    }
    event = {
        "id": "evt_1",
        "object": "event",
        "type": event_type,
        "created": int(NOW.timestamp()),
        "data": {"object": found},
    }
    return json.dumps(event).encode()


def paypal_event(event_type: str = "PAYMENT.CAPTURE.COMPLETED", **members: Any) -> bytes:
    """An event about a capture, or about what these members say."""
    resource = {
        "id": "CAP1",
        "status": "COMPLETED",
        "amount": {"currency_code": "USD", "value": "25.00"},
        "custom_id": str(PAYMENT),
        "supplementary_data": {"related_ids": {"order_id": "ORDER1"}},
        "seller_receivable_breakdown": {"paypal_fee": {"currency_code": "USD", "value": "1.18"}},
        **members,
    }
    event = {
        "id": "WH-1",
        "event_type": event_type,
        "create_time": "2026-11-24T10:00:00Z",
        "resource_type": "capture",
        "resource": resource,
    }
    return json.dumps(event).encode()


def paypal_refund_event(event_type: str, **members: Any) -> bytes:
    """An event about a refund of a capture, or its reversal: it may name nothing of ours."""
    api = "https://api.paypal.com/v2/payments"
    resource = {
        "id": "REF1",
        "status": "COMPLETED",
        "amount": {"currency_code": "USD", "value": "2.51"},
        "note_to_payer": "Payment reversed",
        "links": [
            {"href": f"{api}/refunds/REF1", "rel": "self", "method": "GET"},
            {"href": f"{api}/captures/CAP1", "rel": "up", "method": "GET"},
        ],
        **members,
    }
    event = {
        "id": "WH-2",
        "event_type": event_type,
        "create_time": "2026-11-24T10:00:00Z",
        "resource_type": "refund",
        "resource": resource,
    }
    return json.dumps(event).encode()
