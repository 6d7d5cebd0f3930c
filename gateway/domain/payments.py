"""Payments as they are asked for and read outside: amounts as decimal strings."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from gateway.domain.callers import Caller
from gateway.domain.requests import MAX_TRANSACTION_BYTES, M, read_body
from shared import cards, money
from shared.contracts.fields import Currency, Moment, Provider, UserId
from shared.contracts.kinds import Reason
from shared.contracts.payments import (
    MAX_REPORT_BODY_BYTES,
    AskedPayment,
    AvailabilityRequest,
    BatchView,
    CancellationRequest,
    CompletionRequest,
    ExceptionResolutionRequest,
    Method,
    PaymentDetail,
    PaymentDirection,
    PaymentView,
    RefundRequest,
    RetryRequest,
    ReviewRequest,
    SettlementRequest,
    Token,
)
from shared.money import to_decimal

# How a payment can have ended, the worst first; all else is before that.
_ENDS = {status: n for n, status in enumerate(("failed", "cancelled", "charged_back", "refunded", "completed"))}
_RULES = frozenset(Reason)
_IN_THE_LEDGER = frozenset({"credited", "captured", "taken_back"})
_AMOUNTS = frozenset({"in", "out", "back", "fees"})


class PaymentRequest(BaseModel):
    """A deposit or withdrawal. `instrument` is the provider's token, never a card's number."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    user_id: UserId
    currency: Currency
    amount: str = Field(description="A decimal string with at most the currency's decimals.", examples=["25.00"])
    provider: Provider
    method: Method
    instrument: Token | None = None

    @field_validator("amount")
    @classmethod
    def _is_an_amount(cls, amount: str, info: ValidationInfo) -> str:
        if "currency" in info.data:
            money.to_minor(amount, info.data["currency"])
        return amount


class PaymentPart(BaseModel):
    """A payment, or one part of a withdrawal that goes to several places.

    `waits_for` is `queue` while payments are switched off (`batch_id` is the settlement batch whose turn it waits for),
    `review` while somebody of staff looks at it, and `completion` where its provider told of other money than was asked
    for, and staff has to say what became of it. `refunded` is what of a deposit has gone back by refunds.
    """

    model_config = ConfigDict(extra="allow")

    id: UUID
    user_id: int
    direction: PaymentDirection
    provider: str
    method: str
    amount: str
    refunded: str
    currency: str
    status: str
    waits_for: str | None
    reason: str | None
    created_at: Moment


class Payment(PaymentPart):
    """A payment with its parts: one, or several that sum up to its amount. It stands where its hindmost part does.

    Staff reads each part by its own id, and decides on it alone.
    """

    parts: list[PaymentPart]
    refunds: list[PaymentPart] = []


class PaymentPage(BaseModel):
    """Payments, the newest first. `next_cursor` is null on the last page."""

    payments: list[PaymentPart]
    next_cursor: str | None


def read_payment(body: bytes) -> PaymentRequest:
    """A payment from a request's body. Raises InvalidInput, also for a card number anywhere in it, and TooLarge."""
    return _without_cards(PaymentRequest, body)


def read_completion(body: bytes) -> CompletionRequest:
    """What staff says in a provider's place. Raises as `read_payment`."""
    return _without_cards(CompletionRequest, body)


def read_review(body: bytes) -> ReviewRequest:
    """Whether a payment may go on. Raises as `read_payment`."""
    return _without_cards(ReviewRequest, body)


def read_cancellation(body: bytes) -> CancellationRequest:
    """Why a deposit is given up. Raises as `read_payment`."""
    return _without_cards(CancellationRequest, body)


def read_refund(body: bytes) -> RefundRequest:
    """What of a deposit goes back. Raises as `read_payment`."""
    return _without_cards(RefundRequest, body)


def read_availability(body: bytes) -> AvailabilityRequest:
    """A switch. Raises as `read_payment`."""
    return _without_cards(AvailabilityRequest, body)


def read_batch_request(body: bytes) -> SettlementRequest:
    """A day to be settled. Raises as `read_payment`."""
    return _without_cards(SettlementRequest, body, at_most=MAX_REPORT_BODY_BYTES)


def read_retry(body: bytes) -> RetryRequest:
    """A batch to be settled again; no body is no report. Raises as `read_payment`."""
    return _without_cards(RetryRequest, body or b"{}", at_most=MAX_REPORT_BODY_BYTES)


def read_resolution(body: bytes) -> ExceptionResolutionRequest:
    """Why an exception is closed. Raises as `read_payment`."""
    return _without_cards(ExceptionResolutionRequest, body)


def _without_cards(model: type[M], body: bytes, *, at_most: int = MAX_TRANSACTION_BYTES) -> M:
    found = read_body(model, body, at_most=at_most)
    # A long id may look like a card number, and no card number is sent as a player's id. A report is full of ids.
    cards.refuse(found.model_dump(mode="json", exclude={"user_id", "report"}))
    return found


def asked(request: PaymentRequest, caller: Caller, key: str, request_id: str) -> AskedPayment:
    """A request as the payments service is asked for it."""
    return AskedPayment(
        payment_id=caller.command_id(key),
        user_id=request.user_id,
        amount_minor=money.to_minor(request.amount, request.currency),
        currency=request.currency,
        provider=request.provider,
        method=request.method,
        instrument=request.instrument,
        actor=caller.subject,
        request_id=request_id,
    )


def part(found: PaymentView) -> dict[str, Any]:
    """A payment as it is read outside."""
    view = found.model_dump(mode="json", include=set(PaymentView.model_fields), exclude={"number"})
    for name in ("amount", "refunded"):
        view[name] = to_decimal(view.pop(f"{name}_minor"), found.currency)
    return view


def whole(parts: Sequence[PaymentView]) -> dict[str, Any]:
    """All parts of a payment as one: their sum, and the state of the one that is furthest from having worked."""
    behind = min(parts, key=lambda each: _ENDS.get(each.status, -1))
    total = to_decimal(sum(each.amount_minor for each in parts), behind.currency)
    stands = {name: getattr(behind, name) for name in ("status", "posted", "waits_for", "reason")}
    return part(parts[0]) | stands | {"amount": total}


def begun(parts: Sequence[PaymentView]) -> tuple[HTTPStatus, dict[str, Any]]:
    """What is answered to a request: the payment, as a whole and in its parts."""
    view = whole(parts)
    done = all(each.status == "completed" and each.posted in _IN_THE_LEDGER for each in parts)
    return (HTTPStatus.CREATED if done else HTTPStatus.ACCEPTED), view | {"parts": [part(each) for each in parts]}


def refusal(parts: Sequence[PaymentView]) -> str | None:
    """Why the rules of the wallet refuse a request, or None: nothing of it went to a provider.

    Any other reason is a provider's own, which may give a payment that it declines no name.
    """
    first = parts[0]
    nothing = all(each.status == "failed" and each.reference is None for each in parts)
    is_ours = nothing and first.posted in ("nothing", "refused") and first.reason in _RULES
    return first.reason if is_ours else None


def detail(found: PaymentDetail, *, for_staff: bool) -> dict[str, Any]:
    """A payment with its parts; for staff with how it came to stand where it stands, and who said what.

    By the id that it was asked for under a player reads all of it as one; staff decides on each part by its own.
    """
    is_asked_for = found.id == found.group_id and not for_staff
    view = whole(found.parts) if is_asked_for else part(found)
    view |= {name: [part(each) for each in getattr(found, name)] for name in ("parts", "refunds")}
    if for_staff:
        more = found.model_dump(mode="json", include={"moves", "said"})
        view |= more
    return view


def page(found: Sequence[PaymentView], next_cursor: str | None) -> dict[str, Any]:
    """Some payments as a PaymentPage."""
    return {"payments": [part(each) for each in found], "next_cursor": next_cursor}


def batch(found: BatchView) -> dict[str, Any]:
    """A settlement batch, its sums as decimal strings."""
    view = found.model_dump(mode="json", exclude={"number"})
    for side in (view["totals"] or {}).values():
        for name in _AMOUNTS & side.keys():
            side[name] = to_decimal(side[name], found.currency)
    return view
