"""Payments at the door: asked for and read by players, completed, reviewed and switched off by staff; webhooks."""

from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, JsonValue

from gateway.domain import payments as views
from gateway.domain.callers import Caller, Scope
from gateway.domain.payments import Payment, PaymentPage, PaymentRequest
from gateway.domain.records import entry
from gateway.domain.views import cursor_of, position_of
from gateway.endpoints import API, described, headers
from gateway.endpoints.answers import Json
from gateway.endpoints.door import Door
from gateway.endpoints.players import MAX_PAGE_ROWS, PAGE_ROWS
from gateway.endpoints.rates import Rates
from gateway.repository.passing import Passed
from gateway.repository.payments import DETAIL, PARTS, SWITCHES, PaymentReads
from gateway.repository.records import Records
from shared import logs, problems
from shared.contracts.fields import MAX_INT64
from shared.contracts.payments import (
    AskedAvailability,
    AskedCancellation,
    AskedCompletion,
    AskedRefund,
    AskedReview,
    AvailabilityRequest,
    AvailabilityView,
    CancellationRequest,
    CompletionRequest,
    PaymentDetail,
    PaymentDirection,
    PaymentView,
    RefundRequest,
    ReviewRequest,
)
from shared.errors import OversizedWebhook, ServiceUnavailable
from shared.service import request_id_of
from shared.telemetry import Metrics

log = logs.get(__name__)

MAX_WEBHOOK_BYTES = 256 * 1024
RETRY_AFTER_S = 1
_PAYMENT: described.Answers = {201: {"model": Payment}, 202: {"model": Payment}}
# Hop by hop, or the gateway's own.
_NOT_PASSED = frozenset({"host", "content-length", "connection", "transfer-encoding", "authorization"})


def router(door: Door, rates: Rates, payments: PaymentReads) -> APIRouter:
    """What players ask for, and see of it."""
    api = APIRouter(prefix=f"{API}/payments", tags=["payments"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]
    extra = {"parameters": [described.OPTIONAL_IDEMPOTENCY_KEY], **described.body_of(PaymentRequest)}
    answers: described.Answers = {**_PAYMENT, **described.problem_answers(413)}

    async def begin(request: Request, caller: Caller, direction: PaymentDirection) -> Response:
        caller.require(Scope.PAY, Scope.PAY_OWN)
        key = headers.optional_idempotency_key(request) or str(uuid4())
        asked = views.read_payment(await headers.json_body(request))
        caller.require_about(Scope.PAY, asked.user_id)
        await rates.player(request, asked.user_id)
        body = views.asked(asked, caller, key, request_id_of(request))
        return await _begin(payments, f"/payments/{direction.value}s", body, body.payment_id, key)

    @api.post("/deposits", status_code=201, summary="Pay in", responses=answers, openapi_extra=extra)
    async def post_deposit(request: Request, caller: caller_of_request) -> Response:
        """503: it may have begun. Sent again under the Idempotency-Key of that answer, it is the same payment.

        Its `payment_id` is what it can be read by, where it has begun. The key is the request's own, if that had one.
        """
        return await begin(request, caller, PaymentDirection.DEPOSIT)

    @api.post(
        "/withdrawals",
        status_code=201,
        summary="Pay out: first to where the money came from, the oldest first",
        responses=answers,
        openapi_extra=extra,
    )
    async def post_withdrawal(request: Request, caller: caller_of_request) -> Response:
        """503: as of a deposit."""
        return await begin(request, caller, PaymentDirection.WITHDRAWAL)

    @api.get("", summary="Payments, the newest first", responses={200: {"model": PaymentPage}, **_problems()})
    async def get_payments(
        caller: caller_of_request,
        user_id: Annotated[int | None, Query(ge=1, le=MAX_INT64)] = None,
        status: Annotated[str | None, Query(pattern="^[a-z_]{1,16}$")] = None,
        waits_for: Annotated[str | None, Query(pattern="^(queue|review|completion)$")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = PAGE_ROWS,
        cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
    ) -> Response:
        user_id = caller.user_id if user_id is None and Scope.READ_PAYMENTS not in caller.scopes else user_id
        caller.require_about(Scope.READ_PAYMENTS, user_id or 0)
        before = None if cursor is None else position_of(cursor)
        query = {"user_id": user_id, "status": status, "waits_for": waits_for, "before": before, "limit": limit + 1}
        found = await payments.read(PARTS, "/payments", query)
        if isinstance(found, Passed):
            return passed(found)
        number = found[limit - 1].number if len(found) > limit else None
        return Json(views.page(found[:limit], None if number is None else cursor_of(number)))

    return api


def switches(door: Door, payments: PaymentReads, records: Records) -> APIRouter:
    """The kill switch. Its routes stand before those that take any payment's id."""
    api = APIRouter(prefix=f"{API}/payments/availability", tags=["payments"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]
    answers: described.Answers = {200: {"model": list[AvailabilityView]}, **_problems()}

    @api.get("", summary="Every switch, as it was turned last", responses=answers)
    async def get_availability(caller: caller_of_request) -> Response:
        caller.require(Scope.SWITCH_PAYMENTS, Scope.READ_PAYMENTS)
        found = await payments.read(SWITCHES, "/payments/availability")
        return _switches(found)

    @api.put(
        "",
        summary="Say whether payments of a provider, direction or method may begin; the rest queues",
        responses=answers,
        openapi_extra=described.body_of(AvailabilityRequest),
    )
    async def put_availability(request: Request, caller: caller_of_request) -> Response:
        caller.require(Scope.SWITCH_PAYMENTS)
        said = views.read_availability(await headers.json_body(request))
        request_id = request_id_of(request)
        told = said.model_dump(mode="json", exclude={"reason"})
        await records.add(
            entry("PAYMENTS_AVAILABILITY", caller, request_id, after=told).model_copy(update={"reason": said.reason})
        )
        asked = AskedAvailability(actor=caller.subject, request_id=request_id, availability=said)
        found = await payments.ask(SWITCHES, "/payments/availability", asked, "PUT")
        return _switches(found)

    return api


def staff(door: Door, payments: PaymentReads, records: Records) -> APIRouter:
    """One payment, and what staff does with it, each act on the record before it is done."""
    api = APIRouter(prefix=f"{API}/payments/{{payment_id}}", tags=["payments"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.get(
        "",
        summary="A payment, its parts, and for staff how it came to stand where it stands",
        responses={200: {"model": Payment}, **_problems()},
    )
    async def get_payment(payment_id: UUID, caller: caller_of_request) -> Response:
        caller.require(Scope.READ_PAYMENTS, Scope.READ_OWN_PAYMENTS)
        found = await payments.read(DETAIL, f"/payments/{payment_id}")
        if not isinstance(found, Passed):
            caller.require_about(Scope.READ_PAYMENTS, found.user_id)
        return _detail(found, caller)

    @api.post(
        "/completion",
        summary="Say what became of a payment, in its provider's place; a second person has to say the same",
        responses={200: {"model": Payment}, **_problems()},
        openapi_extra=described.body_of(CompletionRequest),
    )
    async def post_completion(request: Request, payment_id: UUID, caller: caller_of_request) -> Response:
        caller.require(Scope.DECIDE_PAYMENTS)
        said = views.read_completion(await headers.json_body(request))
        request_id = request_id_of(request)
        told = {"payment_id": str(payment_id), **said.model_dump(mode="json", exclude={"reason"})}
        await records.add(
            entry("PAYMENT_COMPLETION", caller, request_id, after=told).model_copy(update={"reason": said.reason})
        )
        asked = AskedCompletion(actor=caller.subject, request_id=request_id, completion=said)
        found = await payments.ask(DETAIL, f"/payments/{payment_id}/completion", asked)
        return _detail(found, caller)

    @api.post(
        "/review",
        summary="Let a payment that waits for review go on, or not; a withdrawal in the queue can be rejected",
        responses={200: {"model": Payment}, **_problems()},
        openapi_extra=described.body_of(ReviewRequest),
    )
    async def post_review(request: Request, payment_id: UUID, caller: caller_of_request) -> Response:
        caller.require(Scope.DECIDE_PAYMENTS)
        said = views.read_review(await headers.json_body(request))
        request_id = request_id_of(request)
        told = {"payment_id": str(payment_id), "verdict": said.verdict.value}
        await records.add(
            entry("PAYMENT_REVIEW", caller, request_id, after={**told}).model_copy(update={"reason": said.reason})
        )
        asked = AskedReview(actor=caller.subject, request_id=request_id, review=said)
        found = await payments.ask(DETAIL, f"/payments/{payment_id}/review", asked)
        return _detail(found, caller)

    return api


def cancellations(door: Door, payments: PaymentReads, records: Records) -> APIRouter:
    """What players give up while it waits, and staff for them, on the record before it is done."""
    api = APIRouter(prefix=f"{API}/payments/{{payment_id}}", tags=["payments"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.post(
        "/cancellation",
        summary="Give up a deposit that waits in the queue",
        responses={200: {"model": Payment}, **_problems()},
        openapi_extra=described.body_of(CancellationRequest),
    )
    async def post_cancellation(request: Request, payment_id: UUID, caller: caller_of_request) -> Response:
        caller.require(Scope.PAY, Scope.PAY_OWN)
        said = views.read_cancellation(await headers.json_body(request))
        request_id = request_id_of(request)
        own_user_id = None if Scope.PAY in caller.scopes else caller.user_id
        if own_user_id is None:
            told: dict[str, JsonValue] = {"payment_id": str(payment_id)}
            await records.add(
                entry("PAYMENT_CANCELLATION", caller, request_id, after=told).model_copy(update={"reason": said.reason})
            )
        asked = AskedCancellation(
            actor=caller.subject, request_id=request_id, own_user_id=own_user_id, cancellation=said
        )
        found = await payments.ask(DETAIL, f"/payments/{payment_id}/cancellation", asked)
        return _detail(found, caller)

    return api


def refunds(door: Door, payments: PaymentReads, records: Records) -> APIRouter:
    """What staff gives back of a deposit, on the record before it is done."""
    api = APIRouter(prefix=f"{API}/payments/{{payment_id}}", tags=["payments"])
    caller_of_request = Annotated[Caller, Depends(door.caller)]

    @api.post(
        "/refund",
        status_code=201,
        summary="Send some of a completed deposit back to where it came from, or all that is left of it",
        responses={**_PAYMENT, **_problems()},
        openapi_extra={"parameters": [described.IDEMPOTENCY_KEY], **described.body_of(RefundRequest)},
    )
    async def post_refund(request: Request, payment_id: UUID, caller: caller_of_request) -> Response:
        caller.require(Scope.DECIDE_PAYMENTS)
        key = headers.idempotency_key(request)
        refund_id = caller.command_id(key)
        said = views.read_refund(await headers.json_body(request))
        request_id = request_id_of(request)
        told: dict[str, JsonValue] = {"payment_id": str(payment_id), "refund_id": str(refund_id), "amount": said.amount}
        await records.add(
            entry("PAYMENT_REFUND", caller, request_id, after=told).model_copy(update={"reason": said.reason})
        )
        asked = AskedRefund(actor=caller.subject, request_id=request_id, refund_id=refund_id, refund=said)
        return await _begin(payments, f"/payments/{payment_id}/refund", asked, refund_id, key)

    return api


def webhook(rates: Rates, payments: PaymentReads, metrics: Metrics) -> APIRouter:
    """The endpoint of payment providers: they show a signature, and no token."""
    api = APIRouter(prefix=f"{API}/webhooks", tags=["payments"])

    @api.post(
        "/{provider}",
        summary="What a payment provider says, signed as it signs; kept before it is answered",
        responses=described.problem_answers(400, 401, 404),
        openapi_extra={"security": []},
    )
    async def post_webhook(
        request: Request, provider: Annotated[str, Path(pattern="^[a-z0-9][a-z0-9_-]{0,31}$")]
    ) -> Response:
        await rates.address(request)
        body = await request.body()
        if len(body) > MAX_WEBHOOK_BYTES:
            # A stranger chooses the provider's name, so it is no label.
            metrics.webhooks.labels("any", OversizedWebhook.code).inc()
            raise OversizedWebhook(f"a webhook has at most {MAX_WEBHOOK_BYTES} bytes")
        signed = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED}
        return passed(await payments.webhook(provider, body, signed))

    return api


def passed(found: Passed) -> Response:
    """An answer of the payments service, as it came."""
    return Response(found.body, found.status, media_type=found.media_type)


async def _begin(payments: PaymentReads, path: str, asked: BaseModel, payment_id: UUID, key: str) -> Response:
    """Ask for a payment. Without an answer it may have begun, and whoever asks again without its key pays twice."""
    try:
        found = await payments.ask(PARTS, path, asked)
    except ServiceUnavailable as error:
        log.warning("payment_may_have_begun", payment_id=str(payment_id), error=str(error))
        detail = "it is not known whether the payment has begun; send it again with this answer's Idempotency-Key"
        told = problems.document_of(error) | {"detail": detail, "payment_id": str(payment_id)}
        return problems.Problem(told, {"Retry-After": str(error.retry_after_s), "Idempotency-Key": key})
    return _begun(found, payment_id)


def _begun(found: list[PaymentView] | Passed, payment_id: UUID) -> Response:
    if isinstance(found, Passed):
        return passed(found)
    status, view = views.begun(found)
    if (code := views.refusal(found)) is not None:
        refused = "the rules of the wallet refuse this payment; nothing was asked of the provider"
        return problems.Problem(problems.document(422, code, refused, payment=view))
    location = f"{API}/payments/{payment_id}"
    more = {"Location": location} if status == 201 else {"Location": location, "Retry-After": str(RETRY_AFTER_S)}
    return Json(view, status, more)


def _problems() -> described.Answers:
    return described.problem_answers(404, 413)


def _switches(found: list[AvailabilityView] | Passed) -> Response:
    return passed(found) if isinstance(found, Passed) else Json([each.model_dump(mode="json") for each in found])


def _detail(found: PaymentDetail | Passed, caller: Caller) -> Response:
    if isinstance(found, Passed):
        return passed(found)
    return Json(views.detail(found, for_staff=Scope.READ_PAYMENTS in caller.scopes))
