"""What PayPal's webhooks say of payments."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from payments_service.domain.ports import Direction, Outcome, ProviderEvent
from payments_service.handlers.providers import reading
from shared.errors import UnreadableWebhook

# Minor units of PayPal's decimal text in a currency.
FromText = Callable[[str, str], int]

_ORDERS = {"CHECKOUT.ORDER.APPROVED": Outcome.PROCESSING, "CHECKOUT.ORDER.VOIDED": Outcome.CANCELLED}
_CAPTURES = {
    "PAYMENT.CAPTURE.COMPLETED": Outcome.COMPLETED,
    "PAYMENT.CAPTURE.PENDING": Outcome.PROCESSING,
    "PAYMENT.CAPTURE.DENIED": Outcome.FAILED,
    "PAYMENT.CAPTURE.DECLINED": Outcome.FAILED,
}
# Both of PayPal's own cases and of banks' chargebacks. While one is open, the money is where it was.
_DISPUTES = {
    "RESOLVED_BUYER_FAVOUR": Outcome.CHARGED_BACK,
    "RESOLVED_SELLER_FAVOUR": Outcome.REINSTATED,
}
_REFUNDS = {
    "PAYMENT.CAPTURE.REFUNDED": Outcome.COMPLETED,
    "PAYMENT.REFUND.PENDING": Outcome.PROCESSING,
    "PAYMENT.REFUND.FAILED": Outcome.FAILED,
}
# An unclaimed payout waits thirty days for its receiver, and then comes back: RETURNED.
_PAYOUTS = {
    "PAYMENT.PAYOUTS-ITEM.SUCCEEDED": Outcome.COMPLETED,
    "PAYMENT.PAYOUTS-ITEM.HELD": Outcome.PROCESSING,
    "PAYMENT.PAYOUTS-ITEM.UNCLAIMED": Outcome.PROCESSING,
    "PAYMENT.PAYOUTS-ITEM.FAILED": Outcome.FAILED,
    "PAYMENT.PAYOUTS-ITEM.DENIED": Outcome.FAILED,
    "PAYMENT.PAYOUTS-ITEM.BLOCKED": Outcome.FAILED,
    "PAYMENT.PAYOUTS-ITEM.RETURNED": Outcome.FAILED,
    "PAYMENT.PAYOUTS-ITEM.REFUNDED": Outcome.FAILED,
    "PAYMENT.PAYOUTS-ITEM.CANCELED": Outcome.CANCELLED,
}
_CAPTURE = re.compile(r"/v2/payments/captures/([A-Za-z0-9]+)$")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class _Event(_Model):
    id: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")
    event_type: str = Field(max_length=128)
    create_time: AwareDatetime
    resource: dict[str, JsonValue]


class _Money(_Model):
    # Orders, captures and refunds write currency_code, payouts currency.
    currency: str = Field(validation_alias="currency_code", pattern=r"^[A-Z]{3}$")
    value: str = Field(max_length=20)


class _PayoutMoney(_Model):
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    value: str = Field(max_length=20)


class _Breakdown(_Model):
    paypal_fee: _Money | None = None


class _Related(_Model):
    order_id: str | None = None


class _Supplementary(_Model):
    related_ids: _Related = _Related()


class _Reason(_Model):
    reason: str | None = None


class _Unit(_Model):
    custom_id: str | None = None
    amount: _Money


class _Order(_Model):
    id: str
    purchase_units: list[_Unit] = Field(min_length=1)


class _Capture(_Model):
    id: str
    amount: _Money
    custom_id: str | None = None
    supplementary_data: _Supplementary = _Supplementary()
    seller_receivable_breakdown: _Breakdown = _Breakdown()
    status_details: _Reason = _Reason()


class _Disputed(_Model):
    seller_transaction_id: str | None = None
    custom: str | None = None
    invoice_number: str | None = None


class _DisputeOutcome(_Model):
    outcome_code: str | None = None


class _Dispute(_Model):
    dispute_id: str
    disputed_transactions: list[_Disputed] = Field(min_length=1)
    dispute_amount: _Money
    dispute_outcome: _DisputeOutcome = _DisputeOutcome()
    reason: str | None = None


class _Link(_Model):
    rel: str | None = None
    href: str


class _Refund(_Model):
    id: str
    amount: _Money
    custom_id: str | None = None
    invoice_id: str | None = None
    supplementary_data: _Supplementary = _Supplementary()
    links: list[_Link] = []

    def our_id(self) -> str | None:
        """Our id of the refund or, where it was begun at PayPal, of the deposit: it may have neither."""
        return next((each for each in (self.custom_id, self.invoice_id) if reading.our_id(each)), None)

    def capture_id(self) -> str | None:
        """The capture that it is of, by its link there."""
        found = [_CAPTURE.search(link.href) for link in self.links if link.rel == "up"]
        return next((match[1] for match in found if match is not None), None)


class _PayoutItem(_Model):
    sender_item_id: str | None = None
    amount: _PayoutMoney
    receiver: str | None = None


class _PayoutError(_Model):
    name: str | None = None


class _Payout(_Model):
    payout_batch_id: str
    payout_item: _PayoutItem
    payout_item_fee: _PayoutMoney | None = None
    errors: _PayoutError | None = None


def events(body: bytes, from_text: FromText) -> list[ProviderEvent]:
    """What a verified body says: one event, or none where it says nothing of interest. Raises UnreadableWebhook.

    `of_reference` is the capture of a refund or reversal, which a deposit is not known by here: its order's name is.
    """
    event = reading.model_of(_Event, body)
    read = READ.get(event.event_type)
    found = None if read is None else read(event, from_text)
    return [] if found is None else [found]


def _order(event: _Event, from_text: FromText) -> ProviderEvent:
    found = reading.part_of(_Order, event.resource)
    unit = found.purchase_units[0]
    return _event(event, Direction.DEPOSIT, _ORDERS[event.event_type], found.id, unit.custom_id, unit.amount, from_text)


def _capture(event: _Event, from_text: FromText) -> ProviderEvent:
    found = reading.part_of(_Capture, event.resource)
    made = _event(
        event,
        Direction.DEPOSIT,
        _CAPTURES[event.event_type],
        # The order is what a deposit is known by, before and after its capture.
        found.supplementary_data.related_ids.order_id,
        found.custom_id,
        found.amount,
        from_text,
    )
    fee = found.seller_receivable_breakdown.paypal_fee
    return made._replace(
        fee_minor=None if fee is None else from_text(fee.value, fee.currency), reason=found.status_details.reason
    )


def _refund(event: _Event, from_text: FromText) -> ProviderEvent:
    found = reading.part_of(_Refund, event.resource)
    made = _event(
        event, Direction.REFUND, _REFUNDS[event.event_type], found.id, found.our_id(), found.amount, from_text
    )
    return made._replace(of_reference=found.capture_id())


def _reversal(event: _Event, from_text: FromText) -> ProviderEvent:
    """A reversal is told as a refund of the capture, and is about the deposit."""
    found = reading.part_of(_Refund, event.resource)
    made = _event(event, Direction.DEPOSIT, Outcome.CHARGED_BACK, found.id, found.our_id(), found.amount, from_text)
    # One that names nothing of ours is kept under its own name.
    own = found.id if made.payment_id is None else None
    order_id = found.supplementary_data.related_ids.order_id
    return made._replace(reference=order_id or own, of_reference=found.capture_id())


def dispute_outcome(code: str | None) -> Outcome | None:
    """What a dispute that was resolved is to its deposit, or None where it moved nothing."""
    return _DISPUTES.get(code or "")


def _dispute(event: _Event, from_text: FromText) -> ProviderEvent | None:
    found = reading.part_of(_Dispute, event.resource)
    outcome, disputed = dispute_outcome(found.dispute_outcome.outcome_code), found.disputed_transactions[0]
    our_id = disputed.custom or disputed.invoice_number
    if outcome is None:
        return None
    made = _event(event, Direction.DEPOSIT, outcome, found.dispute_id, our_id, found.dispute_amount, from_text)
    return made._replace(reason=found.reason, reference=None)


def _payout(event: _Event, from_text: FromText) -> ProviderEvent:
    found = reading.part_of(_Payout, event.resource)
    item, fee = found.payout_item, found.payout_item_fee
    made = _event(
        event,
        Direction.WITHDRAWAL,
        _PAYOUTS[event.event_type],
        found.payout_batch_id,
        item.sender_item_id,
        item.amount,
        from_text,
    )
    return made._replace(
        fee_minor=None if fee is None else from_text(fee.value, fee.currency),
        reason=found.errors.name if found.errors else None,
        instrument=item.receiver,
    )


def _event(
    event: _Event,
    direction: Direction,
    outcome: Outcome,
    reference: str | None,
    our_id: str | None,
    amount: _Money | _PayoutMoney,
    from_text: FromText,
) -> ProviderEvent:
    payment_id = reading.our_id(our_id)
    if payment_id is None and reference is None:
        raise UnreadableWebhook(reading.nothing_to_find_it_by())
    return ProviderEvent(
        event_id=event.id,
        payment_id=payment_id,
        reference=reference,
        direction=direction,
        outcome=outcome,
        amount_minor=from_text(amount.value, amount.currency),
        currency=amount.currency,
        fee_minor=None,
        reason=None,
        instrument=None,
        last4=None,
        occurred_at=event.create_time.astimezone(UTC),
    )


# What is read, by the event's type. PayPal is asked for these alone; any other says nothing of interest.
READ: Mapping[str, Callable[[_Event, FromText], ProviderEvent | None]] = {
    **dict.fromkeys(_ORDERS, _order),
    **dict.fromkeys(_CAPTURES, _capture),
    "PAYMENT.CAPTURE.REVERSED": _reversal,
    **dict.fromkeys(_REFUNDS, _refund),
    **dict.fromkeys(_PAYOUTS, _payout),
    "CUSTOMER.DISPUTE.RESOLVED": _dispute,
}
