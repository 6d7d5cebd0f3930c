"""PayPal as its tests have it: its API over our client, its webhooks under a certificate authority of their own."""

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from textwrap import wrap
from typing import Any

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ops.development_certificates import Certificates, make
from payments_service.domain.ports import ProviderRequest
from payments_service.handlers.providers import paypal
from payments_service.handlers.providers.paypal import PayPalProvider
from payments_service.handlers.providers.paypal_signatures import (
    Trust,
    signed_text,
)
from tests.payments_service.samples import NOW, PAYMENT

ORDERS, PAYOUTS = "/v2/checkout/orders", "/v1/payments/payouts"
DISPUTES = "/v1/customer/disputes"
CAPTURED = {
    "id": "ORDER1",
    "status": "COMPLETED",
    "purchase_units": [{"payments": {"captures": [{"id": "CAP1", "status": "COMPLETED"}]}}],
}


SUBJECT = "messageverificationcerts.paypal.com"
CERTIFICATE_URL = "https://api.paypal.com/v1/notifications/certs/CERT-1"
REQUEST = ProviderRequest(PAYMENT, 42, 2500, "USD", "paypal", None)
OURS, THEIRS = make(SUBJECT, NOW), make(SUBJECT, NOW)
OLD, OTHER = make(SUBJECT, NOW, timedelta(seconds=-1)), make("www.example.com", NOW)

Answers = dict[str, tuple[int, Any]]


class FakePayPal:
    """Answers by path what it is told to, and keeps what it was asked."""

    def __init__(self, answers: Answers | None = None, certificate: str = OURS.certificate) -> None:
        self.answers: Answers = {
            "/v1/oauth2/token": (200, {"access_token": "t", "expires_in": 3600}),
            DISPUTES: (200, {"items": []}),
            **(answers or {}),
        }
        self.certificate = certificate
        self.asked: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        if request.url.path.startswith("/v1/notifications/certs/"):
            return httpx2.Response(200 if self.certificate else 404, text=self.certificate)
        status, answer = self.answers[request.url.path]
        if isinstance(answer, type):
            raise answer("trouble", request=request)
        return httpx2.Response(status, json=answer)

    def paths(self) -> list[str]:
        return [request.url.path for request in self.asked]

    def body(self, path: str) -> Any:
        (found,) = [request for request in self.asked if request.url.path == path]
        return json.loads(found.content)


def trusted(authority: str) -> Trust:
    return paypal.trust(x509.load_pem_x509_certificates(authority.encode()), paypal.LIVE)


def provider(
    fake: Callable[[httpx2.Request], httpx2.Response], *webhook_ids: str, authority: str = OURS.authority
) -> PayPalProvider:
    return PayPalProvider(
        httpx2.AsyncClient(transport=httpx2.MockTransport(fake)),
        api_base=paypal.LIVE,
        client_id="id",
        client_secret="secret",
        webhook_ids=webhook_ids or ("WEBHOOK1",),
        trust=trusted(authority),
        return_url="https://product/return",
        clock=lambda: NOW,
    )


def signed(
    body: bytes,
    *,
    by: Certificates = OURS,
    at: datetime = NOW,
    webhook_id: str = "WEBHOOK1",
    url: str = CERTIFICATE_URL,
) -> dict[str, str]:
    key = load_pem_private_key(by.key.encode(), None)
    assert isinstance(key, RSAPrivateKey)
    time = at.isoformat().replace("+00:00", "Z")
    signature = key.sign(signed_text("T-1", time, webhook_id, body), PKCS1v15(), SHA256())
    return {
        "paypal-transmission-id": "T-1",
        "paypal-transmission-time": time,
        "paypal-transmission-sig": b64encode(signature).decode(),
        "paypal-cert-url": url,
        "paypal-auth-algo": "SHA256withRSA",
    }


def as_pem(certificate: bytes) -> str:
    lines = "\n".join(wrap(b64encode(certificate).decode(), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"
