"""The payments service's knobs."""

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from shared import money
from shared.contracts.fields import Currency
from shared.contracts.payments import MAX_REPORT_BODY_BYTES
from shared.settings import Dsn, ServiceSettings, Url

MIN_SECRET_CHARACTERS = 16
PAYPAL_API_BASE = "https://api-m.paypal.com"


class ProviderSettings(BaseSettings):
    """Which payment providers there are, each of them where its own settings are given."""

    stripe_api_key: SecretStr | None = None
    # A stand-in for Stripe's API.
    stripe_api_base: Url | None = None
    # What Stripe signs its webhooks with, each of at least 16 characters; several with commas between, newest first.
    payment_webhook_secret: SecretStr | None = None

    paypal_client_id: str | None = Field(default=None, min_length=1)
    paypal_client_secret: SecretStr | None = None
    paypal_api_base: Url = PAYPAL_API_BASE
    # The ids of our webhooks at PayPal; several with commas between.
    paypal_webhook_id: str = ""
    # Where a player comes back to from PayPal.
    payment_return_url: Url | None = None

    # The sandbox, for development.
    sandbox_url: Url | None = None
    sandbox_api_token: SecretStr | None = None
    sandbox_webhook_secret: SecretStr | None = None
    # The certificate authority under which it signs as PayPal does, in PEM.
    sandbox_authority: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.stripe_api_key is not None and not self.stripe_secrets():
            raise ValueError("STRIPE_API_KEY needs PAYMENT_WEBHOOK_SECRET")
        if any(len(secret) < MIN_SECRET_CHARACTERS for secret in self.stripe_secrets()):
            raise ValueError(f"PAYMENT_WEBHOOK_SECRET: each must have at least {MIN_SECRET_CHARACTERS} characters")
        paypal = (self.paypal_client_secret, self.paypal_webhook_ids(), self.payment_return_url)
        if self.paypal_client_id is not None and not all(paypal):
            raise ValueError("PAYPAL_CLIENT_ID needs PAYPAL_CLIENT_SECRET, PAYPAL_WEBHOOK_ID and PAYMENT_RETURN_URL")
        sandbox = (self.sandbox_api_token, self.sandbox_webhook_secret, self.sandbox_authority)
        if self.sandbox_url is not None and not all(sandbox):
            raise ValueError("SANDBOX_URL needs SANDBOX_API_TOKEN, SANDBOX_WEBHOOK_SECRET and SANDBOX_AUTHORITY")
        return self

    def stripe_secrets(self) -> list[str]:
        """What Stripe's webhooks may be signed with, the newest first."""
        return _listed(self.payment_webhook_secret.get_secret_value() if self.payment_webhook_secret else "")

    def paypal_webhook_ids(self) -> list[str]:
        """The ids of our webhooks at PayPal."""
        return _listed(self.paypal_webhook_id)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


class Settings(ServiceSettings, ProviderSettings):
    """What the payments service reads from its environment."""

    body_bounds: ClassVar[Mapping[str, int]] = {"/settlement-batches": MAX_REPORT_BODY_BYTES}

    payments_database_url: Dsn
    wallet_service_url: Url
    fraud_service_url: Url
    # No payment begins: what is asked for queues, and is let go when this is gone again.
    payment_service_disabled: bool = False
    # So many queued payments are let go a second, by all instances together.
    payment_release_per_s: int = Field(default=5, ge=1, le=1000)
    # JSON: from which amount on a withdrawal waits for review, per currency, as decimals. Elsewhere none does.
    payment_review_from: dict[Currency, str] = Field(default={"USD": "1000", "EUR": "1000", "GBP": "1000"})
    # How many of staff have to let such a withdrawal through, and to say what became of a payment.
    payment_reviewers: int = Field(default=1, ge=1, le=2)
    payment_completers: int = Field(default=2, ge=1, le=2)

    @field_validator("payment_review_from")
    @classmethod
    def _amounts(cls, value: dict[Currency, str]) -> dict[Currency, str]:
        for currency, amount in value.items():
            money.to_minor(amount, currency, zero=True)
        return value

    def review_from(self) -> dict[str, int]:
        """In minor units."""
        return {
            currency: money.to_minor(amount, currency, zero=True)
            for currency, amount in self.payment_review_from.items()
        }
