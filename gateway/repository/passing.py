"""Answers of inner services that pass as they are, refusals included."""

from typing import NamedTuple, TypeVar

import httpx2
from pydantic import BaseModel, JsonValue, ValidationError

from shared import logs
from shared.errors import ServiceUnavailable

log = logs.get(__name__)
M = TypeVar("M", bound=BaseModel)

# What of an inner service's answers is the caller's: the rest is the platform's own trouble.
_PASSED = frozenset({200, 201, 202, 400, 401, 403, 404, 413, 422})


class Passed(NamedTuple):
    """An answer that goes out as it came in."""

    status: int
    body: bytes
    media_type: str


async def passed(client: httpx2.AsyncClient, request: httpx2.Request) -> Passed:
    """What an inner service answers. Raises ServiceUnavailable."""
    try:
        response = await client.send(request)
    except httpx2.RequestError as error:
        log.warning("inner_service_silent", url=str(request.url), error=type(error).__name__)
        raise ServiceUnavailable("the service that knows this does not answer") from None
    if response.status_code not in _PASSED:
        log.warning("inner_service_fails", url=str(request.url), status=response.status_code)
        raise ServiceUnavailable("the service that knows this is not ready to answer")
    return Passed(response.status_code, response.content, response.headers.get("content-type", "application/json"))


def read(model: type[M], answer: Passed) -> M:
    """An answer in the contract's form. Raises ServiceUnavailable where it is not."""
    try:
        return model.model_validate_json(answer.body)
    except ValidationError:
        # Its error would repeat the answer.
        raise ServiceUnavailable("the service that knows this answers in a form that is not the contract's") from None


def body_of(model: BaseModel) -> dict[str, JsonValue]:
    """A request's body as it is sent on."""
    found: dict[str, JsonValue] = model.model_dump(mode="json")
    return found
