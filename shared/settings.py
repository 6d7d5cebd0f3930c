"""Settings: from the environment, or one file each from the folder named by SECRETS_DIR. Checked at start.

A setting's name is its environment variable's, in upper case; a file's name is the same in lower case.
The environment wins over a file. A secret has no default.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import ConfigurationError
from shared.lanes import DEFAULT_LANES

Dsn = Annotated[str, Field(pattern=r"^postgres(ql)?(\+asyncpg)?://", repr=False)]
Url = Annotated[str, Field(pattern=r"^https?://[^/]+")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class ServiceSettings(BaseSettings):
    """What every service reads. A service's own settings class inherits from this one."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    # Paths below which a body may have more bytes than others; no knob.
    body_bounds: ClassVar[Mapping[str, int]] = {}

    kafka_bootstrap_servers: str = Field(min_length=1, description="host:port[,host:port…]")
    # Lets two platforms share one cluster. Empty in production.
    kafka_topic_prefix: str = Field(default="", pattern=r"^[a-zA-Z0-9.-]{0,64}$")
    # False only for a broker that has no idempotent producer, which is fit for development alone.
    kafka_idempotent_producer: bool = True
    # How long the broker may hold back an empty fetch. Apache Kafka answers as soon as there is a record; a broker that
    # looks only when the time is over wants a shorter one.
    kafka_fetch_max_wait_ms: int = Field(default=100, ge=1, le=5000)
    # The partitions of wallet.commands.v1 and ledger.events.v1; fixed for the life of the topics.
    lanes: int = Field(default=DEFAULT_LANES, ge=1, le=1024)
    # What the services show each other. At least 32 characters.
    internal_api_token: SecretStr
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"
    # Where traces go, by OTLP over HTTP. Empty: there are none.
    otel_exporter_otlp_endpoint: str = Field(default="", pattern=r"^(https?://[^/]+.*)?$")
    # The share of traces, of those that begin here, that is recorded.
    otel_traces_sampler_arg: float = Field(default=1.0, ge=0, le=1)
    # A consumer that is behind and finishes nothing for this long is not alive.
    stalled_after_s: Seconds = 60
    # What alarms count lately, such as records that were parked, is of the last so many seconds.
    alarm_window_s: Seconds = 3600
    # How often gauges that the database is asked for are looked at.
    gauges_every_s: Seconds = 60

    @field_validator("internal_api_token")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 32:
            raise ValueError("must have at least 32 characters")
        return value

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """The settings from the environment. Raises ConfigurationError, which names each wrong setting."""
        folder = os.environ.get("SECRETS_DIR")
        if folder and not Path(folder).is_dir():
            raise ConfigurationError(f"SECRETS_DIR: {folder} is no folder")
        try:
            return cls(_secrets_dir=folder, **overrides)
        except ValidationError as error:
            findings = [
                f"{'.'.join(str(part) for part in finding['loc']).upper()}: {finding['msg']}"
                for finding in error.errors(include_url=False, include_input=False)
            ]
            raise ConfigurationError("; ".join(findings)) from None
