"""Reading the wallet's journal over HTTP: what a consumer does when Kafka has not brought it a row."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol, TypeVar

import httpx2
import structlog
from pydantic import TypeAdapter, ValidationError

from shared.contracts.events import LaneHead, LedgerEvent
from shared.contracts.headers import TRACEPARENT
from shared.errors import ServiceUnavailable
from shared.settings import ServiceSettings
from shared.tracing import OFF, Tracing

T = TypeVar("T")

TIMEOUT_S = 5.0
PAGE_ROWS = 1000

_ROWS = TypeAdapter(list[LedgerEvent])
_HEADS = TypeAdapter(list[LaneHead])


class Journal(Protocol):
    """The journal as its readers see it."""

    async def heads(self) -> Sequence[LaneHead]:
        """Where each lane stands. Raises ServiceUnavailable."""

    async def rows(self, lane: int, after: int, limit: int) -> Sequence[LedgerEvent]:
        """At most `limit` rows of a lane above position `after`, in order. Raises ServiceUnavailable."""


class HttpJournal:
    """The journal behind the wallet service's internal endpoints."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def heads(self) -> Sequence[LaneHead]:
        return _decoded(_HEADS, await self._get("/lanes"))

    async def rows(self, lane: int, after: int, limit: int) -> Sequence[LedgerEvent]:
        return _decoded(_ROWS, await self._get(f"/lanes/{lane}/journal?after={after}&limit={limit}"))

    async def _get(self, path: str) -> bytes:
        try:
            response = await self._client.get(path)
        except httpx2.TransportError as error:
            raise ServiceUnavailable(f"the wallet service does not answer: {error!r}") from error
        if response.status_code != httpx2.codes.OK:
            raise ServiceUnavailable(f"the wallet service answers {response.status_code} for {path.split('?')[0]}")
        return response.content


def _decoded(adapter: TypeAdapter[T], body: bytes) -> T:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise ServiceUnavailable("the wallet service answers in a form that is not the contract's") from error


class _Transport(httpx2.AsyncHTTPTransport):
    """A connection that is lost as it is made could not be made.

    anyio asks for the peer's name of a socket that uvloop has closed by then, and raises AttributeError.
    """

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return await super().handle_async_request(request)
        except AttributeError as error:
            if error.name != "getpeername":
                raise
            raise httpx2.ConnectError("the connection was lost as it was made", request=request) from error


def internal_client(base_url: str, token: str, tracing: Tracing = OFF) -> httpx2.AsyncClient:
    """A client for another of the platform's services, with the token that they show each other. Close it when done.

    What is asked carries the correlation id, and the trace, of what it is asked for.
    """
    return httpx2.AsyncClient(
        base_url=base_url,
        headers={"Authorization": f"Bearer {token}"},
        timeout=TIMEOUT_S,
        trust_env=False,
        transport=_Transport(trust_env=False),
        event_hooks={"request": [partial(_mark, tracing)]},
    )


def service_client(settings: ServiceSettings, url: str, tracing: Tracing) -> httpx2.AsyncClient:
    """As `internal_client`, for one service that asks another."""
    return internal_client(url, settings.internal_api_token.get_secret_value(), tracing)


async def _mark(tracing: Tracing, request: httpx2.Request) -> None:
    correlation_id = structlog.contextvars.get_contextvars().get("correlation_id")
    if correlation_id is not None:
        request.headers.setdefault("X-Request-ID", correlation_id)
    if (here := tracing.here()) is not None:
        request.headers[TRACEPARENT] = here
