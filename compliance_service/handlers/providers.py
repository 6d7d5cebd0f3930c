"""Who checks what players show: the rules alone, or a provider over HTTP that answers by webhook."""

from collections.abc import Mapping
from uuid import UUID

import httpx2
import orjson

from compliance_service.domain import webhooks
from shared.clock import Clock
from shared.contracts.kyc import KycResult
from shared.errors import ServiceUnavailable


class RulesAlone:
    """What no rule speaks against is verified."""

    async def check(self, submission_id: UUID, fields: Mapping[str, str | None]) -> KycResult | None:
        """As `Provider.check`."""
        return KycResult.VERIFIED


class HttpProvider:
    """A provider at a URL. It takes the same submission any number of times, and answers by webhook."""

    def __init__(self, client: httpx2.AsyncClient, url: str, secret: str, clock: Clock) -> None:
        self._client = client
        self._url = url
        self._secret = secret
        self._clock = clock

    async def check(self, submission_id: UUID, fields: Mapping[str, str | None]) -> KycResult | None:
        """As `Provider.check`. What it raises names neither the provider's answer nor what was sent."""
        body = orjson.dumps({"submission_id": str(submission_id), **fields})
        timestamp = int(self._clock().timestamp())
        headers = {
            "Content-Type": "application/json",
            webhooks.TIMESTAMP: str(timestamp),
            webhooks.SIGNATURE: webhooks.sign(self._secret, timestamp, body),
        }
        try:
            response = await self._client.post(self._url, content=body, headers=headers)
        except httpx2.TransportError:
            raise ServiceUnavailable("the KYC provider does not answer") from None
        if not response.is_success:
            raise ServiceUnavailable(f"the KYC provider answers {response.status_code}")
        return None
