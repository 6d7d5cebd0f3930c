"""Payments, which the payments service owns: its refusals pass as they are. Money is in minor units in here."""

from collections.abc import Mapping
from typing import TypeVar

import httpx2
from pydantic import BaseModel, TypeAdapter

from gateway.repository import decoded
from gateway.repository.passing import Passed, passed
from shared.contracts.payments import AvailabilityView, BatchView, ExceptionView, PaymentDetail, PaymentView
from shared.journal import TIMEOUT_S

T = TypeVar("T")

PARTS = TypeAdapter(list[PaymentView])
DETAIL = TypeAdapter(PaymentDetail)
SWITCHES = TypeAdapter(list[AvailabilityView])
BATCH = TypeAdapter(BatchView)
BATCHES = TypeAdapter(list[BatchView])
EXCEPTION = TypeAdapter(ExceptionView)
EXCEPTIONS = TypeAdapter(list[ExceptionView])

# A batch is matched with its report before the answer, which takes a while for a large day's.
SETTLED_WITHIN_S = 60.0


class PaymentReads:
    """The payments service. All raise ServiceUnavailable where there is no answer."""

    def __init__(self, payments: httpx2.AsyncClient) -> None:
        self._payments = payments

    async def read(
        self, form: TypeAdapter[T], path: str, query: Mapping[str, int | str | None] | None = None
    ) -> T | Passed:
        """What stands at a path; the problem document where it is refused."""
        params = {name: value for name, value in (query or {}).items() if value is not None}
        return _of(form, await passed(self._payments, self._payments.build_request("GET", path, params=params)))

    async def ask(
        self, form: TypeAdapter[T], path: str, body: BaseModel, method: str = "POST", within_s: float = TIMEOUT_S
    ) -> T | Passed:
        """As `read`, of what is asked for."""
        request = self._payments.build_request(method, path, json=body.model_dump(mode="json"), timeout=within_s)
        return _of(form, await passed(self._payments, request))

    async def webhook(self, provider: str, body: bytes, headers: Mapping[str, str]) -> Passed:
        """Pass a provider's webhook on, as it came."""
        request = self._payments.build_request("POST", f"/webhooks/{provider}", content=body, headers=dict(headers))
        return await passed(self._payments, request)


def _of(form: TypeAdapter[T], answer: Passed) -> T | Passed:
    return decoded(form, answer.body) if answer.status == httpx2.codes.OK else answer
