"""The sandbox, a provider for development; its webhooks come as Stripe's or as PayPal's, and are read as such."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import httpx2
from cryptography.x509 import Certificate

from payments_service.domain import amounts
from payments_service.domain.ports import Direction, Outcome, ProviderAnswer, ProviderEvent, ProviderRequest
from payments_service.handlers.providers import paypal_events, stripe_webhooks
from payments_service.handlers.providers.paypal_signatures import NotTrusted, Trust, Verifier
from shared.clock import Clock, utc_now
from shared.errors import ServiceUnavailable, Unauthenticated

# The name in the certificate that it signs with.
SUBJECT = "sandbox.langsense.internal"
WEBHOOK_ID = "SANDBOX-WEBHOOK"

_PATHS = {Direction.DEPOSIT: "/v1/deposits", Direction.WITHDRAWAL: "/v1/payouts", Direction.REFUND: "/v1/refunds"}
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)


class SandboxProvider:
    """The sandbox at a URL. Amounts have ISO 4217's decimals there, whatever the form of a webhook."""

    name = "sandbox"
    methods = frozenset({"card", "bank", "paypal"})
    # As at PayPal; to a card or bank it pays out whatever came from there.
    refund_only = frozenset({"paypal"})

    def __init__(
        self,
        client: httpx2.AsyncClient,
        *,
        url: str,
        token: str,
        secrets: Sequence[str],
        roots: Sequence[Certificate],
        clock: Clock = utc_now,
    ) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        self._secrets = tuple(secrets)
        self._clock = clock
        here = httpx2.URL(self._url)
        trust = Trust(roots, SUBJECT, lambda found: (found.scheme, found.netloc) == (here.scheme, here.netloc))
        self._verifier = Verifier(client, trust, [WEBHOOK_ID])

    async def deposit(self, request: ProviderRequest) -> ProviderAnswer:
        """As `Provider.deposit`."""
        return await self._ask(Direction.DEPOSIT, request)

    def can_pay_out(self, method: str, instrument: str | None) -> bool:
        """As `Provider.can_pay_out`: anywhere."""
        return True

    async def pay_out(self, request: ProviderRequest) -> ProviderAnswer:
        """As `Provider.pay_out`."""
        return await self._ask(Direction.WITHDRAWAL, request)

    async def refund(self, request: ProviderRequest, of_reference: str) -> ProviderAnswer:
        """As `Provider.refund`."""
        return await self._ask(Direction.REFUND, request, of_reference=of_reference)

    async def look_up(
        self, direction: Direction, payment_id: UUID, reference: str | None, of_reference: str | None = None
    ) -> ProviderAnswer | None:
        """As `Provider.look_up`: by our id alone."""
        try:
            response = await self._client.get(f"{self._url}/v1/payments/{payment_id}", headers=self._headers)
        except httpx2.TransportError:
            raise ServiceUnavailable("the sandbox does not answer") from None
        if response.status_code == httpx2.codes.NOT_FOUND:
            return None
        if not response.is_success:
            raise ServiceUnavailable(f"the sandbox answers {response.status_code}")
        return _answer(response.json())

    async def settlement_report(self, currency: str, day: date) -> bytes | None:
        """A day's report, in Stripe's form; None while the day is not over. Raises ServiceUnavailable."""
        if day >= self._clock().date():
            return None
        url = f"{self._url}/reports/stripe/{day.isoformat()}"
        try:
            response = await self._client.get(url, params={"currency": currency}, headers=self._headers)
        except httpx2.TransportError:
            raise ServiceUnavailable("the sandbox does not answer") from None
        if not response.is_success:
            raise ServiceUnavailable(f"the sandbox answers {response.status_code}")
        return response.content

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Sequence[ProviderEvent]:
        """As `Provider.read_webhook`, in either form."""
        if any(name.lower().startswith("paypal-") for name in headers):
            try:
                await self._verifier.verify(headers, body, now)
            except NotTrusted:
                raise Unauthenticated("the certificate is not the sandbox's") from None
            return paypal_events.events(body, amounts.from_text)
        stripe_webhooks.verify(headers, body, self._secrets, now)
        return stripe_webhooks.events(body, lambda amount, currency: amount)

    async def _ask(
        self, direction: Direction, request: ProviderRequest, of_reference: str | None = None
    ) -> ProviderAnswer:
        body = {**request._asdict(), "payment_id": str(request.payment_id), "of_reference": of_reference}
        try:
            response = await self._client.post(self._url + _PATHS[direction], json=body, headers=self._headers)
        except _NEVER_SENT:
            raise ServiceUnavailable("the sandbox cannot be reached") from None
        except httpx2.TransportError:
            return ProviderAnswer(Outcome.UNKNOWN, None, "no_answer", None)
        if response.is_success:
            return _answer(response.json())
        # Another payment under this id is there already: what became of it is not what was asked.
        if response.is_server_error or "IDEMPOTENCY_KEY_REUSED" in response.text:
            return ProviderAnswer(Outcome.UNKNOWN, None, f"status_{response.status_code}", None)
        return ProviderAnswer(Outcome.FAILED, None, "refused_by_provider", None)


def _answer(found: Mapping[str, Any]) -> ProviderAnswer:
    return ProviderAnswer(Outcome(found["outcome"]), found["reference"], found["reason"], None, found["disputed_minor"])
