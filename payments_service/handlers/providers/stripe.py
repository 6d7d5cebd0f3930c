"""Stripe, through its own SDK: PaymentIntents take deposits, transfers pay connected accounts, refunds go back."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

import httpx2
import stripe
from pydantic import JsonValue
from stripe import HTTPClient, PaymentIntent, Refund, StripeClient
from stripe.params import PaymentIntentCreateParams, PaymentIntentRetrieveParams

from payments_service.domain import amounts
from payments_service.domain.ports import UNNAMED, Direction, Outcome, ProviderAnswer, ProviderEvent, ProviderRequest
from payments_service.handlers.providers import stripe_reports, stripe_webhooks
from payments_service.handlers.providers.stripe_webhooks import CONFIRMED, PAYMENT_ID, REFUND_OUTCOMES
from shared.clock import Clock
from shared.errors import InvalidInput, ServiceUnavailable

API_VERSION = "2026-10-28.endive"

_INTENT_OUTCOMES = {
    "succeeded": Outcome.COMPLETED,
    "processing": Outcome.PROCESSING,
    "canceled": Outcome.CANCELLED,
    "requires_payment_method": Outcome.PENDING,
    "requires_confirmation": Outcome.PENDING,
    "requires_action": Outcome.PENDING,
    "requires_capture": Outcome.PROCESSING,
}
# Nothing was sent: no connection was made.
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
# Stripe did not look at the request: a key that it does not know, or too many requests.
_NOT_TAKEN = (stripe.AuthenticationError, stripe.PermissionError, stripe.RateLimitError)


class Transport(HTTPClient):
    """The SDK's requests over the platform's HTTP client."""

    name = "httpx2"

    def __init__(self, client: httpx2.AsyncClient) -> None:
        super().__init__()
        self._http = client

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | bytes | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """As the SDK asks for it."""
        try:
            response = await self._http.request(method, url, headers=dict(headers), content=post_data or None)
        except httpx2.TransportError as error:
            raise stripe.APIConnectionError("Stripe does not answer") from error  # type: ignore[no-untyped-call]
        return response.content, response.status_code, response.headers

    async def close_async(self) -> None:
        """The client is closed by whom it belongs to."""


class StripeProvider:
    """Stripe. Webhooks are verified with any of `secrets`, so that one can follow another."""

    name = "stripe"
    methods = frozenset({"card", "bank"})
    # What came from a card or bank goes back there as refunds; all else goes to a connected account.
    refund_only = methods

    def __init__(
        self,
        client: httpx2.AsyncClient,
        *,
        api_key: str,
        secrets: Sequence[str],
        clock: Clock,
        api_base: str | None = None,
    ) -> None:
        # Without retries of the SDK's own: what is sent again is decided by the payment's state.
        self._key, self._http = api_key, client
        self._client = StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base} if api_base else {},
            max_network_retries=0,
            http_client=Transport(client),
        )
        self._stripe = self._client.v1
        self._secrets = tuple(secrets)
        self._clock = clock

    async def deposit(self, request: ProviderRequest) -> ProviderAnswer:
        """As `Provider.deposit`. Without an instrument the player's client confirms, with the answer's secret."""
        params: PaymentIntentCreateParams = {
            "amount": 0,
            "currency": request.currency.lower(),
            "automatic_payment_methods": {"enabled": True},
            "metadata": {**_metadata(request), CONFIRMED: "true" if request.instrument else "false"},
        }
        if request.instrument:
            params["payment_method"] = request.instrument
            params["confirm"] = True
            params["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}

        async def ask() -> ProviderAnswer:
            params["amount"] = amounts.to_stripe(request.amount_minor, request.currency)
            return _of_intent(
                await self._stripe.payment_intents.create_async(
                    params, options={"idempotency_key": str(request.payment_id)}
                )
            )

        return await _attempt(ask)

    def can_pay_out(self, method: str, instrument: str | None) -> bool:
        """As `Provider.can_pay_out`: to connected accounts alone."""
        return instrument is not None and instrument.startswith("acct_")

    async def pay_out(self, request: ProviderRequest) -> ProviderAnswer:
        """As `Provider.pay_out`, to a connected account (`acct_…`). To a card money goes back by `refund`."""
        destination = request.instrument
        if destination is None or not destination.startswith("acct_"):
            return ProviderAnswer(Outcome.FAILED, None, "instrument_cannot_be_paid_out", None)

        async def ask() -> ProviderAnswer:
            transfer = await self._stripe.transfers.create_async(
                {
                    "amount": amounts.to_stripe(request.amount_minor, request.currency),
                    "currency": request.currency.lower(),
                    "destination": destination,
                    "transfer_group": str(request.payment_id),
                    "metadata": _metadata(request),
                },
                options={"idempotency_key": str(request.payment_id)},
            )
            return ProviderAnswer(Outcome.COMPLETED, transfer.id, None, None)

        return await _attempt(ask)

    async def refund(self, request: ProviderRequest, of_reference: str) -> ProviderAnswer:
        """As `Provider.refund`, of a PaymentIntent."""

        async def ask() -> ProviderAnswer:
            amount = amounts.to_stripe(request.amount_minor, request.currency)
            refund = await self._stripe.refunds.create_async(
                {"payment_intent": of_reference, "amount": amount, "metadata": _metadata(request)},
                options={"idempotency_key": str(request.payment_id)},
            )
            return _of_refund(refund)

        return await _attempt(ask)

    async def look_up(
        self, direction: Direction, payment_id: UUID, reference: str | None, of_reference: str | None = None
    ) -> ProviderAnswer | None:
        """As `Provider.look_up`. Without a reference, Stripe's search finds an intent a minute after it was made."""
        try:
            if direction is Direction.DEPOSIT:
                return await self._intent(payment_id, reference)
            if direction is Direction.WITHDRAWAL:
                return await self._transfer(payment_id)
            return await self._refund(payment_id, reference, of_reference)
        except stripe.InvalidRequestError as error:
            if error.http_status == 404:
                return None
            raise ServiceUnavailable(f"Stripe answers {error.http_status}") from None
        except stripe.StripeError as error:
            raise ServiceUnavailable(f"Stripe answers {error.http_status or 'nothing'}") from None

    async def cancel(self, payment_id: UUID, reference: str) -> ProviderAnswer | None:
        """As `Cancels.cancel`: an intent never expires, and its player could pay it whenever."""
        try:
            return _of_intent(
                await self._stripe.payment_intents.cancel_async(reference, {"cancellation_reason": "abandoned"})
            )
        except stripe.InvalidRequestError:
            # It was paid or cancelled since we looked.
            return await self.look_up(Direction.DEPOSIT, payment_id, reference)
        except stripe.StripeError as error:
            raise ServiceUnavailable(f"Stripe answers {error.http_status or 'nothing'}") from None

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Sequence[ProviderEvent]:
        """As `Provider.read_webhook`."""
        stripe_webhooks.verify(headers, body, self._secrets, now)
        return stripe_webhooks.events(body, amounts.from_stripe)

    async def settlement_report(self, currency: str, day: date) -> bytes | None:
        """As `ReportSource.settlement_report`."""
        return await stripe_reports.report(self._client, self._http, self._key, currency, day, self._clock())

    async def _intent(self, payment_id: UUID, reference: str | None) -> ProviderAnswer | None:
        if reference is not None:
            expanded: PaymentIntentRetrieveParams = {"expand": ["latest_charge"]}
            intent = await self._stripe.payment_intents.retrieve_async(reference, expanded)
            answer = _of_intent(intent)
            return await self._disputed(answer) if _is_disputed(intent) else answer
        found = await self._stripe.payment_intents.search_async(
            {"query": f"metadata['{PAYMENT_ID}']:'{payment_id}'", "limit": 1}
        )
        return _of_intent(found.data[0]) if found.data else None

    async def _refund(self, payment_id: UUID, reference: str | None, of_reference: str | None) -> ProviderAnswer | None:
        if reference is not None:
            return _of_refund(await self._stripe.refunds.retrieve_async(reference))
        if of_reference is None:
            return UNNAMED
        listed = await self._stripe.refunds.list_async({"payment_intent": of_reference, "limit": 100})
        for found in listed.data:
            if (found.to_dict().get("metadata") or {}).get(PAYMENT_ID) == str(payment_id):
                return _of_refund(found)
        return None

    async def _disputed(self, answer: ProviderAnswer) -> ProviderAnswer:
        """A deposit as its disputes leave it, by what they moved. An inquiry moves nothing."""
        found = await self._stripe.disputes.list_async({"payment_intent": answer.reference or "", "limit": 10})
        for dispute in found.data:
            moved = [row.amount for row in dispute.balance_transactions]
            if moved:
                outcome = Outcome.CHARGED_BACK if sum(moved) < 0 else Outcome.REINSTATED
                amount = amounts.from_stripe(dispute.amount, dispute.currency)
                return answer._replace(outcome=outcome, reason=dispute.reason, disputed_minor=amount)
        return answer

    async def _transfer(self, payment_id: UUID) -> ProviderAnswer | None:
        found = await self._stripe.transfers.list_async({"transfer_group": str(payment_id), "limit": 1})
        if not found.data:
            return None
        transfer = found.data[0]
        if transfer.to_dict().get("reversed"):
            return ProviderAnswer(Outcome.FAILED, transfer.id, "reversed", None)
        return ProviderAnswer(Outcome.COMPLETED, transfer.id, None, None)


async def _attempt(ask: Callable[[], Awaitable[ProviderAnswer]]) -> ProviderAnswer:
    """What one request came to. Raises ServiceUnavailable where it is certain that nothing was done."""
    try:
        return await ask()
    except InvalidInput:
        return ProviderAnswer(Outcome.FAILED, None, "amount_not_movable", None)
    except stripe.CardError as error:
        told = error.error.to_dict() if error.error else {}
        intent = (told.get("payment_intent") or {}).get("id")
        return ProviderAnswer(Outcome.FAILED, intent, told.get("decline_code") or error.code or "declined", None)
    except _NOT_TAKEN as error:
        raise ServiceUnavailable(f"Stripe does not take requests: {type(error).__name__}") from None
    except stripe.APIConnectionError as error:
        if isinstance(error.__cause__, _NEVER_SENT):
            raise ServiceUnavailable("Stripe cannot be reached") from None
        return ProviderAnswer(Outcome.UNKNOWN, None, "no_answer", None)
    except stripe.InvalidRequestError as error:
        return ProviderAnswer(Outcome.FAILED, None, error.code or "refused_by_provider", None)
    except stripe.StripeError as error:
        return ProviderAnswer(Outcome.UNKNOWN, None, f"status_{error.http_status}", None)


def _metadata(request: ProviderRequest) -> dict[str, str]:
    return {PAYMENT_ID: str(request.payment_id), "user_id": str(request.user_id)}


def _of_intent(intent: PaymentIntent) -> ProviderAnswer:
    # As a dictionary: the SDK's object raises for a member that Stripe left out.
    found = intent.to_dict()
    outcome = _INTENT_OUTCOMES.get(intent.status, Outcome.UNKNOWN)
    tried = found.get("last_payment_error") or {}
    if tried and outcome is Outcome.PENDING and (found.get("metadata") or {}).get(CONFIRMED) == "true":
        outcome = Outcome.FAILED
    reason = tried.get("decline_code") or tried.get("code") or found.get("cancellation_reason")
    action: dict[str, JsonValue] | None = None
    if outcome is Outcome.PENDING and found.get("client_secret"):
        action = {"type": "stripe_payment_intent", "client_secret": found["client_secret"]}
    return ProviderAnswer(outcome, intent.id, reason, action)


def _is_disputed(intent: PaymentIntent) -> bool:
    charge = intent.to_dict().get("latest_charge")
    return isinstance(charge, dict) and bool(charge.get("disputed"))


def _of_refund(refund: Refund) -> ProviderAnswer:
    outcome = REFUND_OUTCOMES.get(refund.status or "", Outcome.UNKNOWN)
    return ProviderAnswer(outcome, refund.id, refund.to_dict().get("failure_reason"), None)
