"""The edge: our errors as `application/problem+json` (RFC 9457). The one place that gives HTTP codes."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from shared import errors, logs
from shared.errors import FieldError

log = logs.get(__name__)

TYPE_BASE = "urn:langsense:problem:"

# Looked up along an error's ancestors, nearest first.
STATUS: Mapping[type[errors.LangSenseError], HTTPStatus] = {
    errors.UnreadableWebhook: HTTPStatus.BAD_REQUEST,
    errors.OversizedWebhook: HTTPStatus.BAD_REQUEST,
    errors.InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.IdempotencyKeyMissing: HTTPStatus.BAD_REQUEST,
    errors.CommandIdReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ExclusionRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.NotSealedYet: HTTPStatus.CONFLICT,
    errors.TransientError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.LangSenseError: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def document(status: int, code: str, detail: str, **members: Any) -> dict[str, Any]:
    """A problem document. `code` is stable and machine-readable; `detail` says what to do."""
    return {
        "type": TYPE_BASE + code.lower().replace("_", "-"),
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        **members,
    }


def document_of(error: errors.LangSenseError) -> dict[str, Any]:
    """The problem document of one of our errors."""
    status = next(STATUS[ancestor] for ancestor in type(error).__mro__ if ancestor in STATUS)
    members: dict[str, Any] = {}
    if isinstance(error, errors.InvalidInput | errors.ExclusionRefused):
        members["errors"] = [{"field": found.field, "message": found.message} for found in error.errors]
    return document(status, error.code, str(error), **members)


class Problem(JSONResponse):
    """An answer that is a problem document."""

    media_type = "application/problem+json"

    def __init__(self, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, status_code=content["status"], headers=headers)


def of(error: errors.LangSenseError) -> Problem:
    """The answer for one of our errors."""
    headers: dict[str, str] = {}
    if isinstance(error, errors.TransientError):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, errors.Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return Problem(document_of(error), headers)


def validation_failed(findings: list[FieldError]) -> Problem:
    """The problem document of wrong input."""
    return of(errors.InvalidInput(findings))


async def _on_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.LangSenseError)
    # Who comes too often, or too early, must not fill the log as well.
    if isinstance(error, errors.TransientError) and not isinstance(error, errors.RateLimited | errors.NotSealedYet):
        log.warning("request_refused_for_now", path=request.url.path, code=error.code, error=str(error))
    return of(error)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError | ValidationError)
    findings = []
    for finding in error.errors():
        location = [str(part) for part in finding["loc"]]
        # FastAPI puts the place ("body", "query", "path", "header") first; the client knows fields by name alone.
        if len(location) > 1 and location[0] in {"body", "query", "path", "header"}:
            location = location[1:]
        if finding["type"] == "json_invalid":
            location = ["body"]
        findings.append(FieldError(".".join(location), finding["msg"].removeprefix("Value error, ")))
    return validation_failed(findings)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    # FastAPI hides what goes wrong while it reads a body; a body that is too large is ours.
    if isinstance(error.__cause__, errors.LangSenseError):
        return of(error.__cause__)
    # Bytes that are no UTF-8, a number of ten thousand digits, ten thousand brackets.
    if isinstance(error.__cause__, ValueError | RecursionError):
        return validation_failed([FieldError("body", "must be JSON in UTF-8, of sensible depth and numbers")])
    status = HTTPStatus(error.status_code)
    return Problem(document(status, status.name, str(error.detail)), error.headers)


async def _on_anything_else(request: Request, error: Exception) -> Response:
    # Starlette logs the traceback after this; the client gets no inner detail, and the id that leads to it.
    state = request.scope.get("state", {})
    request_id = state.get("request_id")
    # Starlette asks for this answer around everything else, where lines do not name the request any more.
    with structlog.contextvars.bound_contextvars(**state.get("logged", {})):
        log.error("request_failed", path=request.url.path, error=type(error).__name__)
    failed = document(HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "an error of ours; it was logged")
    return Problem(failed, {"X-Request-ID": request_id} if request_id else None)


def install(app: FastAPI) -> None:
    """Make the application answer with problem documents, whatever goes wrong."""
    app.add_exception_handler(errors.LangSenseError, _on_ours)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_anything_else)
