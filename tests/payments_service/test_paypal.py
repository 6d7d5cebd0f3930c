"""PayPal: its webhooks under a certificate authority of the test's, its API over our client, each answer an outcome."""

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from textwrap import wrap
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from ops.development_certificates import Certificates, make
from payments_service.domain.ports import UNNAMED, Direction, Outcome, ProviderAnswer, ProviderRequest
from payments_service.handlers.providers import paypal
from payments_service.handlers.providers.paypal import PayPalProvider
from payments_service.handlers.providers.paypal_signatures import (
    MAX_CERTIFICATE_BYTES,
    NotTrusted,
    Trust,
    at_paypal,
    checked,
    signed_text,
)
from payments_service.handlers.providers.reading import MAX_WEBHOOK_BYTES
from shared.errors import InvalidInput, OversizedWebhook, ServiceUnavailable, Unauthenticated
from tests.payments_service.samples import NOW, PAYMENT, paypal_event
from tests.payments_service.test_stripe import flipped

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


class TestWebhooks:
    async def test_one_that_is_signed_under_the_authority_is_read(self) -> None:
        body = paypal_event()
        (event,) = await provider(FakePayPal()).read_webhook(signed(body), body, NOW)
        assert (event.event_id, event.payment_id, event.reference) == ("WH-1", PAYMENT, "ORDER1")
        assert (event.direction, event.outcome) == (Direction.DEPOSIT, Outcome.COMPLETED)
        assert (event.amount_minor, event.currency, event.fee_minor) == (2500, "USD", 118)

    async def test_one_flipped_bit_of_the_body_fails(self) -> None:
        body = paypal_event()
        headers, there = signed(body), provider(FakePayPal())
        for bit in range(len(body) * 8):
            with pytest.raises(Unauthenticated):
                await there.read_webhook(headers, flipped(body, bit), NOW)

    @pytest.mark.parametrize("name", sorted(signed(b"")))
    async def test_one_flipped_bit_of_any_header_fails(self, name: str) -> None:
        body = paypal_event()
        headers = signed(body)
        # What its certificate's place answers, and what its API says, must not help.
        there = provider(
            FakePayPal({"/v1/notifications/verify-webhook-signature": (200, {"verification_status": "NO"})})
        )
        value = headers[name].encode()
        for bit in range(len(value) * 8):
            changed = flipped(value, bit).decode("latin-1")
            if name == "paypal-cert-url" and same_place(changed):
                continue
            with pytest.raises(Unauthenticated):
                await there.read_webhook({**headers, name: changed}, body, NOW)

    # A number that is negative is warned of, and refused all the same.
    @pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
    async def test_one_flipped_bit_of_its_certificate_fails(self) -> None:
        body = paypal_event()
        headers = signed(body)
        certificate = x509.load_pem_x509_certificate(OURS.certificate.encode()).public_bytes(Encoding.DER)
        fake = FakePayPal({"/v1/notifications/verify-webhook-signature": (200, {"verification_status": "FAILURE"})})
        # One bit of each byte: each is another certificate to be fetched and held to its chain.
        for byte in range(len(certificate)):
            fake.certificate = as_pem(flipped(certificate, byte * 8 + byte % 8))
            with pytest.raises(Unauthenticated):
                await provider(fake).read_webhook(headers, body, NOW)
        fake.certificate = as_pem(certificate)
        assert await provider(fake).read_webhook(headers, body, NOW)

    async def test_a_certificate_whose_signature_leaves_bits_out_fails(self) -> None:
        certificate = x509.load_pem_x509_certificate(OURS.certificate.encode())
        whole = certificate.public_bytes(Encoding.DER)
        start = len(whole) - len(certificate.signature)
        # An even last byte, so that its last bit may be called unused and the encoding stays a good one.
        padded = whole[: start - 1] + b"\1" + whole[start:-1] + bytes([whole[-1] & 0xFE])
        with pytest.raises(NotTrusted, match="whole bytes"):
            checked(x509.load_pem_x509_certificates(as_pem(padded).encode()), trusted(OURS.authority), NOW)

    @pytest.mark.parametrize("name", sorted(signed(b"")))
    async def test_one_without_a_header_fails(self, name: str) -> None:
        body = paypal_event()
        headers = {key: value for key, value in signed(body).items() if key != name}
        with pytest.raises(Unauthenticated):
            await provider(FakePayPal()).read_webhook(headers, body, NOW)

    @pytest.mark.parametrize("by", [THEIRS, OLD, OTHER], ids=["another authority", "expired", "another name"])
    async def test_a_certificate_that_is_not_paypals_is_not_believed(self, by: Certificates) -> None:
        body = paypal_event()
        authority = OURS.authority if by is THEIRS else by.authority
        fake = FakePayPal({"/v1/notifications/verify-webhook-signature": (200, {"verification_status": "FAILURE"})})
        fake.certificate = by.certificate
        with pytest.raises(Unauthenticated):
            await provider(fake, authority=authority).read_webhook(signed(body, by=by), body, NOW)
        assert "/v1/notifications/verify-webhook-signature" in fake.paths()

    @pytest.mark.parametrize(
        "url",
        [
            "https://evil.example/cert",
            "http://api.paypal.com/cert",
            "https://paypal.com.evil.example/cert",
            "https://evilpaypal.com/cert",
            "https://paypal.com@evil.example/cert",
            "https://evil.example/#.paypal.com",
            "https://api.paypal.com:8443/cert",
            "file:///etc/passwd",
            "//api.paypal.com",
            "nonsense",
        ],
    )
    async def test_a_certificate_from_elsewhere_is_not_even_fetched(self, url: str) -> None:
        body, fake = paypal_event(), FakePayPal()
        with pytest.raises(Unauthenticated):
            await provider(fake).read_webhook(signed(body, url=url), body, NOW)
        assert fake.asked == []

    async def test_the_api_is_asked_where_the_certificate_cannot_be_had(self) -> None:
        body = paypal_event()
        fake = FakePayPal({"/v1/notifications/verify-webhook-signature": (200, {"verification_status": "SUCCESS"})})
        fake.certificate = ""
        (event,) = await provider(fake).read_webhook(signed(body), body, NOW)
        assert event.payment_id == PAYMENT
        asked = fake.body("/v1/notifications/verify-webhook-signature")
        assert (asked["webhook_id"], asked["transmission_id"]) == ("WEBHOOK1", "T-1")
        assert asked["webhook_event"] == json.loads(body)

    async def test_without_certificate_and_without_api_nothing_is_believed(self) -> None:
        body = paypal_event()
        fake = FakePayPal({"/v1/notifications/verify-webhook-signature": (503, {})}, certificate="")
        with pytest.raises(ServiceUnavailable):
            await provider(fake).read_webhook(signed(body), body, NOW)

    async def test_a_certificate_without_end_is_not_read(self) -> None:
        body = paypal_event()
        fake = FakePayPal({"/v1/notifications/verify-webhook-signature": (200, {"verification_status": "FAILURE"})})
        fake.certificate = OURS.certificate + "#" * MAX_CERTIFICATE_BYTES
        with pytest.raises(Unauthenticated):
            await provider(fake).read_webhook(signed(body), body, NOW)

    async def test_a_certificate_is_fetched_once(self) -> None:
        body, fake = paypal_event(), FakePayPal()
        there = provider(fake)
        for _ in range(3):
            await there.read_webhook(signed(body), body, NOW)
        assert len(fake.asked) == 1

    async def test_any_of_several_webhook_ids_verifies_while_one_follows_another(self) -> None:
        body = paypal_event()
        for webhook_id in ("WEBHOOK1", "WEBHOOK2"):
            headers = signed(body, webhook_id=webhook_id)
            assert await provider(FakePayPal(), "WEBHOOK2", "WEBHOOK1").read_webhook(headers, body, NOW)
        with pytest.raises(Unauthenticated):
            await provider(FakePayPal(), "WEBHOOK2").read_webhook(signed(body), body, NOW)

    @pytest.mark.parametrize("away_s", [-301, 301])
    async def test_a_stale_one_and_one_from_the_future_fail(self, away_s: int) -> None:
        body = paypal_event()
        headers = signed(body, at=NOW + timedelta(seconds=away_s))
        with pytest.raises(Unauthenticated):
            await provider(FakePayPal()).read_webhook(headers, body, NOW)

    async def test_a_truncated_one_fails(self) -> None:
        body = paypal_event()
        with pytest.raises(Unauthenticated):
            await provider(FakePayPal()).read_webhook(signed(body), body[:-1], NOW)

    async def test_an_oversized_one_is_refused(self) -> None:
        with pytest.raises(OversizedWebhook):
            await provider(FakePayPal()).read_webhook({}, b" " * (MAX_WEBHOOK_BYTES + 1), NOW)

    @pytest.mark.parametrize("body", [b"{}", b"no json", paypal_event(amount=1), paypal_event(custom_id=None)])
    async def test_a_signed_one_that_says_nothing_usable_is_invalid(self, body: bytes) -> None:
        if b'"custom_id": null' in body:
            body = body.replace(b'"order_id": "ORDER1"', b'"order_id": null')
        with pytest.raises(InvalidInput):
            await provider(FakePayPal()).read_webhook(signed(body), body, NOW)

    @pytest.mark.parametrize(
        ("event_type", "outcome"),
        [
            ("PAYMENT.CAPTURE.PENDING", Outcome.PROCESSING),
            ("PAYMENT.CAPTURE.DENIED", Outcome.FAILED),
            ("PAYMENT.CAPTURE.REVERSED", Outcome.CHARGED_BACK),
        ],
    )
    async def test_each_kind_of_capture_is_an_outcome(self, event_type: str, outcome: Outcome) -> None:
        body = paypal_event(event_type)
        (event,) = await provider(FakePayPal()).read_webhook(signed(body), body, NOW)
        assert event.outcome is outcome

    async def test_a_payouts_item_is_a_withdrawal(self) -> None:
        item = {
            "sender_item_id": str(PAYMENT),
            "receiver": "PAYER1",
            "amount": {"currency": "USD", "value": "25.00"},
        }
        fee = {"currency": "USD", "value": "0.25"}
        members = {"payout_batch_id": "BATCH1", "payout_item": item, "payout_item_fee": fee}
        body = paypal_event("PAYMENT.PAYOUTS-ITEM.SUCCEEDED", **members)
        (event,) = await provider(FakePayPal()).read_webhook(signed(body), body, NOW)
        assert (event.direction, event.outcome) == (Direction.WITHDRAWAL, Outcome.COMPLETED)
        assert (event.payment_id, event.reference, event.instrument) == (PAYMENT, "BATCH1", "PAYER1")
        assert (event.amount_minor, event.fee_minor) == (2500, 25)

    async def test_a_refund_and_an_approval_are_told_of(self) -> None:
        for body, direction, outcome in (
            (paypal_event("PAYMENT.CAPTURE.REFUNDED", id="REF1"), Direction.REFUND, Outcome.COMPLETED),
            (
                paypal_event(
                    "CHECKOUT.ORDER.APPROVED",
                    id="ORDER1",
                    purchase_units=[{"custom_id": str(PAYMENT), "amount": {"currency_code": "USD", "value": "25.00"}}],
                ),
                Direction.DEPOSIT,
                Outcome.PROCESSING,
            ),
        ):
            (event,) = await provider(FakePayPal()).read_webhook(signed(body), body, NOW)
            assert (event.direction, event.outcome, event.payment_id) == (direction, outcome, PAYMENT)


def same_place(url: str) -> bool:
    """Whether a changed URL is still one of PayPal's: then its certificate decides, not the URL."""
    try:
        return at_paypal(httpx2.URL(url))
    except httpx2.InvalidURL:
        return False


ORDERS, PAYOUTS = "/v2/checkout/orders", "/v1/payments/payouts"
DISPUTES = "/v1/customer/disputes"
CAPTURED = {
    "id": "ORDER1",
    "status": "COMPLETED",
    "purchase_units": [{"payments": {"captures": [{"id": "CAP1", "status": "COMPLETED"}]}}],
}


class TestCalls:
    async def test_a_deposit_is_an_order_that_the_player_approves(self) -> None:
        links = [{"rel": "self", "href": "x"}, {"rel": "payer-action", "href": "https://paypal/approve"}]
        fake = FakePayPal({ORDERS: (200, {"id": "ORDER1", "status": "PAYER_ACTION_REQUIRED", "links": links})})
        answer = await provider(fake).deposit(REQUEST)
        assert (answer.outcome, answer.reference) == (Outcome.PENDING, "ORDER1")
        assert answer.action == {"type": "redirect", "url": "https://paypal/approve"}
        assert fake.asked[-1].headers["paypal-request-id"] == str(PAYMENT)
        (unit,) = fake.body(ORDERS)["purchase_units"]
        assert (unit["custom_id"], unit["amount"]) == (str(PAYMENT), {"currency_code": "USD", "value": "25.00"})

    async def test_a_vaulted_account_is_charged_at_once(self) -> None:
        fake = FakePayPal({ORDERS: (201, CAPTURED)})
        assert await provider(fake).deposit(REQUEST._replace(instrument="V1")) == ProviderAnswer(
            Outcome.COMPLETED,
            "ORDER1",
            None,
            None,
        )
        assert fake.body(ORDERS)["payment_source"] == {"paypal": {"vault_id": "V1"}}

    async def test_a_look_up_captures_what_the_player_approved(self) -> None:
        approved = {"id": "ORDER1", "status": "APPROVED"}
        fake = FakePayPal({f"{ORDERS}/ORDER1": (200, approved), f"{ORDERS}/ORDER1/capture": (201, CAPTURED)})
        answer = await provider(fake).look_up(Direction.DEPOSIT, PAYMENT, "ORDER1")
        assert answer is not None
        assert answer.outcome is Outcome.COMPLETED
        assert fake.asked[-1].headers["paypal-request-id"] == f"{PAYMENT}-capture"

    async def test_a_payout_has_our_id_as_its_batchs(self) -> None:
        fake = FakePayPal({PAYOUTS: (201, {"batch_header": {"payout_batch_id": "BATCH1", "batch_status": "PENDING"}})})
        answer = await provider(fake).pay_out(REQUEST._replace(instrument="PAYER1"))
        assert answer == ProviderAnswer(Outcome.PROCESSING, "BATCH1", None, None)
        assert fake.body(PAYOUTS)["sender_batch_header"] == {"sender_batch_id": str(PAYMENT)}

    async def test_a_payout_that_is_sent_again_is_the_one_that_was_taken_before(self) -> None:
        link = {"href": "https://api-m.paypal.com/v1/payments/payouts/BATCH1", "rel": "self", "method": "GET"}
        issue = "Batch with given sender_batch_id already exists"
        taken = {"field": "SENDER_BATCH_ID", "location": "body", "issue": issue, "link": [link]}
        for detail, answer in (
            (taken, ProviderAnswer(Outcome.PROCESSING, "BATCH1", None, None)),
            (taken | {"link": []}, ProviderAnswer(Outcome.UNKNOWN, None, issue, None)),
        ):
            told = {"name": "USER_BUSINESS_ERROR", "details": [detail], "links": []}
            fake = FakePayPal({PAYOUTS: (400, told)})
            assert await provider(fake).pay_out(REQUEST._replace(instrument="PAYER1")) == answer

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [
            ("SUCCESS", Outcome.COMPLETED),
            ("UNCLAIMED", Outcome.PROCESSING),
            ("RETURNED", Outcome.FAILED),
            ("NEWS", Outcome.UNKNOWN),
        ],
    )
    async def test_a_payout_is_looked_up(self, status: str, outcome: Outcome) -> None:
        found = {"batch_header": {"payout_batch_id": "BATCH1"}, "items": [{"transaction_status": status}]}
        answer = await provider(FakePayPal({f"{PAYOUTS}/BATCH1": (200, found)})).look_up(
            Direction.WITHDRAWAL, PAYMENT, "BATCH1"
        )
        assert answer is not None
        assert answer.outcome is outcome

    async def test_a_refund_goes_back_to_the_orders_capture(self) -> None:
        path = "/v2/payments/captures/CAP1/refund"
        fake = FakePayPal({f"{ORDERS}/ORDER1": (200, CAPTURED), path: (201, {"id": "REF1", "status": "COMPLETED"})})
        assert await provider(fake).refund(REQUEST, "ORDER1") == ProviderAnswer(Outcome.COMPLETED, "REF1", None, None)
        assert fake.body(path) == {
            "amount": {"currency_code": "USD", "value": "25.00"},
            "custom_id": str(PAYMENT),
        }

    async def test_a_refund_whose_answer_was_lost_is_found_among_its_orders(self) -> None:
        refunds = [
            {"id": "REF1", "status": "COMPLETED"},
            {"id": "REF2", "status": "PENDING", "custom_id": str(PAYMENT)},
        ]
        order = {"id": "ORDER1", "purchase_units": [{"payments": {"refunds": refunds}}]}
        found = await provider(FakePayPal({f"{ORDERS}/ORDER1": (200, order)})).look_up(
            Direction.REFUND, PAYMENT, None, "ORDER1"
        )
        assert found == ProviderAnswer(Outcome.PROCESSING, "REF2", None, None)
        there = provider(FakePayPal({f"{ORDERS}/ORDER1": (200, CAPTURED)}))
        assert await there.look_up(Direction.REFUND, PAYMENT, None, "ORDER1") is None

    async def test_money_goes_back_by_refunds_and_else_to_a_payers_id(self) -> None:
        there = provider(FakePayPal())
        assert there.refund_only == {"paypal"}
        assert [there.can_pay_out("paypal", each) for each in ("PAYER1", None)] == [True, False]

    @pytest.mark.parametrize(
        ("status", "body", "outcome"),
        [
            (422, {"name": "UNPROCESSABLE", "details": [{"issue": "INSTRUMENT_DECLINED"}]}, Outcome.FAILED),
            (422, {"details": [{"issue": "DUPLICATE_INVOICE_ID"}]}, Outcome.UNKNOWN),
            (500, {"name": "INTERNAL_SERVER_ERROR"}, Outcome.UNKNOWN),
            (409, {"name": "RESOURCE_CONFLICT"}, Outcome.UNKNOWN),
            (400, ["nothing that PayPal says"], Outcome.FAILED),
            (200, ["nothing that PayPal says"], Outcome.UNKNOWN),
            (0, httpx2.ReadTimeout, Outcome.UNKNOWN),
        ],
    )
    async def test_an_error_is_a_failure_only_where_it_is_certain(
        self, status: int, body: Any, outcome: Outcome
    ) -> None:
        assert (await provider(FakePayPal({ORDERS: (status, body)})).deposit(REQUEST)).outcome is outcome

    @pytest.mark.parametrize(("status", "body"), [(0, httpx2.ConnectError), (401, {}), (429, {})])
    async def test_what_was_not_taken_is_certain(self, status: int, body: Any) -> None:
        with pytest.raises(ServiceUnavailable):
            await provider(FakePayPal({ORDERS: (status, body)})).deposit(REQUEST)

    async def test_without_a_token_nothing_is_done(self) -> None:
        with pytest.raises(ServiceUnavailable):
            await provider(FakePayPal({"/v1/oauth2/token": (500, {})})).deposit(REQUEST)

    async def test_a_token_is_asked_for_once(self) -> None:
        fake = FakePayPal({ORDERS: (201, CAPTURED)})
        there = provider(fake)
        for _ in range(2):
            await there.deposit(REQUEST)
        assert fake.paths().count("/v1/oauth2/token") == 1

    async def test_a_currency_that_paypal_does_not_take_is_not_sent(self) -> None:
        fake = FakePayPal()
        answer = await provider(fake).deposit(REQUEST._replace(currency="KWD"))
        assert (answer.outcome, answer.reason, fake.asked) == (Outcome.FAILED, "amount_not_movable", [])

    async def test_one_that_paypal_never_heard_of_is_none_and_without_reference_it_cannot_be_asked(self) -> None:
        there = provider(FakePayPal({f"{ORDERS}/ORDER0": (404, {})}))
        assert await there.look_up(Direction.DEPOSIT, PAYMENT, "ORDER0") is None
        for direction in (Direction.DEPOSIT, Direction.WITHDRAWAL):
            assert await there.look_up(direction, PAYMENT, None) is UNNAMED
