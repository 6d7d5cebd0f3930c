"""The sandbox's knobs: from the environment, or one file each from SECRETS_DIR, as a service's."""

import os
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import ConfigurationError
from shared.settings import Seconds, Url


class SandboxSettings(BaseSettings):
    """What the sandbox reads from its environment."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    # Where its books are.
    sandbox_file: Path
    # Where it can be reached, for the place of its certificate.
    sandbox_url: Url
    # Where its webhooks go.
    sandbox_webhook_url: Url
    sandbox_api_token: SecretStr
    sandbox_webhook_secret: SecretStr
    sandbox_webhook_id: str = Field(default="SANDBOX-WEBHOOK", min_length=1)
    sandbox_certificate: str
    sandbox_certificate_key: SecretStr
    # A webhook that is not taken is sent again after this, and then after twice as long each time, up to a minute.
    sandbox_retry_s: Seconds = 1

    @classmethod
    def load(cls) -> Self:
        """The settings from the environment. Raises ConfigurationError."""
        try:
            return cls(_secrets_dir=os.environ.get("SECRETS_DIR"))
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            raise ConfigurationError("; ".join(f"{finding['loc'][0]}: {finding['msg']}" for finding in found)) from None
