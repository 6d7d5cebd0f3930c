"""A platform that is given Stripe's and PayPal's settings pays through them; here through stand-ins of theirs."""

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from stripe import WebhookSignature

from tests.end_to_end import support
from tests.end_to_end.runbook import DOCS, commands, run
from tests.end_to_end.stand_ins import StandIn, standing_in
from tests.end_to_end.support import Ask, Platform, asked_until, asking, known, let_through, until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

PLAYER = 5800
WEBHOOK_SECRET = "whsec_" + "of-the-tests-alone"


@pytest.fixture(scope="module")
def providers() -> Iterator[StandIn]:
    """Both of them."""
    with standing_in() as there:
        yield there


@pytest.fixture(scope="module")
def platform(providers: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform that pays through them."""
    given = {
        "STRIPE_API_KEY": "sk_test_of-the-tests-alone",
        "PAYMENT_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "STRIPE_API_BASE": providers.url,
        "PAYPAL_CLIENT_ID": "client",
        "PAYPAL_CLIENT_SECRET": "of-the-tests-alone",
        "PAYPAL_WEBHOOK_ID": "WEBHOOK1",
        "PAYPAL_API_BASE": providers.url,
        "PAYMENT_RETURN_URL": "https://product.example/return",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        with support.running(tmp_path_factory.mktemp("up") / "data") as running:
            yield running


@pytest.fixture(scope="module")
def ask(platform: Platform) -> Iterator[Ask]:
    """The platform, and on it a player who is known, and need not wait with a withdrawal."""
    with asking(platform, PLAYER) as asked:
        known(asked, PLAYER, "580100200", "USD", "EUR")
        yield asked


def pay(ask: Ask, direction: str, provider: str, method: str, currency: str, instrument: str) -> Any:
    """What a player is answered who pays 25.00 in or out."""
    money = {"user_id": PLAYER, "amount": "25.00", "currency": currency}
    how = {"provider": provider, "method": method, "instrument": instrument}
    return asked_until((201, 202), ask, "player", f"/payments/{direction}", money | how, str(uuid4())).json()


def until_it_is(ask: Ask, payment_id: str, *stands: str) -> None:
    """Wait until a payment stands somewhere, with its provider and in the wallet."""
    until(lambda: (found := ask("finance", "GET", f"/payments/{payment_id}").json()) and stands == at(found))


def at(found: Any) -> tuple[str, str]:
    return found["status"], found["posted"]


def test_the_guide_sees_that_both_are_connected(platform: Platform) -> None:
    assert run(platform, commands((DOCS / "providers.md").read_text())) == "stripe 401\npaypal 401\n"


def test_a_card_pays_in_when_stripe_says_so_and_is_paid_as_a_refund(
    ask: Ask, platform: Platform, providers: StandIn
) -> None:
    begun = pay(ask, "deposits", "stripe", "card", "USD", "pm_card")
    until_it_is(ask, begun["id"], "processing", "nothing")
    (intent,) = providers.of_kind("payment_intent")
    assert (intent["amount"], intent["currency"], intent["metadata"]["payment_id"]) == (2500, "usd", begun["id"])
    intent["status"] = "succeeded"
    event = {"object": "event", "created": int(time.time()), "data": {"object": intent}}
    told = json.dumps({"id": "evt_1", "type": "payment_intent.succeeded", **event})
    url = f"http://127.0.0.1:{platform.gateway_port}/api/v1/webhooks/stripe"
    headers = {"Stripe-Signature": WebhookSignature.generate_signature_header(told, WEBHOOK_SECRET)}
    assert httpx2.post(url, content=told, headers=headers, trust_env=False).json() == {"taken": 1, "duplicates": 0}
    assert httpx2.post(url, content=told, headers=headers, trust_env=False).json() == {"taken": 0, "duplicates": 1}
    until_it_is(ask, begun["id"], "completed", "credited")

    paid = pay(ask, "withdrawals", "stripe", "card", "USD", "pm_card")
    let_through(ask, paid["id"])
    until_it_is(ask, paid["id"], "completed", "captured")
    (refund,) = providers.of_kind("refund")
    assert (refund["payment_intent"], refund["amount"]) == (intent["id"], 2500)


def test_a_vaulted_account_pays_in_at_once_and_is_paid_as_a_refund(ask: Ask, providers: StandIn) -> None:
    begun = pay(ask, "deposits", "paypal", "paypal", "EUR", "vault_1")
    until_it_is(ask, begun["id"], "completed", "credited")
    (order,) = providers.of_kind("order")
    (unit,) = order["purchase_units"]
    assert (unit["custom_id"], unit["amount"]["value"]) == (begun["id"], "25.00")

    paid = pay(ask, "withdrawals", "paypal", "paypal", "EUR", "payer_1")
    let_through(ask, paid["id"])
    until_it_is(ask, paid["id"], "completed", "captured")
    (refund,) = providers.of_kind("paypal_refund")
    assert (refund["amount"]["value"], refund["custom_id"]) == ("25.00", paid["id"])
