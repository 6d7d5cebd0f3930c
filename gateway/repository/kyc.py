"""KYC, which the compliance service owns: its answers pass as they are, refusals included."""

from collections.abc import Mapping
from typing import NamedTuple

import httpx2
from pydantic import BaseModel, JsonValue, ValidationError

from shared import logs
from shared.contracts.kyc import KycView
from shared.errors import ServiceUnavailable

log = logs.get(__name__)

# What of the compliance service's answers is the caller's: the rest is the platform's own trouble.
_PASSED = frozenset({200, 401, 404, 413, 422})


class Passed(NamedTuple):
    """An answer that goes out as it came in."""

    status: int
    body: bytes
    media_type: str


class KycReads:
    """The compliance service's KYC. All raise ServiceUnavailable where there is no answer."""

    def __init__(self, compliance: httpx2.AsyncClient) -> None:
        self._compliance = compliance

    async def state(self, user_id: int) -> KycView:
        """How far a player is known, with the reasons that only staff may read."""
        answer = await self._send(self._compliance.build_request("GET", f"/users/{user_id}/kyc"))
        return _view(answer)

    async def ask(self, user_id: int, what: str, body: Mapping[str, JsonValue]) -> KycView | Passed:
        """Change or read a player's KYC in somebody's name; the problem document where it is refused."""
        path = f"/users/{user_id}/kyc{what and '/'}{what}"
        answer = await self._send(self._compliance.build_request("POST", path, json=dict(body)))
        return _view(answer) if answer.status == httpx2.codes.OK else answer

    async def webhook(self, body: bytes, headers: Mapping[str, str]) -> Passed:
        """Pass a provider's webhook on, as it came."""
        request = self._compliance.build_request("POST", "/webhooks/kyc", content=body, headers=dict(headers))
        return await self._send(request)

    async def _send(self, request: httpx2.Request) -> Passed:
        try:
            response = await self._compliance.send(request)
        except httpx2.RequestError as error:
            log.warning("inner_service_silent", url=str(request.url), error=type(error).__name__)
            raise ServiceUnavailable("the service that knows this does not answer") from None
        if response.status_code not in _PASSED:
            log.warning("inner_service_fails", url=str(request.url), status=response.status_code)
            raise ServiceUnavailable("the service that knows this is not ready to answer")
        return Passed(response.status_code, response.content, response.headers.get("content-type", "application/json"))


def body_of(model: BaseModel) -> dict[str, JsonValue]:
    """A request's body as it is sent on."""
    found: dict[str, JsonValue] = model.model_dump(mode="json")
    return found


def _view(answer: Passed) -> KycView:
    try:
        return KycView.model_validate_json(answer.body)
    except ValidationError:
        # Its error would repeat the answer.
        raise ServiceUnavailable("the service that knows this answers in a form that is not the contract's") from None
