"""The gateway's knobs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from gateway.domain.requests import MAX_BATCH
from shared.contracts.payments import MAX_REPORT_BODY_BYTES
from shared.settings import Seconds, ServiceSettings
from shared.tokens import DEFAULT_AUDIENCE, DEFAULT_ISSUER

ServiceUrl = Annotated[str, Field(pattern=r"^https?://[^/\s]+")]


class Settings(ServiceSettings):
    """What the gateway reads from its environment."""

    body_bounds: ClassVar[Mapping[str, int]] = {"/api/v1/settlement-batches": MAX_REPORT_BODY_BYTES}

    wallet_service_url: ServiceUrl
    fraud_service_url: ServiceUrl
    metrics_service_url: ServiceUrl
    compliance_service_url: ServiceUrl
    payments_service_url: ServiceUrl

    # Exactly one of them: the keys that tokens are signed with.
    jwks_file: Path | None = None
    jwks_url: ServiceUrl | None = None
    jwks_refresh_s: Seconds = 300
    jwt_issuer: str = Field(default=DEFAULT_ISSUER, min_length=1)
    jwt_audience: str = Field(default=DEFAULT_AUDIENCE, min_length=1)

    # The partition of wallet.replies.v1 that this instance reads; None: one at random.
    gateway_reply_partition: int | None = Field(default=None, ge=0)
    # How long a request waits for its decision when it does not say, and at most. Below the load balancer's patience.
    wait_default_s: float = Field(default=2.0, ge=0, le=10)
    wait_max_s: float = Field(default=10.0, gt=0, le=30)
    # A bet expires this long after its caller stopped waiting: for the answer's way back, and for clocks that differ.
    bet_expiry_margin_s: float = Field(default=1.0, ge=0, le=60)
    # How many requests may wait for a decision at once; the next ones are answered 202 at once.
    max_waiting: int = Field(default=20_000, ge=1, le=1_000_000)

    # A batch counts each of its transactions, and a whole batch has to fit.
    rate_limit_per_client_per_s: int = Field(default=5_000, ge=MAX_BATCH, le=1_000_000)
    rate_limit_per_player_per_s: int = Field(default=50, ge=1, le=1_000_000)
    # For requests whose token is new or missing, which are the ones that cost a signature check.
    rate_limit_per_address_per_s: int = Field(default=1_000, ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _one_source_of_keys(self) -> Self:
        if (self.jwks_file is None) == (self.jwks_url is None):
            raise ValueError("set one of JWKS_FILE and JWKS_URL")
        return self

    @model_validator(mode="after")
    def _default_within_bound(self) -> Self:
        if self.wait_default_s > self.wait_max_s:
            raise ValueError("WAIT_DEFAULT_S must be at most WAIT_MAX_S")
        return self
