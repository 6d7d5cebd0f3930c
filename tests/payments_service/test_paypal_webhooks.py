"""PayPal's webhooks: who signed one, by its certificate or by its API, and what it says."""

import json
from datetime import timedelta

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ops.development_certificates import Certificates
from payments_service.domain.ports import Direction, Outcome
from payments_service.handlers.providers.paypal_signatures import (
    MAX_CERTIFICATE_BYTES,
    NotTrusted,
    at_paypal,
    checked,
)
from payments_service.handlers.providers.reading import MAX_WEBHOOK_BYTES
from shared.errors import InvalidInput, OversizedWebhook, ServiceUnavailable, Unauthenticated
from tests.payments_service.paypal import (
    OLD,
    OTHER,
    OURS,
    THEIRS,
    FakePayPal,
    as_pem,
    provider,
    signed,
    trusted,
)
from tests.payments_service.samples import NOW, PAYMENT, paypal_event, paypal_refund_event
from tests.payments_service.test_stripe import flipped

CAPTURE = "/v2/payments/captures/CAP1"
OF_ORDER = {
    "id": "CAP1",
    "status": "REFUNDED",
    "custom_id": str(PAYMENT),
    "supplementary_data": {"related_ids": {"order_id": "ORDER1"}},
}


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


class TestRefunds:
    """What is told of a capture as a refund, in the form in which PayPal's documentation shows it."""

    @pytest.mark.parametrize(
        ("event_type", "outcome"),
        [
            ("PAYMENT.CAPTURE.REFUNDED", Outcome.COMPLETED),
            ("PAYMENT.REFUND.PENDING", Outcome.PROCESSING),
            ("PAYMENT.REFUND.FAILED", Outcome.FAILED),
        ],
    )
    async def test_each_kind_is_an_outcome_of_the_refund(self, event_type: str, outcome: Outcome) -> None:
        fake = FakePayPal()
        body = paypal_refund_event(event_type, custom_id=str(PAYMENT))
        (event,) = await provider(fake).read_webhook(signed(body), body, NOW)
        assert (event.direction, event.outcome) == (Direction.REFUND, outcome)
        assert (event.payment_id, event.reference, event.amount_minor) == (PAYMENT, "REF1", 251)
        assert CAPTURE not in fake.paths()

    async def test_a_reversal_is_of_the_deposit_that_its_capture_names(self) -> None:
        body = paypal_refund_event("PAYMENT.CAPTURE.REVERSED")
        there = provider(FakePayPal({CAPTURE: (200, OF_ORDER)}))
        (event,) = await there.read_webhook(signed(body), body, NOW)
        assert (event.direction, event.outcome) == (Direction.DEPOSIT, Outcome.CHARGED_BACK)
        assert (event.payment_id, event.reference, event.amount_minor) == (PAYMENT, "ORDER1", 251)

    async def test_a_refund_that_was_begun_at_paypal_is_of_the_deposit_that_its_capture_names(self) -> None:
        body = paypal_refund_event("PAYMENT.CAPTURE.REFUNDED")
        there = provider(FakePayPal({CAPTURE: (200, OF_ORDER | {"custom_id": None})}))
        (event,) = await there.read_webhook(signed(body), body, NOW)
        assert (event.payment_id, event.reference, event.of_reference) == (None, "REF1", "ORDER1")

    @pytest.mark.parametrize(
        "named", [{"custom_id": str(PAYMENT)}, {"custom_id": "theirs", "invoice_id": str(PAYMENT)}]
    )
    async def test_a_reversal_that_names_the_deposit_itself_is_believed(self, named: dict[str, str]) -> None:
        body = paypal_refund_event("PAYMENT.CAPTURE.REVERSED", **named)
        fake = FakePayPal()
        (event,) = await provider(fake).read_webhook(signed(body), body, NOW)
        assert (event.payment_id, event.reference) == (PAYMENT, None)
        assert CAPTURE not in fake.paths()

    @pytest.mark.parametrize("links", [None, []])
    async def test_a_reversal_of_what_is_not_ours_is_kept_under_its_own_name(self, links: list[str] | None) -> None:
        body = paypal_refund_event("PAYMENT.CAPTURE.REVERSED", **({} if links is None else {"links": links}))
        there = provider(FakePayPal({CAPTURE: (404, {})}))
        (event,) = await there.read_webhook(signed(body), body, NOW)
        assert (event.payment_id, event.reference) == (None, "REF1")

    async def test_one_whose_capture_cannot_be_asked_after_comes_again(self) -> None:
        body = paypal_refund_event("PAYMENT.CAPTURE.REVERSED")
        with pytest.raises(ServiceUnavailable):
            await provider(FakePayPal({CAPTURE: (500, {})})).read_webhook(signed(body), body, NOW)


def same_place(url: str) -> bool:
    """Whether a changed URL is still one of PayPal's: then its certificate decides, not the URL."""
    try:
        return at_paypal(httpx2.URL(url))
    except httpx2.InvalidURL:
        return False
