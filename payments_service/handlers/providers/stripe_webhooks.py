"""Stripe's webhooks: who signed one, when, and what it says of a payment."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from stripe import SignatureVerificationError, WebhookSignature

from payments_service.domain.ports import Direction, Outcome, ProviderEvent
from payments_service.handlers.providers import reading
from shared.errors import Unauthenticated, UnreadableWebhook

SIGNATURE = "Stripe-Signature"
# In a PaymentIntent's metadata: its only attempt was made by us, so that a failure is its end.
PAYMENT_ID, CONFIRMED = "payment_id", "confirmed"

# Minor units of Stripe's amount in a currency.
FromAmount = Callable[[int, str], int]

_INTENT_OUTCOMES = {
    "payment_intent.succeeded": Outcome.COMPLETED,
    "payment_intent.processing": Outcome.PROCESSING,
    "payment_intent.requires_action": Outcome.PENDING,
    "payment_intent.canceled": Outcome.CANCELLED,
    "payment_intent.payment_failed": Outcome.FAILED,
}
REFUND_OUTCOMES = {
    "pending": Outcome.PROCESSING,
    "requires_action": Outcome.PROCESSING,
    "succeeded": Outcome.COMPLETED,
    "failed": Outcome.FAILED,
    "canceled": Outcome.CANCELLED,
}
_DISPUTE_OUTCOMES = {
    "charge.dispute.funds_withdrawn": Outcome.CHARGED_BACK,
    "charge.dispute.funds_reinstated": Outcome.REINSTATED,
    # Where it was won.
    "charge.dispute.closed": Outcome.REINSTATED,
}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class _Data(_Model):
    object: dict[str, JsonValue]


class _Event(_Model):
    id: str = Field(pattern=r"^[A-Za-z0-9_]{1,128}$")
    type: str = Field(max_length=128)
    created: int = Field(ge=0, lt=2**33)
    data: _Data


class _Failure(_Model):
    code: str | None = None
    decline_code: str | None = None


class _Card(_Model):
    last4: str | None = Field(default=None, pattern=r"^[0-9]{4}$")


class _MethodDetails(_Model):
    card: _Card | None = None


class _Object(_Model):
    """What intents, charges, refunds, disputes and transfers have, as far as it is read."""

    id: str = Field(min_length=1, max_length=255)
    amount: int = Field(ge=0)
    currency: str = Field(pattern=r"^[a-z]{3}$")
    metadata: dict[str, str] = {}
    payment_method: str | None = None
    payment_method_details: _MethodDetails | None = None
    payment_intent: str | None = None
    status: str | None = None
    last_payment_error: _Failure | None = None
    failure_reason: str | None = None
    reason: str | None = None
    cancellation_reason: str | None = None
    # Absent in Stripe's own events, where fees are known when money settles; the sandbox tells them.
    fee: int | None = None


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> None:
    """Raise OversizedWebhook, or Unauthenticated for what none of the secrets signed within the window."""
    reading.bounded(body)
    given = reading.header(headers, SIGNATURE)
    moment = _timestamp(given)
    # All are tried: how long it takes does not tell which one was near.
    if not sum(_signed_by(body, given, secret) for secret in secrets):
        raise Unauthenticated(f"{SIGNATURE} is not Stripe's over this body")
    reading.in_window(moment, now, SIGNATURE)


def events(body: bytes, from_amount: FromAmount) -> list[ProviderEvent]:
    """What a verified body says: one event, or none where it says nothing of interest. Raises UnreadableWebhook."""
    event = reading.model_of(_Event, body)
    read = READ.get(event.type)
    found = None if read is None else read(event, from_amount)
    return [] if found is None else [found]


def failure(found: _Failure | None) -> str | None:
    """Why an attempt failed, as Stripe names it."""
    return None if found is None else found.decline_code or found.code


def _timestamp(given: str) -> datetime:
    values = [part.removeprefix("t=") for part in given.split(",") if part.startswith("t=")]
    if len(values) != 1 or not values[0].isdigit() or len(values[0]) > 11:
        raise Unauthenticated(f"{SIGNATURE} must have one t= of seconds since 1970")
    return datetime.fromtimestamp(int(values[0]), UTC)


def _signed_by(body: bytes, given: str, secret: str) -> bool:
    try:
        # Its own look at the time knows only what is too old, and only by the machine's clock.
        return bool(WebhookSignature.verify_header(body, given, secret, tolerance=None))
    except (SignatureVerificationError, UnicodeDecodeError):
        return False


def _deposit(event: _Event, from_amount: FromAmount) -> ProviderEvent:
    found = reading.part_of(_Object, event.data.object)
    outcome = _INTENT_OUTCOMES.get(event.type, Outcome.COMPLETED)
    if outcome is Outcome.FAILED and found.metadata.get(CONFIRMED) != "true":
        # The player may try again with another card, until the intent is cancelled.
        outcome = Outcome.PENDING
    intent = found.id if event.type in _INTENT_OUTCOMES else found.payment_intent
    card = found.payment_method_details.card if found.payment_method_details else None
    return _event(
        event,
        found,
        from_amount,
        reference=intent,
        direction=Direction.DEPOSIT,
        outcome=outcome,
        reason=failure(found.last_payment_error) or found.cancellation_reason,
        last4=card.last4 if card else None,
    )


def _refund(event: _Event, from_amount: FromAmount) -> ProviderEvent:
    found = reading.part_of(_Object, event.data.object)
    outcome = REFUND_OUTCOMES.get(found.status or "", Outcome.UNKNOWN)
    made = _event(
        event,
        found,
        from_amount,
        reference=found.id,
        direction=Direction.REFUND,
        outcome=outcome,
        reason=found.failure_reason or found.reason,
        last4=None,
    )
    # One that was made by hand, in Stripe's dashboard, has no id of ours: it is known by its deposit.
    return made._replace(of_reference=found.payment_intent, instrument=None)


def _dispute(event: _Event, from_amount: FromAmount) -> ProviderEvent | None:
    found, outcome = reading.part_of(_Object, event.data.object), _DISPUTE_OUTCOMES[event.type]
    if event.type == "charge.dispute.closed" and found.status != "won":
        return None
    return _event(
        event,
        found,
        from_amount,
        reference=found.payment_intent,
        direction=Direction.DEPOSIT,
        outcome=outcome,
        reason="dispute_won" if outcome is Outcome.REINSTATED else found.reason,
        last4=None,
    )


def _transfer(event: _Event, from_amount: FromAmount) -> ProviderEvent:
    found = reading.part_of(_Object, event.data.object)
    reversed_ = event.type == "transfer.reversed"
    return _event(
        event,
        found,
        from_amount,
        reference=found.id,
        direction=Direction.WITHDRAWAL,
        outcome=Outcome.FAILED if reversed_ else Outcome.COMPLETED,
        reason="reversed" if reversed_ else None,
        last4=None,
    )


def _event(
    event: _Event,
    found: _Object,
    from_amount: FromAmount,
    *,
    reference: str | None,
    direction: Direction,
    outcome: Outcome,
    reason: str | None,
    last4: str | None,
) -> ProviderEvent:
    payment_id = reading.our_id(found.metadata.get(PAYMENT_ID))
    if payment_id is None and reference is None:
        raise UnreadableWebhook(reading.nothing_to_find_it_by())
    currency = found.currency.upper()
    return ProviderEvent(
        event_id=event.id,
        payment_id=payment_id,
        reference=reference,
        direction=direction,
        outcome=outcome,
        amount_minor=from_amount(found.amount, currency),
        currency=currency,
        fee_minor=None if found.fee is None else from_amount(found.fee, currency),
        reason=reason,
        instrument=found.payment_method,
        last4=last4,
        occurred_at=datetime.fromtimestamp(event.created, UTC),
    )


# What is read, by the event's type. Stripe is asked for these alone; any other says nothing of interest.
READ: Mapping[str, Callable[[_Event, FromAmount], ProviderEvent | None]] = {
    **dict.fromkeys((*_INTENT_OUTCOMES, "charge.succeeded"), _deposit),
    **dict.fromkeys(("refund.created", "refund.updated", "refund.failed"), _refund),
    **dict.fromkeys(_DISPUTE_OUTCOMES, _dispute),
    **dict.fromkeys(("transfer.created", "transfer.reversed"), _transfer),
}
