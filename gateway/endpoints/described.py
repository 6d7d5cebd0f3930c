"""What the API's document says beyond what the code shows: problem answers, and bodies that are read by hand."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway.domain.fraud import (
    AssignmentRequest,
    BacktestRequest,
    NoteRequest,
    ResolutionRequest,
    RuleRequest,
    RuleSnoozeRequest,
    SnoozeRequest,
)
from gateway.domain.payments import PaymentRequest
from gateway.domain.requests import (
    BatchRequest,
    BlockRemoval,
    BlockRequest,
    ComplianceAuditRequest,
    CorrectionRequest,
    DisputeRequest,
    OverrideRemoval,
    OverrideRequest,
    OwnLimitRequest,
    RaiseConfirmation,
    ReconciliationRequest,
    TransactionRequest,
)
from gateway.domain.views import Problem
from shared.contracts.exclusions import ExclusionRequest, SuspensionRequest, TimeOutRequest
from shared.contracts.kyc import KycDecision, KycErasure, KycSubmission
from shared.contracts.payments import (
    AvailabilityRequest,
    CancellationRequest,
    CompletionRequest,
    ExceptionResolutionRequest,
    RefundRequest,
    RetryRequest,
    ReviewRequest,
    SettlementRequest,
)
from shared.contracts.play import PlayLimitsRequest, RealityCheckRequest

_REF = "#/components/schemas/{model}"
_BY_HAND: tuple[type[BaseModel], ...] = (
    TransactionRequest,
    BatchRequest,
    OverrideRequest,
    OverrideRemoval,
    OwnLimitRequest,
    RaiseConfirmation,
    CorrectionRequest,
    DisputeRequest,
    BlockRequest,
    BlockRemoval,
    ReconciliationRequest,
    ComplianceAuditRequest,
    KycSubmission,
    KycDecision,
    KycErasure,
    ExclusionRequest,
    TimeOutRequest,
    SuspensionRequest,
    PlayLimitsRequest,
    RealityCheckRequest,
    ResolutionRequest,
    SnoozeRequest,
    AssignmentRequest,
    NoteRequest,
    RuleRequest,
    PaymentRequest,
    CancellationRequest,
    CompletionRequest,
    RefundRequest,
    ReviewRequest,
    AvailabilityRequest,
    SettlementRequest,
    RetryRequest,
    ExceptionResolutionRequest,
    RuleSnoozeRequest,
    BacktestRequest,
    Problem,
)
_MEANINGS = {
    400: "The Idempotency-Key header is missing",
    401: "No valid token",
    403: "The token does not allow this",
    404: "There is no such thing",
    409: "It is not under a checkpoint yet; come back after `Retry-After` seconds",
    413: "The body is too large",
    422: "Refused by the rules of the wallet, or wrong input: `code` says which, `errors` names each wrong field",
    429: "Too many requests",
    503: "Something that this needs is not there; come back after `Retry-After` seconds",
}


# What a route may answer, by status.
Answers = dict[int | str, dict[str, Any]]


def problem_answers(*statuses: int) -> Answers:
    """The problem answers of a route: those that every route has, and these."""
    schema = {"$ref": _REF.format(model=Problem.__name__)}
    content = {"application/problem+json": {"schema": schema}}
    return {
        status: {"description": _MEANINGS[status], "content": content}
        for status in sorted({401, 403, 422, 429, 503, *statuses})
    }


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """The request body of a route that reads it by itself."""
    schema = {"$ref": _REF.format(model=model.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "A token of the operator's issuer. Its claim `role` or `scope` says what it allows.",
}


def header(name: str, description: str, *, required: bool = False) -> dict[str, Any]:
    """A request header that a route reads by itself."""
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": {"type": "string"},
    }


IDEMPOTENCY_KEY = header(
    "Idempotency-Key",
    "Chosen by the client, one for each transaction. A retry with the same key has no second effect, and gets the "
    "same answer.",
    required=True,
)
OPTIONAL_IDEMPOTENCY_KEY = {**IDEMPOTENCY_KEY, "required": False}
PREFER = header("Prefer", "`wait=N`: wait at most N seconds for the decision. `respond-async`: do not wait.")


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document."""
    found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    _, by_hand = models_json_schema([(model, "validation") for model in _BY_HAND], ref_template=_REF)
    found["components"]["schemas"].update(by_hand["$defs"])
    found["components"]["securitySchemes"] = {"bearer": BEARER}
    for operations in found["paths"].values():
        for operation in operations.values():
            # Whatever may answer 401 takes a token, unless it says that it does not.
            if "401" in operation["responses"]:
                operation.setdefault("security", [{"bearer": []}])
    return found
