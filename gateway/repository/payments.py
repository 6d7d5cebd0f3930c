"""Payments, which the payments service owns: its refusals pass as they are. Money is in minor units in here."""

from collections.abc import Mapping
from typing import TypeVar

import httpx2
from pydantic import BaseModel, TypeAdapter

from gateway.repository import decoded
from gateway.repository.kyc import Passed
from shared import logs
from shared.contracts.payments import AvailabilityView, BatchView, ExceptionView, PaymentDetail, PaymentView
from shared.errors import ServiceUnavailable

log = logs.get(__name__)
T = TypeVar("T")

# What of the payments service's answers is the caller's: the rest is the platform's own trouble.
_PASSED = frozenset({200, 400, 401, 403, 404, 413, 422})

PARTS = TypeAdapter(list[PaymentView])
DETAIL = TypeAdapter(PaymentDetail)
SWITCHES = TypeAdapter(list[AvailabilityView])
BATCH = TypeAdapter(BatchView)
BATCHES = TypeAdapter(list[BatchView])
EXCEPTION = TypeAdapter(ExceptionView)
EXCEPTIONS = TypeAdapter(list[ExceptionView])


class PaymentReads:
    """The payments service. All raise ServiceUnavailable where there is no answer."""

    def __init__(self, payments: httpx2.AsyncClient) -> None:
        self._payments = payments

    async def read(
        self, form: TypeAdapter[T], path: str, query: Mapping[str, int | str | None] | None = None
    ) -> T | Passed:
        """What stands at a path; the problem document where it is refused."""
        params = {name: value for name, value in (query or {}).items() if value is not None}
        return _of(form, await self._send(self._payments.build_request("GET", path, params=params)))

    async def ask(self, form: TypeAdapter[T], path: str, body: BaseModel, method: str = "POST") -> T | Passed:
        """As `read`, of what is asked for."""
        request = self._payments.build_request(method, path, json=body.model_dump(mode="json"))
        return _of(form, await self._send(request))

    async def webhook(self, provider: str, body: bytes, headers: Mapping[str, str]) -> Passed:
        """Pass a provider's webhook on, as it came."""
        path = f"/webhooks/{provider}"
        return await self._send(self._payments.build_request("POST", path, content=body, headers=dict(headers)))

    async def _send(self, request: httpx2.Request) -> Passed:
        try:
            response = await self._payments.send(request)
        except httpx2.RequestError as error:
            log.warning("inner_service_silent", url=str(request.url), error=type(error).__name__)
            raise ServiceUnavailable("the service that knows this does not answer") from None
        if response.status_code not in _PASSED:
            log.warning("inner_service_fails", url=str(request.url), status=response.status_code)
            raise ServiceUnavailable("the service that knows this is not ready to answer")
        return Passed(response.status_code, response.content, response.headers.get("content-type", "application/json"))


def _of(form: TypeAdapter[T], answer: Passed) -> T | Passed:
    return decoded(form, answer.body) if answer.status == httpx2.codes.OK else answer
