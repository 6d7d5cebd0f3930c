"""Decisions, refusals and errors as HTTP answers: by themselves, or as one result of a batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import Response

from gateway.domain import views
from gateway.domain.refusals import explain
from gateway.endpoints import API
from shared import problems
from shared.contracts.commands import Command
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Status
from shared.contracts.replies import Reply
from shared.errors import CommandIdReused, LangSenseError

PENDING_RETRY_AFTER_S = 1
REPLAYED = "Idempotency-Replayed"

# What is answered to a decision, made from its row alone.
View = Callable[[LedgerEvent], dict[str, Any]]


class Json(Response):
    """JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said about one transaction."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self, more_headers: Mapping[str, str]) -> Response:
        """As the answer to a request of its own."""
        media_type = "application/problem+json" if self.status >= HTTPStatus.BAD_REQUEST else "application/json"
        return Json(self.body, self.status, headers={**self.headers, **more_headers}, media_type=media_type)

    def result(self) -> dict[str, Any]:
        """As one result of a batch: headers that matter become members."""
        members: dict[str, Any] = {"status": self.status, **self.body}
        if REPLAYED in self.headers:
            members["idempotency_replayed"] = True
        if "Location" in self.headers:
            members["location"] = self.headers["Location"]
        return members


def of_reply(
    command: Command,
    reply: Reply | None,
    *,
    view: View = views.decision,
    posted: HTTPStatus = HTTPStatus.CREATED,
) -> Answer:
    """The answer to a command: its decision, as `view` makes it of the row; or that there is none yet."""
    if reply is None:
        return of_pending(command)
    headers = {REPLAYED: "true"} if reply.replayed else {}
    event = reply.transaction
    if event is None:
        return _of_rejection(reply)
    decision = view(event)
    if event.status is Status.POSTED:
        return Answer(posted, decision, headers)
    code = str(event.reason)
    return Answer(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        problems.document(HTTPStatus.UNPROCESSABLE_ENTITY, code, explain(event), **decision),
        headers,
    )


def of_pending(command: Command) -> Answer:
    """The answer while a command is not decided."""
    headers = {
        "Location": f"{API}/transactions/{command.command_id}",
        "Retry-After": str(PENDING_RETRY_AFTER_S),
    }
    return Answer(HTTPStatus.ACCEPTED, views.pending(command), headers)


def of_error(error: LangSenseError) -> Answer:
    """The answer to a transaction of a batch that did not become a command."""
    body = problems.document_of(error)
    return Answer(body["status"], body)


def _of_rejection(reply: Reply) -> Answer:
    # Only a reused id is the client's doing; whatever else keeps the wallet from deciding is the platform's.
    reused = reply.code == CommandIdReused.code
    status = HTTPStatus.UNPROCESSABLE_ENTITY if reused else HTTPStatus.INTERNAL_SERVER_ERROR
    detail = reply.detail or "the wallet could not decide it; it was put aside for an operator"
    return Answer(status, problems.document(status, reply.code or "NOT_DECIDED", detail))
