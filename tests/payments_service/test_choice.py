"""Which providers there are, and what each of them needs to be there."""

from pathlib import Path

import httpx2
import pytest
from pydantic import ValidationError

from ops import development_secrets
from payments_service.handlers.providers import choice
from payments_service.handlers.providers.sandbox import SUBJECT
from payments_service.settings import ProviderSettings
from shared import clock
from shared.errors import Unauthenticated
from tests.payments_service.samples import NOW, stripe_event
from tests.payments_service.test_stripe import signed

STRIPE = {"stripe_api_key": "sk_1", "payment_webhook_secret": f"{'w' * 16}, {'v' * 16}"}
PAYPAL = {
    "paypal_client_id": "id",
    "paypal_client_secret": "secret",
    "paypal_webhook_id": "W1,W2",
    "payment_return_url": "https://product/return",
}


@pytest.fixture
def sandbox(tmp_path: Path) -> dict[str, str]:
    """What `langsense up` gives."""
    development_secrets.ensure(tmp_path)
    names = ("sandbox_api_token", "sandbox_webhook_secret", "sandbox_authority")
    return {
        "sandbox_url": "http://127.0.0.1:8006",
        **{name: development_secrets.read(tmp_path, name) for name in names},
    }


def chosen(given: dict[str, str]) -> set[str]:
    settings = ProviderSettings.model_validate(given)
    return set(choice.providers(settings, httpx2.AsyncClient(), clock.utc_now))


def test_a_provider_is_there_where_its_settings_are(sandbox: dict[str, str]) -> None:
    assert chosen({}) == set()
    assert chosen(STRIPE) == {"stripe"}
    assert chosen(PAYPAL) == {"paypal"}
    assert chosen(sandbox) == {"sandbox"}
    assert chosen({**STRIPE, **PAYPAL, **sandbox}) == {"stripe", "paypal", "sandbox"}


def test_what_a_provider_needs_is_asked_for(sandbox: dict[str, str]) -> None:
    for given, named in ((STRIPE, "STRIPE_API_KEY"), (PAYPAL, "PAYPAL_CLIENT_ID"), (sandbox, "SANDBOX_URL")):
        _, *others = given
        for missing in others:
            with pytest.raises(ValidationError, match=f"{named} needs"):
                ProviderSettings.model_validate({key: value for key, value in given.items() if key != missing})


def test_a_short_secret_is_none() -> None:
    with pytest.raises(ValidationError, match="at least 16 characters"):
        ProviderSettings.model_validate({**STRIPE, "payment_webhook_secret": f"{'w' * 16},short"})


async def test_a_webhook_secret_follows_another_while_webhooks_come_under_both() -> None:
    old, new = "whsec_" + "a" * 32, "whsec_" + "b" * 32
    body = stripe_event()

    async def believed(setting: str) -> list[bool]:
        """Whether webhooks under the old secret and the new one are believed."""
        settings = ProviderSettings.model_validate({**STRIPE, "payment_webhook_secret": setting})
        stripe = choice.providers(settings, httpx2.AsyncClient(), clock.utc_now)["stripe"]
        found = []
        for secret in (old, new):
            try:
                found.append(bool(await stripe.read_webhook(signed(body, secret), body, NOW)))
            except Unauthenticated:
                found.append(False)
        return found

    assert await believed(old) == [True, False]
    assert await believed(f"{new}, {old}") == [True, True]
    assert await believed(new) == [False, True]


def test_paypals_certificates_are_believed_under_the_roots_that_browsers_believe() -> None:
    roots = choice._public_roots()
    assert len(roots) > 100
    assert any("DigiCert" in root.subject.rfc4514_string() for root in roots)


def test_the_sandbox_is_certified_under_the_name_that_is_looked_for() -> None:
    assert development_secrets.SANDBOX_SUBJECT == SUBJECT
