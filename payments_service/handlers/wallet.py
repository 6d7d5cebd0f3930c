"""The wallet and the fraud service, as payments ask them."""

from collections.abc import Mapping
from typing import TypeVar

import httpx2
from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.asking import Asker
from shared.contracts.commands import Command, encode
from shared.contracts.events import LedgerEvent
from shared.contracts.readings import Check, RestrictionsReading
from shared.errors import ServiceUnavailable

T = TypeVar("T")
_CHECK = TypeAdapter(Check)
_RESTRICTIONS = TypeAdapter(RestrictionsReading)
# Who is paid unseen, by the level of their score; whatever else the fraud service says is looked at.
UNSEEN = frozenset({"SAFE", "SUSPICIOUS"})


class _Score(BaseModel):
    level: str


_SCORE = TypeAdapter(_Score)


class KafkaWallet:
    """As `Wallet`: decisions over Kafka, dry runs over HTTP."""

    def __init__(self, asker: Asker, wallet: httpx2.AsyncClient) -> None:
        self._asker = asker
        self._wallet = wallet

    async def ask(self, command: Command, within_s: float) -> LedgerEvent | None:
        """As `Wallet.ask`."""
        return await self._asker.ask(command, within_s)

    async def check(self, command: Command) -> Check:
        """As `Wallet.check`."""
        headers: Mapping[str, str] = {"Content-Type": "application/json"}
        body = await _answer(
            self._wallet, self._wallet.build_request("POST", "/limit-checks", content=encode(command), headers=headers)
        )
        return _decoded(_CHECK, body)

    async def is_blocked(self, user_id: int) -> bool:
        """As `Wallet.is_blocked`."""
        body = await _answer(self._wallet, self._wallet.build_request("GET", f"/users/{user_id}/restrictions"))
        return body != b"" and _decoded(_RESTRICTIONS, body).blocked


class FraudScores:
    """As `Risk`, by the fraud service's scores. A player of whom it knows nothing is SAFE."""

    def __init__(self, fraud: httpx2.AsyncClient) -> None:
        self._fraud = fraud

    async def is_risky(self, user_id: int) -> bool:
        """As `Risk.is_risky`."""
        body = await _answer(self._fraud, self._fraud.build_request("GET", f"/users/{user_id}/fraud-score"))
        return body != b"" and _decoded(_SCORE, body).level not in UNSEEN


async def _answer(client: httpx2.AsyncClient, request: httpx2.Request) -> bytes:
    try:
        response = await client.send(request)
    except httpx2.TransportError as error:
        raise ServiceUnavailable(f"{request.url.path} does not answer: {type(error).__name__}") from error
    if response.status_code == httpx2.codes.NOT_FOUND:
        return b""
    if response.status_code != httpx2.codes.OK:
        raise ServiceUnavailable(f"{request.url.path} answers {response.status_code}")
    return response.content


def _decoded(adapter: TypeAdapter[T], body: bytes) -> T:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise ServiceUnavailable("another service answers in a form that is not the contract's") from error
