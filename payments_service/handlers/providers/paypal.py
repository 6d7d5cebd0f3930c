"""PayPal: orders take deposits, payouts pay, captures are refunded; a thin client, for no SDK knows payouts.

Its settlement reports come by SFTP alone, and are brought by hand: it is no `ReportSource`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import orjson
from cryptography.x509 import Certificate

from payments_service.domain import amounts
from payments_service.domain.ports import UNNAMED, Direction, Outcome, ProviderAnswer, ProviderEvent, ProviderRequest
from payments_service.handlers.providers import paypal_events, reading
from payments_service.handlers.providers.paypal_signatures import FIELDS, NotTrusted, Trust, Verifier, at_paypal
from shared.clock import Clock
from shared.errors import InvalidInput, ServiceUnavailable, Unauthenticated

LIVE, SANDBOX = "https://api-m.paypal.com", "https://api-m.sandbox.paypal.com"

_ORDERS = {
    "CREATED": Outcome.PENDING,
    "SAVED": Outcome.PENDING,
    "PAYER_ACTION_REQUIRED": Outcome.PENDING,
    "APPROVED": Outcome.PROCESSING,
    "VOIDED": Outcome.CANCELLED,
}
_CAPTURES = {
    "COMPLETED": Outcome.COMPLETED,
    "PENDING": Outcome.PROCESSING,
    "DECLINED": Outcome.FAILED,
    "FAILED": Outcome.FAILED,
    "REFUNDED": Outcome.REFUNDED,
    # What went back of it are refunds by themselves.
    "PARTIALLY_REFUNDED": Outcome.COMPLETED,
}
_REFUNDS = {
    "COMPLETED": Outcome.COMPLETED,
    "PENDING": Outcome.PROCESSING,
    "FAILED": Outcome.FAILED,
    "CANCELLED": Outcome.CANCELLED,
}
_PAYOUTS = {
    **dict.fromkeys(("PENDING", "ONHOLD", "UNCLAIMED"), Outcome.PROCESSING),
    **dict.fromkeys(("FAILED", "RETURNED", "BLOCKED", "REFUNDED", "DENIED", "REVERSED"), Outcome.FAILED),
    "CANCELED": Outcome.CANCELLED,
    "SUCCESS": Outcome.COMPLETED,
}
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_APPROVE = ("payer-action", "approve")
_BATCH = re.compile(r"/v1/payments/payouts/([A-Za-z0-9]+)$")
_USED_BEFORE = re.compile("duplicate|already exists", re.IGNORECASE)

# A token, and until when it is used.
_NO_TOKEN = ("", datetime.min.replace(tzinfo=UTC))

_Reader = Callable[[Mapping[str, Any]], ProviderAnswer]


def trust(roots: Sequence[Certificate], api_base: str) -> Trust:
    """Whom PayPal's webhooks are believed by: its certificate's name is its environment's."""
    environment = "sandbox." if ".sandbox." in api_base else ""
    return Trust(roots, f"messageverificationcerts.{environment}paypal.com", at_paypal)


class PayPalProvider:
    """PayPal. A webhook is verified here; where its certificate cannot be had or followed, by PayPal's API."""

    name = "paypal"
    methods = frozenset({"paypal"})
    # A deposit's account is known to PayPal alone; what did not come from there goes to a payer's id.
    refund_only = methods

    def __init__(
        self,
        client: httpx2.AsyncClient,
        *,
        api_base: str,
        client_id: str,
        client_secret: str,
        webhook_ids: Sequence[str],
        trust: Trust,
        return_url: str,
        clock: Clock,
    ) -> None:
        self._client = client
        self._base = api_base.rstrip("/")
        self._credentials = (client_id, client_secret)
        self._webhook_ids = tuple(webhook_ids)
        self._verifier = Verifier(client, trust, webhook_ids)
        self._return_url = return_url
        self._clock = clock
        self._token = _NO_TOKEN

    async def deposit(self, request: ProviderRequest) -> ProviderAnswer:
        """As `Provider.deposit`. Without an instrument (a vault's token) the player approves it at PayPal."""
        source: dict[str, Any] = {
            "experience_context": {"return_url": self._return_url, "cancel_url": self._return_url}
        }
        if request.instrument:
            source = {"vault_id": request.instrument}
        try:
            amount = _amount(request, "currency_code")
        except InvalidInput:
            return _not_movable()
        unit = {"custom_id": str(request.payment_id), "invoice_id": str(request.payment_id), "amount": amount}
        body = {"intent": "CAPTURE", "purchase_units": [unit], "payment_source": {"paypal": source}}
        return await self._attempt("/v2/checkout/orders", body, request.payment_id, _of_order)

    def can_pay_out(self, method: str, instrument: str | None) -> bool:
        """As `Provider.can_pay_out`."""
        return bool(instrument)

    async def pay_out(self, request: ProviderRequest) -> ProviderAnswer:
        """As `Provider.pay_out`, to a PayPal account by its payer id."""
        if not request.instrument:
            return ProviderAnswer(Outcome.FAILED, None, "instrument_cannot_be_paid_out", None)
        try:
            amount = _amount(request, "currency")
        except InvalidInput:
            return _not_movable()
        item = {
            "recipient_type": "PAYPAL_ID",
            "receiver": request.instrument,
            "amount": amount,
            "sender_item_id": str(request.payment_id),
        }
        body = {"sender_batch_header": {"sender_batch_id": str(request.payment_id)}, "items": [item]}
        return await self._attempt("/v1/payments/payouts", body, request.payment_id, _of_new_payout)

    async def refund(self, request: ProviderRequest, of_reference: str) -> ProviderAnswer:
        """As `Provider.refund`, of an order's capture."""
        try:
            amount = _amount(request, "currency_code")
        except InvalidInput:
            return _not_movable()
        order = await self._get(f"/v2/checkout/orders/{of_reference}")
        capture = _capture_of(order) if order is not None else None
        if capture is None:
            return ProviderAnswer(Outcome.FAILED, None, "nothing_was_captured", None)
        body = {"amount": amount, "custom_id": str(request.payment_id)}
        path = f"/v2/payments/captures/{capture['id']}/refund"
        return await self._attempt(path, body, request.payment_id, _of_refund)

    async def look_up(
        self, direction: Direction, payment_id: UUID, reference: str | None, of_reference: str | None = None
    ) -> ProviderAnswer | None:
        """As `Provider.look_up`. An order that the player approved is captured by it.

        PayPal finds nothing by our ids but a refund among its order's.
        """
        if reference is None and direction is Direction.REFUND and of_reference is not None:
            return await self._refund_among(of_reference, payment_id)
        if reference is None:
            return UNNAMED
        if direction is Direction.WITHDRAWAL:
            payout = await self._get(f"/v1/payments/payouts/{reference}")
            return None if payout is None else _of_payout(payout)
        if direction is Direction.REFUND:
            refund = await self._get(f"/v2/payments/refunds/{reference}")
            return None if refund is None else _of_refund(refund)
        order = await self._get(f"/v2/checkout/orders/{reference}")
        if order is None:
            return None
        if order.get("status") == "APPROVED":
            return await self._attempt(
                f"/v2/checkout/orders/{reference}/capture", {}, payment_id, _of_order, key=f"{payment_id}-capture"
            )
        answer = _of_order(order)
        return await self._disputed(answer, order) if answer.outcome is Outcome.COMPLETED else answer

    async def _refund_among(self, order_id: str, payment_id: UUID) -> ProviderAnswer | None:
        order = await self._get(f"/v2/checkout/orders/{order_id}") or {}
        for unit in order.get("purchase_units", ()):
            for refund in unit.get("payments", {}).get("refunds", ()):
                if refund.get("custom_id") == str(payment_id):
                    return _of_refund(refund)
        return None

    async def _disputed(self, answer: ProviderAnswer, order: Mapping[str, Any]) -> ProviderAnswer:
        """A deposit as its last dispute that was resolved leaves it."""
        capture = _capture_of(order)
        assert capture is not None
        listed = await self._get(f"/v1/customer/disputes?disputed_transaction_id={capture['id']}") or {}
        for item in listed.get("items", ()):
            if item.get("status") != "RESOLVED":
                continue
            dispute = await self._get(f"/v1/customer/disputes/{item['dispute_id']}") or {}
            outcome = paypal_events.dispute_outcome(dispute.get("dispute_outcome", {}).get("outcome_code"))
            if outcome is not None:
                amount = dispute["dispute_amount"]
                disputed_minor = amounts.from_paypal(amount["value"], amount["currency_code"])
                return answer._replace(outcome=outcome, reason=dispute.get("reason"), disputed_minor=disputed_minor)
        return answer

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Sequence[ProviderEvent]:
        """As `Provider.read_webhook`."""
        try:
            await self._verifier.verify(headers, body, now)
        except (NotTrusted, ServiceUnavailable):
            await self._ask_paypal(headers, body)
        return [await self._about(event) for event in paypal_events.events(body, amounts.from_paypal)]

    async def _about(self, event: ProviderEvent) -> ProviderEvent:
        """An event with the deposit that it is about: what was begun at PayPal may name the capture alone."""
        if event.payment_id is not None or event.of_reference is None:
            return event
        capture = await self._get(f"/v2/payments/captures/{event.of_reference}")
        return event if capture is None else _of_capture(event, capture)

    async def _ask_paypal(self, headers: Mapping[str, str], body: bytes) -> None:
        try:
            event = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise Unauthenticated("the body is no JSON, and PayPal signs nothing else") from None
        told = {field: reading.header(headers, name) for name, field in FIELDS.items()}
        for webhook_id in self._webhook_ids:
            asked = {**told, "webhook_id": webhook_id, "webhook_event": event}
            response = await self._send("POST", "/v1/notifications/verify-webhook-signature", asked, {})
            if response.status_code == httpx2.codes.OK and response.json().get("verification_status") == "SUCCESS":
                return
            if response.is_server_error:
                raise ServiceUnavailable(f"PayPal answers {response.status_code}")
        raise Unauthenticated("PayPal says that it did not sign this")

    async def _attempt(
        self, path: str, body: Mapping[str, Any], payment_id: UUID, read: _Reader, key: str | None = None
    ) -> ProviderAnswer:
        """What one request came to. Raises ServiceUnavailable where it is certain that nothing was done."""
        headers = {"PayPal-Request-Id": key or str(payment_id), "Prefer": "return=representation"}
        try:
            response = await self._send_with_token("POST", path, body, headers)
        except _NEVER_SENT:
            raise ServiceUnavailable("PayPal cannot be reached") from None
        except httpx2.TransportError:
            return ProviderAnswer(Outcome.UNKNOWN, None, "no_answer", None)
        if response.status_code in (401, 403, 429):
            raise ServiceUnavailable(f"PayPal does not take requests: {response.status_code}")
        if response.is_success:
            try:
                return read(response.json())
            except (ValueError, KeyError, TypeError, AttributeError):
                return ProviderAnswer(Outcome.UNKNOWN, None, "unreadable_answer", None)
        if (batch_id := _sent_before(response)) is not None:
            return ProviderAnswer(Outcome.PROCESSING, batch_id, None, None)
        issue = _issue(response)
        # A key or a batch id that was used before: the first request may have been done.
        if response.is_server_error or response.status_code == 409 or _USED_BEFORE.search(issue):
            return ProviderAnswer(Outcome.UNKNOWN, None, issue, None)
        return ProviderAnswer(Outcome.FAILED, None, issue, None)

    async def _get(self, path: str) -> dict[str, Any] | None:
        response = await self._send("GET", path, None, {})
        if response.status_code == httpx2.codes.NOT_FOUND:
            return None
        if not response.is_success:
            raise ServiceUnavailable(f"PayPal answers {response.status_code}")
        found: dict[str, Any] = response.json()
        return found

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> httpx2.Response:
        """One request that moves nothing. Raises ServiceUnavailable."""
        try:
            return await self._send_with_token(method, path, body, headers)
        except httpx2.TransportError:
            raise ServiceUnavailable("PayPal does not answer") from None

    async def _send_with_token(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> httpx2.Response:
        """One request; once more with a new token where PayPal does not take the one that we have."""
        token = await self._access_token()
        response = await self._send_with(token, method, path, body, headers)
        if response.status_code != httpx2.codes.UNAUTHORIZED:
            return response
        if self._token[0] == token:
            self._token = _NO_TOKEN
        return await self._send_with(await self._access_token(), method, path, body, headers)

    async def _send_with(
        self, token: str, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {token}", **headers}
        return await self._client.request(method, self._base + path, json=body, headers=headers)

    async def _access_token(self) -> str:
        token, until = self._token
        now = self._clock()
        if now < until:
            return token
        try:
            response = await self._client.post(
                f"{self._base}/v1/oauth2/token", data={"grant_type": "client_credentials"}, auth=self._credentials
            )
        except httpx2.TransportError:
            raise ServiceUnavailable("PayPal does not answer") from None
        if not response.is_success:
            raise ServiceUnavailable(f"PayPal gives no token: {response.status_code}")
        found = response.json()
        # A minute early, for what is under way with it.
        self._token = found["access_token"], now + timedelta(seconds=int(found["expires_in"]) - 60)
        return self._token[0]


def _amount(request: ProviderRequest, currency: str) -> dict[str, str]:
    return {currency: request.currency, "value": amounts.to_paypal(request.amount_minor, request.currency)}


def _not_movable() -> ProviderAnswer:
    return ProviderAnswer(Outcome.FAILED, None, "amount_not_movable", None)


def _capture_of(order: Mapping[str, Any]) -> dict[str, Any] | None:
    for unit in order.get("purchase_units", ()):
        for capture in unit.get("payments", {}).get("captures", ()):
            found: dict[str, Any] = capture
            return found
    return None


def _of_capture(event: ProviderEvent, capture: Mapping[str, Any]) -> ProviderEvent:
    """An event with what its capture's deposit is known by: our id, and PayPal's of the order."""
    payment_id = reading.our_id(capture.get("custom_id")) or reading.our_id(capture.get("invoice_id"))
    order_id = capture.get("supplementary_data", {}).get("related_ids", {}).get("order_id")
    if event.direction is Direction.REFUND:
        return event._replace(payment_id=payment_id, of_reference=order_id)
    return event._replace(payment_id=payment_id, reference=order_id or event.reference)


def _of_order(order: Mapping[str, Any]) -> ProviderAnswer:
    capture = _capture_of(order)
    if capture is not None:
        outcome = _CAPTURES.get(capture.get("status", ""), Outcome.UNKNOWN)
        return ProviderAnswer(outcome, order["id"], capture.get("status_details", {}).get("reason"), None)
    outcome = _ORDERS.get(order.get("status", ""), Outcome.UNKNOWN)
    links = [link["href"] for link in order.get("links", ()) if link.get("rel") in _APPROVE]
    action = {"type": "redirect", "url": links[0]} if links and outcome is Outcome.PENDING else None
    return ProviderAnswer(outcome, order["id"], None, action)


def _of_new_payout(payout: Mapping[str, Any]) -> ProviderAnswer:
    return ProviderAnswer(Outcome.PROCESSING, payout["batch_header"]["payout_batch_id"], None, None)


def _of_payout(payout: Mapping[str, Any]) -> ProviderAnswer:
    header = payout["batch_header"]
    if header.get("batch_status") == "DENIED":
        return ProviderAnswer(Outcome.FAILED, header["payout_batch_id"], "batch_denied", None)
    item: dict[str, Any] = next(iter(payout.get("items", ())), {})
    outcome = _PAYOUTS.get(item.get("transaction_status", "PENDING"), Outcome.UNKNOWN)
    return ProviderAnswer(outcome, header["payout_batch_id"], item.get("errors", {}).get("name"), None)


def _of_refund(refund: Mapping[str, Any]) -> ProviderAnswer:
    outcome = _REFUNDS.get(refund.get("status", ""), Outcome.UNKNOWN)
    return ProviderAnswer(outcome, refund["id"], refund.get("status_details", {}).get("reason"), None)


def _sent_before(response: httpx2.Response) -> str | None:
    """The batch that a payout is in already, where PayPal refuses to pay it twice and says which that is.

    https://developer.paypal.com/docs/api/payments.payouts-batch/: within 30 days a sender_batch_id is taken once, and
    the error links to the batch that it was taken for.
    """
    for detail in _trouble(response).get("details", ()):
        if detail.get("field") == "SENDER_BATCH_ID":
            for link in detail.get("link", ()):
                if (found := _BATCH.search(link.get("href", ""))) is not None:
                    return found[1]
    return None


def _trouble(response: httpx2.Response) -> Mapping[str, Any]:
    """What PayPal says of an error; nothing, where that is not in its form."""
    try:
        told = response.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _issue(response: httpx2.Response) -> str:
    """What PayPal calls the trouble. Its details show what was sent, and are not told."""
    told = _trouble(response)
    issues = [detail.get("issue") for detail in told.get("details", ()) if detail.get("issue")]
    return str(issues[0] if issues else told.get("name", f"status_{response.status_code}"))
