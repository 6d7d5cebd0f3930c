"""Stripe: its webhooks under its own signature helper, its SDK over our HTTP client, each answer as an outcome."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import httpx2
import pytest
from stripe import WebhookSignature

from payments_service.domain.ports import UNNAMED, Direction, Outcome, ProviderAnswer, ProviderRequest
from payments_service.handlers.providers.reading import MAX_WEBHOOK_BYTES
from payments_service.handlers.providers.stripe import StripeProvider
from shared.errors import InvalidInput, OversizedWebhook, ServiceUnavailable, Unauthenticated
from tests.payments_service.samples import NOW, PAYMENT, SECRET, stripe_event

REQUEST = ProviderRequest(PAYMENT, 42, 2500, "USD", "card", None)
Handler = Callable[[httpx2.Request], httpx2.Response]


def provider(
    handler: Handler | None = None, *secrets: str, now: Callable[[], datetime] = lambda: NOW
) -> StripeProvider:
    def unasked(request: httpx2.Request) -> httpx2.Response:
        raise AssertionError("nobody is to be asked")

    client = httpx2.AsyncClient(transport=httpx2.MockTransport(handler or unasked))
    return StripeProvider(
        client, api_key="sk_test", secrets=secrets or (SECRET,), clock=now, api_base="http://stand-in"
    )


def signed(body: bytes, secret: str = SECRET, at: datetime = NOW) -> dict[str, str]:
    """By the official SDK's own helper."""
    header = WebhookSignature.generate_signature_header(body.decode(), secret, int(at.timestamp()))
    return {"stripe-signature": header}


class TestWebhooks:
    async def test_one_that_stripes_own_helper_signed_is_read(self) -> None:
        body = stripe_event()
        (event,) = await provider().read_webhook(signed(body), body, NOW)
        assert (event.event_id, event.payment_id, event.reference) == ("evt_1", PAYMENT, "pi_1")
        assert (event.direction, event.outcome) == (Direction.DEPOSIT, Outcome.COMPLETED)
        assert (event.amount_minor, event.currency, event.instrument) == (2500, "USD", "pm_1")
        assert event.occurred_at == NOW

    async def test_one_flipped_bit_of_the_body_fails(self) -> None:
        body = stripe_event()
        headers, stripe = signed(body), provider()
        for bit in range(len(body) * 8):
            with pytest.raises(Unauthenticated):
                await stripe.read_webhook(headers, flipped(body, bit), NOW)

    async def test_one_flipped_bit_of_the_signature_fails(self) -> None:
        body = stripe_event()
        header, stripe = signed(body)["stripe-signature"].encode(), provider()
        for bit in range(len(header) * 8):
            with pytest.raises(Unauthenticated):
                await stripe.read_webhook({"Stripe-Signature": flipped(header, bit).decode("latin-1")}, body, NOW)

    async def test_any_of_several_secrets_verifies_while_one_follows_another(self) -> None:
        body, new = stripe_event(), "whsec_" + "b" * 32
        for secret in (SECRET, new):
            assert await provider(None, new, SECRET).read_webhook(signed(body, secret), body, NOW)
        with pytest.raises(Unauthenticated):
            await provider(None, new).read_webhook(signed(body, SECRET), body, NOW)

    async def test_two_signatures_in_one_header_are_both_tried(self) -> None:
        body = stripe_event()
        old, own = signed(body, "whsec_old")["stripe-signature"], signed(body)["stripe-signature"]
        both = f"{old},{own.partition(',')[2]}"
        assert await provider().read_webhook({"stripe-signature": both}, body, NOW)

    @pytest.mark.parametrize("away_s", [-301, 301])
    async def test_a_stale_one_and_one_from_the_future_fail(self, away_s: int) -> None:
        body = stripe_event()
        headers = signed(body, at=NOW + timedelta(seconds=away_s))
        with pytest.raises(Unauthenticated):
            await provider().read_webhook(headers, body, NOW)

    @pytest.mark.parametrize("away_s", [-300, 300])
    async def test_one_at_the_edge_of_the_window_is_read(self, away_s: int) -> None:
        body = stripe_event()
        assert await provider().read_webhook(signed(body, at=NOW + timedelta(seconds=away_s)), body, NOW)

    async def test_a_truncated_one_fails(self) -> None:
        body = stripe_event()
        for length in (0, 1, len(body) // 2, len(body) - 1):
            with pytest.raises(Unauthenticated):
                await provider().read_webhook(signed(body), body[:length], NOW)

    async def test_an_oversized_one_is_refused_before_it_is_looked_at(self) -> None:
        with pytest.raises(OversizedWebhook):
            await provider().read_webhook({}, b" " * (MAX_WEBHOOK_BYTES + 1), NOW)

    @pytest.mark.parametrize(
        "header", ["", "v1=00", "t=1", "t=x,v1=00", "t=1,t=2,v1=00", "t=99999999999,v1=00", "t=1,v1=é", "x" * 5000]
    )
    async def test_a_header_that_is_none_fails(self, header: str) -> None:
        with pytest.raises(Unauthenticated):
            await provider().read_webhook({"stripe-signature": header}, stripe_event(), NOW)

    @pytest.mark.parametrize("body", [b"{}", b"[]", b"not json", b'{"id": "evt_1", "type": "x", "created": 1}'])
    async def test_a_signed_one_that_is_no_event_is_invalid(self, body: bytes) -> None:
        with pytest.raises(InvalidInput):
            await provider().read_webhook(signed(body), body, NOW)

    async def test_what_is_of_no_interest_says_nothing(self) -> None:
        body = stripe_event("customer.created")
        assert list(await provider().read_webhook(signed(body), body, NOW)) == []

    async def test_an_intent_that_names_no_payment_of_ours_is_found_by_its_reference(self) -> None:
        body = stripe_event(metadata={"payment_id": "something else"})
        (event,) = await provider().read_webhook(signed(body), body, NOW)
        assert (event.payment_id, event.reference) == (None, "pi_1")

    @pytest.mark.parametrize(
        ("event_type", "members", "direction", "outcome"),
        [
            ("payment_intent.processing", {}, Direction.DEPOSIT, Outcome.PROCESSING),
            ("payment_intent.canceled", {}, Direction.DEPOSIT, Outcome.CANCELLED),
            ("payment_intent.payment_failed", {}, Direction.DEPOSIT, Outcome.PENDING),
            (
                "payment_intent.payment_failed",
                {"metadata": {"payment_id": str(PAYMENT), "confirmed": "true"}},
                Direction.DEPOSIT,
                Outcome.FAILED,
            ),
            ("charge.succeeded", {"payment_intent": "pi_1"}, Direction.DEPOSIT, Outcome.COMPLETED),
            ("refund.updated", {"status": "succeeded"}, Direction.REFUND, Outcome.COMPLETED),
            ("refund.updated", {"status": "pending"}, Direction.REFUND, Outcome.PROCESSING),
            ("refund.failed", {"status": "failed"}, Direction.REFUND, Outcome.FAILED),
            (
                "refund.created",
                {"status": "succeeded", "metadata": {}, "payment_intent": "pi_1"},
                Direction.REFUND,
                Outcome.COMPLETED,
            ),
            (
                "charge.dispute.funds_withdrawn",
                {"metadata": {}, "payment_intent": "pi_1"},
                Direction.DEPOSIT,
                Outcome.CHARGED_BACK,
            ),
            (
                "charge.dispute.funds_reinstated",
                {"metadata": {}, "payment_intent": "pi_1"},
                Direction.DEPOSIT,
                Outcome.REINSTATED,
            ),
            (
                "charge.dispute.closed",
                {"metadata": {}, "payment_intent": "pi_1", "status": "won"},
                Direction.DEPOSIT,
                Outcome.REINSTATED,
            ),
            ("transfer.created", {}, Direction.WITHDRAWAL, Outcome.COMPLETED),
            ("transfer.reversed", {}, Direction.WITHDRAWAL, Outcome.FAILED),
        ],
    )
    async def test_each_kind_is_an_outcome(
        self, event_type: str, members: dict[str, Any], direction: Direction, outcome: Outcome
    ) -> None:
        body = stripe_event(event_type, **members)
        (event,) = await provider().read_webhook(signed(body), body, NOW)
        assert (event.direction, event.outcome) == (direction, outcome)

    async def test_the_last_four_digits_come_with_the_charge(self) -> None:
        details = {"card": {"last4": "4242", "brand": "visa"}}
        body = stripe_event("charge.succeeded", id="ch_1", payment_intent="pi_1", payment_method_details=details)
        (event,) = await provider().read_webhook(signed(body), body, NOW)
        assert (event.reference, event.last4) == ("pi_1", "4242")


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def intent(**members: Any) -> dict[str, Any]:
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "status": "succeeded",
        "client_secret": "pi_1_secret",
        "metadata": {},
        "last_payment_error": None,
        "cancellation_reason": None,
        **members,
    }


def answering(status: int, body: dict[str, Any], seen: list[httpx2.Request] | None = None) -> Handler:
    def handler(request: httpx2.Request) -> httpx2.Response:
        if seen is not None:
            seen.append(request)
        return httpx2.Response(status, json=body)

    return handler


class TestCalls:
    async def test_a_deposit_is_an_intent_with_our_id_as_its_key(self) -> None:
        seen: list[httpx2.Request] = []
        stripe = provider(answering(200, intent(status="requires_payment_method"), seen))
        answer = await stripe.deposit(REQUEST)
        assert (answer.outcome, answer.reference) == (Outcome.PENDING, "pi_1")
        assert answer.action == {"type": "stripe_payment_intent", "client_secret": "pi_1_secret"}
        (request,) = seen
        assert str(request.url) == "http://stand-in/v1/payment_intents"
        assert request.headers["idempotency-key"] == str(PAYMENT)
        form = parse_qs(request.content.decode())
        assert (form["amount"], form["currency"], form["metadata[payment_id]"]) == (["2500"], ["usd"], [str(PAYMENT)])

    async def test_a_known_instrument_is_charged_at_once(self) -> None:
        seen: list[httpx2.Request] = []
        answer = await provider(answering(200, intent(), seen)).deposit(REQUEST._replace(instrument="pm_1"))
        assert answer == ProviderAnswer(Outcome.COMPLETED, "pi_1", None, None)
        form = parse_qs(seen[0].content.decode())
        assert (form["confirm"], form["payment_method"]) == (["true"], ["pm_1"])

    @pytest.mark.parametrize(
        ("status", "error", "outcome", "reason"),
        [
            (402, {"type": "card_error", "code": "card_declined", "decline_code": "lost"}, Outcome.FAILED, "lost"),
            (400, {"type": "invalid_request_error", "code": "amount_too_small"}, Outcome.FAILED, "amount_too_small"),
            (400, {"type": "idempotency_error"}, Outcome.UNKNOWN, "status_400"),
            (500, {"type": "api_error"}, Outcome.UNKNOWN, "status_500"),
            (409, {"type": "api_error"}, Outcome.UNKNOWN, "status_409"),
        ],
    )
    async def test_an_error_is_a_failure_only_where_it_is_certain(
        self, status: int, error: dict[str, str], outcome: Outcome, reason: str
    ) -> None:
        answer = await provider(answering(status, {"error": {"message": "no", **error}})).deposit(REQUEST)
        assert (answer.outcome, answer.reason) == (outcome, reason)

    @pytest.mark.parametrize("error", [httpx2.ReadTimeout, httpx2.ReadError, httpx2.RemoteProtocolError])
    async def test_a_lost_answer_is_unknown(self, error: type[httpx2.TransportError]) -> None:
        def lost(request: httpx2.Request) -> httpx2.Response:
            raise error("lost", request=request)

        assert (await provider(lost).deposit(REQUEST)).outcome is Outcome.UNKNOWN

    async def test_a_refused_connection_is_certain(self) -> None:
        def refused(request: httpx2.Request) -> httpx2.Response:
            raise httpx2.ConnectError("refused", request=request)

        with pytest.raises(ServiceUnavailable):
            await provider(refused).deposit(REQUEST)

    @pytest.mark.parametrize("status", [401, 429])
    async def test_what_stripe_did_not_take_is_certain(self, status: int) -> None:
        with pytest.raises(ServiceUnavailable):
            await provider(answering(status, {"error": {"message": "no"}})).pay_out(
                REQUEST._replace(instrument="acct_1")
            )

    async def test_a_payout_goes_to_a_connected_account_and_nowhere_else(self) -> None:
        seen: list[httpx2.Request] = []
        stripe = provider(answering(200, {"id": "tr_1", "object": "transfer"}, seen))
        assert await stripe.pay_out(REQUEST._replace(instrument="acct_1")) == ProviderAnswer(
            Outcome.COMPLETED, "tr_1", None, None
        )
        assert (await stripe.pay_out(REQUEST._replace(instrument="pm_1"))).outcome is Outcome.FAILED
        assert [stripe.can_pay_out("card", each) for each in ("acct_1", "pm_1", None)] == [True, False, False]
        assert stripe.refund_only == {"card", "bank"}
        (request,) = seen
        assert parse_qs(request.content.decode())["transfer_group"] == [str(PAYMENT)]

    async def test_a_refund_goes_back_to_its_intent(self) -> None:
        seen: list[httpx2.Request] = []
        stripe = provider(answering(200, {"id": "re_1", "object": "refund", "status": "pending"}, seen))
        assert await stripe.refund(REQUEST, "pi_9") == ProviderAnswer(Outcome.PROCESSING, "re_1", None, None)
        assert parse_qs(seen[0].content.decode())["payment_intent"] == ["pi_9"]

    async def test_an_amount_that_stripe_cannot_move_is_not_sent(self) -> None:
        answer = await provider().deposit(REQUEST._replace(amount_minor=1235, currency="KWD"))
        assert (answer.outcome, answer.reason) == (Outcome.FAILED, "amount_not_movable")


class TestLookUps:
    async def test_an_intent_is_searched_by_our_id(self) -> None:
        seen: list[httpx2.Request] = []
        found = {"object": "search_result", "data": [intent(status="processing")], "has_more": False, "url": "/x"}
        answer = await provider(answering(200, found, seen)).look_up(Direction.DEPOSIT, PAYMENT, None)
        assert answer is not None
        assert (answer.outcome, answer.reference) == (Outcome.PROCESSING, "pi_1")
        assert str(PAYMENT) in seen[0].url.params["query"]

    async def test_one_that_stripe_never_heard_of_is_none(self) -> None:
        nothing = {"object": "list", "data": [], "has_more": False, "url": "/x"}
        for direction in (Direction.DEPOSIT, Direction.WITHDRAWAL):
            assert await provider(answering(200, nothing)).look_up(direction, PAYMENT, None) is None
        missing = {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": "no"}}
        assert await provider(answering(404, missing)).look_up(Direction.DEPOSIT, PAYMENT, "pi_0") is None

    async def test_an_attempt_of_ours_that_failed_has_failed(self) -> None:
        declined = intent(
            status="requires_payment_method",
            metadata={"confirmed": "true"},
            last_payment_error={"code": "card_declined", "decline_code": "stolen_card"},
        )
        answer = await provider(answering(200, json.loads(json.dumps(declined)))).look_up(
            Direction.DEPOSIT, PAYMENT, "pi_1"
        )
        assert answer is not None
        assert (answer.outcome, answer.reason) == (Outcome.FAILED, "stolen_card")

    async def test_a_refund_whose_answer_was_lost_is_found_among_its_intents(self) -> None:
        seen: list[httpx2.Request] = []
        mine = {"id": "re_2", "object": "refund", "status": "succeeded", "metadata": {"payment_id": str(PAYMENT)}}
        other = {"id": "re_1", "object": "refund", "status": "succeeded"}
        listed = {"object": "list", "data": [other, mine], "has_more": False, "url": "/x"}
        found = await provider(answering(200, listed, seen)).look_up(Direction.REFUND, PAYMENT, None, "pi_9")
        assert found == ProviderAnswer(Outcome.COMPLETED, "re_2", None, None)
        assert seen[0].url.params["payment_intent"] == "pi_9"
        listed["data"] = [other]
        assert await provider(answering(200, listed)).look_up(Direction.REFUND, PAYMENT, None, "pi_9") is None
        unnamed = await provider().look_up(Direction.REFUND, PAYMENT, None)
        assert unnamed is UNNAMED

    async def test_an_intent_that_its_player_has_left_is_cancelled(self) -> None:
        seen: list[httpx2.Request] = []
        there = provider(answering(200, intent(status="canceled", cancellation_reason="abandoned"), seen))
        assert await there.cancel(PAYMENT, "pi_1") == ProviderAnswer(Outcome.CANCELLED, "pi_1", "abandoned", None)
        assert seen[0].url.path == "/v1/payment_intents/pi_1/cancel"
        assert parse_qs(seen[0].content.decode()) == {"cancellation_reason": ["abandoned"]}

    async def test_an_intent_that_was_paid_meanwhile_is_looked_up(self) -> None:
        state = {"type": "invalid_request_error", "code": "payment_intent_unexpected_state", "message": "no"}

        def paid(request: httpx2.Request) -> httpx2.Response:
            if request.url.path.endswith("/cancel"):
                return httpx2.Response(400, json={"error": state})
            return httpx2.Response(200, json=intent(status="succeeded"))

        assert await provider(paid).cancel(PAYMENT, "pi_1") == ProviderAnswer(Outcome.COMPLETED, "pi_1", None, None)

    async def test_no_answer_is_no_news(self) -> None:
        with pytest.raises(ServiceUnavailable):
            await provider(answering(500, {"error": {"message": "no"}})).look_up(Direction.REFUND, PAYMENT, "re_1")

    @pytest.mark.parametrize(
        ("moved", "outcome", "disputed"),
        [
            ([], Outcome.COMPLETED, None),
            ([-2000], Outcome.CHARGED_BACK, 2000),
            ([-2000, 2000], Outcome.REINSTATED, 2000),
        ],
    )
    async def test_a_dispute_is_what_it_moved(self, moved: list[int], outcome: Outcome, disputed: int | None) -> None:
        charged = intent(latest_charge={"id": "ch_1", "object": "charge", "disputed": True})
        rows = [{"object": "balance_transaction", "amount": amount} for amount in moved]
        dispute = {"id": "dp_1", "object": "dispute", "amount": 2000, "currency": "usd", "reason": "fraudulent"}
        listed = {"object": "list", "data": [{**dispute, "balance_transactions": rows}], "has_more": False, "url": "/x"}

        def answer(request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, json=listed if request.url.path == "/v1/disputes" else charged)

        found = await provider(answer).look_up(Direction.DEPOSIT, PAYMENT, "pi_1")
        assert found is not None
        assert (found.outcome, found.disputed_minor) == (outcome, disputed)
