"""Which providers there are, by the settings: Stripe and PayPal where their keys are given, the sandbox where it is."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import certifi
import httpx2
from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from payments_service.domain.ports import Provider
from payments_service.handlers.providers import paypal
from payments_service.handlers.providers.paypal import PayPalProvider
from payments_service.handlers.providers.sandbox import SandboxProvider
from payments_service.handlers.providers.stripe import StripeProvider
from payments_service.settings import ProviderSettings
from shared.clock import Clock

# A provider may be slow to take money; what it did not answer by then is looked up.
TIMEOUT_S = 30.0

_BEGIN = b"-----BEGIN CERTIFICATE-----"


def providers(settings: ProviderSettings, client: httpx2.AsyncClient, clock: Clock) -> Mapping[str, Provider]:
    """The providers by name. `client` is closed by its owner, and has TIMEOUT_S as its timeout."""
    found: list[Provider] = []
    if settings.stripe_api_key is not None:
        found.append(
            StripeProvider(
                client,
                api_key=settings.stripe_api_key.get_secret_value(),
                secrets=settings.stripe_secrets(),
                clock=clock,
                api_base=settings.stripe_api_base,
            )
        )
    if settings.paypal_client_id is not None:
        found.append(_paypal(settings, client, clock))
    if settings.sandbox_url is not None:
        found.append(_sandbox(settings, client))
    return {provider.name: provider for provider in found}


def _paypal(settings: ProviderSettings, client: httpx2.AsyncClient, clock: Clock) -> PayPalProvider:
    assert settings.paypal_client_id is not None
    assert settings.paypal_client_secret is not None
    assert settings.payment_return_url is not None
    return PayPalProvider(
        client,
        api_base=settings.paypal_api_base,
        client_id=settings.paypal_client_id,
        client_secret=settings.paypal_client_secret.get_secret_value(),
        webhook_ids=settings.paypal_webhook_ids(),
        trust=paypal.trust(_public_roots(), settings.paypal_api_base),
        return_url=settings.payment_return_url,
        clock=clock,
    )


def _public_roots() -> list[x509.Certificate]:
    """The roots that browsers believe, without the few old ones whose numbers the standard does not allow."""
    roots = []
    for part in Path(certifi.where()).read_bytes().split(_BEGIN)[1:]:
        with warnings.catch_warnings():
            warnings.simplefilter("error", CryptographyDeprecationWarning)
            try:
                roots.append(x509.load_pem_x509_certificate(_BEGIN + part))
            except (ValueError, CryptographyDeprecationWarning):
                continue
    return roots


def _sandbox(settings: ProviderSettings, client: httpx2.AsyncClient) -> SandboxProvider:
    assert settings.sandbox_url is not None
    assert settings.sandbox_api_token is not None
    assert settings.sandbox_webhook_secret is not None
    assert settings.sandbox_authority is not None
    return SandboxProvider(
        client,
        url=settings.sandbox_url,
        token=settings.sandbox_api_token.get_secret_value(),
        secrets=[settings.sandbox_webhook_secret.get_secret_value()],
        roots=x509.load_pem_x509_certificates(settings.sandbox_authority.encode()),
    )
