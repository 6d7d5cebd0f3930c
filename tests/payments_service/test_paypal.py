"""PayPal's API over our client: each answer an outcome."""

from typing import Any

import httpx2
import pytest

from payments_service.domain.ports import UNNAMED, Direction, Outcome, ProviderAnswer
from shared.errors import ServiceUnavailable
from tests.payments_service.paypal import CAPTURED, ORDERS, PAYOUTS, REQUEST, Answers, FakePayPal, provider
from tests.payments_service.samples import PAYMENT


class PayPalThatRevokes(FakePayPal):
    """Gives token after token, and takes those alone that are not revoked."""

    def __init__(self, answers: Answers, revoked: set[str] | None = None) -> None:
        super().__init__(answers)
        self.revoked = revoked or set()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        token = f"token {1 + self.paths().count('/v1/oauth2/token')}"
        self.answers["/v1/oauth2/token"] = (200, {"access_token": token, "expires_in": 3600})
        answer = super().__call__(request)
        is_revoked = request.headers["authorization"].removeprefix("Bearer ") in self.revoked
        return httpx2.Response(401, json={}) if is_revoked else answer


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

    @pytest.mark.parametrize("call", ["deposit", "look_up"])
    async def test_a_token_that_paypal_takes_no_more_is_followed_by_another(self, call: str) -> None:
        fake = PayPalThatRevokes({ORDERS: (201, CAPTURED), f"{ORDERS}/ORDER1": (200, CAPTURED)})
        there = provider(fake)
        await there.deposit(REQUEST)
        fake.revoked.add("token 1")
        answer = await (
            there.deposit(REQUEST) if call == "deposit" else there.look_up(Direction.DEPOSIT, PAYMENT, "ORDER1")
        )
        assert answer is not None
        assert answer.outcome is Outcome.COMPLETED
        assert fake.paths().count("/v1/oauth2/token") == 2

    async def test_a_new_token_is_asked_for_once_in_a_request(self) -> None:
        fake = PayPalThatRevokes({ORDERS: (201, CAPTURED)}, revoked={"token 1", "token 2", "token 3"})
        with pytest.raises(ServiceUnavailable):
            await provider(fake).deposit(REQUEST)
        assert fake.paths() == ["/v1/oauth2/token", ORDERS] * 2

    async def test_a_currency_that_paypal_does_not_take_is_not_sent(self) -> None:
        fake = FakePayPal()
        answer = await provider(fake).deposit(REQUEST._replace(currency="KWD"))
        assert (answer.outcome, answer.reason, fake.asked) == (Outcome.FAILED, "amount_not_movable", [])

    async def test_one_that_paypal_never_heard_of_is_none_and_without_reference_it_cannot_be_asked(self) -> None:
        there = provider(FakePayPal({f"{ORDERS}/ORDER0": (404, {})}))
        assert await there.look_up(Direction.DEPOSIT, PAYMENT, "ORDER0") is None
        for direction in (Direction.DEPOSIT, Direction.WITHDRAWAL):
            assert await there.look_up(direction, PAYMENT, None) is UNNAMED
