"""KYC, which the compliance service owns: its answers pass as they are, refusals included."""

from collections.abc import Mapping

import httpx2
from pydantic import JsonValue

from gateway.repository.passing import Passed, passed, read
from shared.contracts.kyc import KycView


class KycReads:
    """The compliance service's KYC. All raise ServiceUnavailable where there is no answer."""

    def __init__(self, compliance: httpx2.AsyncClient) -> None:
        self._compliance = compliance

    async def state(self, user_id: int) -> KycView:
        """How far a player is known, with the reasons that only staff may read."""
        answer = await passed(self._compliance, self._compliance.build_request("GET", f"/users/{user_id}/kyc"))
        return read(KycView, answer)

    async def ask(self, user_id: int, what: str, body: Mapping[str, JsonValue]) -> KycView | Passed:
        """Change or read a player's KYC in somebody's name; the problem document where it is refused."""
        path = f"/users/{user_id}/kyc{what and '/'}{what}"
        answer = await passed(self._compliance, self._compliance.build_request("POST", path, json=dict(body)))
        return read(KycView, answer) if answer.status == httpx2.codes.OK else answer

    async def webhook(self, body: bytes, headers: Mapping[str, str]) -> Passed:
        """Pass a provider's webhook on, as it came."""
        request = self._compliance.build_request("POST", "/webhooks/kyc", content=body, headers=dict(headers))
        return await passed(self._compliance, request)
