"""Payments, as the payments service answers them and the gateway asks for them. Money is in minor units."""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from shared.contracts.fields import AmountMinor, Currency, Moment, Provider, Text, UserId

# A day of over 100,000 movements. As JSON, in a request's body, a report is longer.
MAX_REPORT_BYTES = 25 * 1024 * 1024
MAX_REPORT_BODY_BYTES = 40 * 1024 * 1024
Method = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]{0,31}$")]
# A provider's token: never a card's number, which is digits alone.
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,254}$")]
DecimalText = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,16}(\.[0-9]{1,4})?$")]
Named = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z0-9][a-z0-9_-]{0,31})$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class _Asked(_Part):
    actor: Text
    request_id: Text | None = None


class PaymentDirection(StrEnum):
    """Which way the money goes."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    REFUND = "refund"


class AskedPayment(_Asked):
    """A deposit or a withdrawal. The id is one a request, however often that comes."""

    payment_id: UUID
    user_id: UserId
    amount_minor: AmountMinor = Field(gt=0)
    currency: Currency
    provider: Provider
    method: Method
    instrument: Token | None = None


class CompletionOutcome(StrEnum):
    """What staff may say of a payment in its provider's place."""

    COMPLETED = "completed"
    FAILED = "failed"


class CompletionRequest(_Part):
    """What became of a payment, why, and what shows it. A second person has to say the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: CompletionOutcome
    reason: Text
    evidence: Text


class ReviewVerdict(StrEnum):
    """What staff may say of a payment that waits for it."""

    APPROVE = "approve"
    REJECT = "reject"


class ReviewRequest(_Part):
    """Whether a payment may go on, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: ReviewVerdict
    reason: Text


class CancellationRequest(_Part):
    """Why a deposit that waits in the queue is not wanted any more."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Text


class RefundRequest(_Part):
    """What of a deposit goes back to where it came from, and why: all that is left of it, without an amount."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: DecimalText | None = Field(default=None, description="In the deposit's currency.", examples=["10.00"])
    reason: Text


class AvailabilityRequest(_Part):
    """Whether some payments may begin; `*` stands for all of a kind. The rest queues."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: Named = "*"
    direction: Annotated[str, StringConstraints(pattern=r"^(\*|deposit|withdrawal|refund)$")] = "*"
    method: Named = "*"
    available: bool
    reason: Text


class RetryRequest(_Part):
    """A batch's report as the provider writes it (CSV), where it is brought by hand."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    report: str | None = Field(default=None, max_length=MAX_REPORT_BYTES)

    def report_bytes(self) -> bytes | None:
        """The report as it stood in its file."""
        return None if self.report is None else self.report.encode()


class SettlementRequest(RetryRequest):
    """A day to be settled, with the provider's report where there is one already."""

    provider: Provider
    currency: Currency
    day: date


class ExceptionResolutionRequest(_Part):
    """Why an exception is closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: Text


class AskedCompletion(_Asked):
    """A completion, and whose word it is."""

    completion: CompletionRequest


class AskedReview(_Asked):
    """A review, and whose word it is."""

    review: ReviewRequest


class AskedCancellation(_Asked):
    """A cancellation, and whose word it is. `own_user_id` is the player who may speak of its own payments alone."""

    own_user_id: UserId | None = None
    cancellation: CancellationRequest


class AskedRefund(_Asked):
    """A refund, and whose word it is. The id is one a request, however often that comes."""

    refund_id: UUID
    refund: RefundRequest


class AskedAvailability(_Asked):
    """A switch, and who turns it."""

    availability: AvailabilityRequest


class AskedResolution(_Asked):
    """A resolution, and whose it is."""

    resolution: ExceptionResolutionRequest


class PaymentView(_Part):
    """A payment. Of one withdrawal that is split, each part is one, under the same `group_id`."""

    number: int | None = None
    id: UUID
    group_id: UUID
    user_id: int
    direction: PaymentDirection
    provider: str
    method: str
    amount_minor: int
    refunded_minor: int = 0
    currency: str
    status: str
    posted: str
    waits_for: str | None
    reason: str | None
    reference: str | None
    last4: str | None
    of_payment: UUID | None
    batch_id: UUID | None = None
    action: dict[str, JsonValue] | None
    created_at: Moment
    changed_at: Moment | None


class PaymentMove(_Part):
    """One step on a payment's way. `illegal` is what was said and not applied."""

    at: Moment
    status: str
    posted: str
    waits_for: str | None
    reason: str | None
    illegal: str | None


class PaymentWord(_Part):
    """What somebody of staff said of a payment."""

    act: str
    verdict: str
    actor: str
    reason: str
    evidence: str | None
    at: Moment


class PaymentDetail(PaymentView):
    """A payment with its parts and refunds, how it came to stand where it stands, and what staff said."""

    parts: list[PaymentView]
    refunds: list[PaymentView] = []
    moves: list[PaymentMove]
    said: list[PaymentWord]


class PaymentStatus(StrEnum):
    """Where a payment stands with its provider."""

    CREATED = "created"
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    REFUNDED = "refunded"
    CHARGED_BACK = "charged_back"
    REINSTATED = "reinstated"


class PaymentEvent(BaseModel):
    """A payment that came into a state, on `payments.events.v1`. Amounts are in minor units.

    `refunded_minor` is what of a deposit has gone back by refunds, `of_payment` the deposit that a refund gives back
    or as whose refund a withdrawal goes out, `fee_minor` what the provider keeps for itself, null while it has not
    said; `instrument` is the provider's token. A chargeback counts with fraud detection by the ledger's row, which
    comes once.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", title="PaymentEvent")

    payment_id: UUID
    user_id: UserId
    direction: PaymentDirection
    provider: str
    method: str
    amount_minor: AmountMinor
    refunded_minor: int = 0
    fee_minor: int | None = None
    instrument: str | None = None
    last4: str | None = None
    currency: Currency
    status: PaymentStatus
    reason: str | None
    of_payment: UUID | None

    @property
    def type(self) -> str:
        """Its CloudEvents type, such as payments.deposit.completed.v1."""
        return event_type(self.direction, self.status)


def event_type(direction: PaymentDirection, status: PaymentStatus) -> str:
    """The CloudEvents type of payments that came into a state."""
    return f"payments.{direction.value}.{status.value}.v1"


PAYMENT_EVENT_TYPES: Mapping[str, type[BaseModel]] = {
    event_type(direction, status): PaymentEvent for direction in PaymentDirection for status in PaymentStatus
}


class AvailabilityView(_Part):
    """One switch, as it was turned last."""

    provider: str
    direction: str
    method: str
    available: bool
    reason: str
    actor: str
    changed_at: Moment


class BatchView(_Part):
    """A settlement batch. `totals` are sums of our payments and of the report, in minor units.

    `reported`: the report of its whole day is there; one that came earlier was matched, and the day's is waited for.
    """

    number: int
    id: UUID
    provider: str
    currency: str
    day: date
    status: str
    attempts: int
    reported: bool
    created_at: Moment
    due_at: Moment
    settled_at: Moment | None
    totals: dict[str, Any] | None


class ExceptionView(_Part):
    """What does not agree: what our payments say, what the other side says, and why it was closed."""

    number: int
    id: UUID
    batch_id: UUID | None
    payment_id: UUID | None
    kind: str
    side: str
    reference: str | None
    expected: str | None
    found: str | None
    opened_at: Moment
    closed_at: Moment | None
    closed_by: str | None
    closed_because: str | None


class WebhookTaken(_Part):
    """How many of a webhook's events were new."""

    taken: int
    duplicates: int
