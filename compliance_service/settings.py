"""The compliance service's knobs."""

from typing import Annotated

from pydantic import Field, field_validator

from compliance_service.domain.watching import Thresholds
from shared import jurisdictions, money
from shared.anchors import URL_PATTERN
from shared.contracts.fields import Currency
from shared.keyring import AuditKeySettings
from shared.settings import Dsn, Seconds, ServiceSettings, Url

# A decimal amount, such as "10000" or "10000.00".
Amount = Annotated[str, Field(pattern=r"^[0-9]{1,13}(\.[0-9]{1,4})?$")]


class Settings(ServiceSettings, AuditKeySettings):
    """What the compliance service reads from its environment."""

    compliance_database_url: Dsn
    wallet_service_url: Url
    # The jurisdiction's pack: a file of shared/jurisdictions.
    jurisdiction: str = "default"
    # Where the audit log's checkpoints are kept outside the database: file:///path of a folder.
    audit_sink: str = Field(pattern=URL_PATTERN)
    # The log is sealed when it has so many new entries, or when the oldest of them is this old.
    audit_checkpoint_every_rows: int = Field(default=500, ge=1, le=10_000)
    audit_checkpoint_every_s: Seconds = 10
    # Records of the ledger in one batch at most.
    compliance_batch_records: int = Field(default=500, ge=1, le=1000)
    # JSON: from where a single deposit is large, per currency. Elsewhere none is.
    aml_deposit_thresholds: dict[Currency, Amount] = Field(
        default={"USD": "10000", "EUR": "10000", "GBP": "10000", "JPY": "1500000", "KWD": "3000"}
    )
    # Deposits from so many percent of the threshold on, and below it, are structured where there are so many of one
    # player's within so many hours.
    aml_structuring_percent: int = Field(default=80, ge=1, le=99)
    aml_structuring_count: int = Field(default=3, ge=2, le=100)
    aml_structuring_hours: int = Field(default=72, ge=1, le=24 * 31)

    @field_validator("aml_deposit_thresholds")
    @classmethod
    def _amounts(cls, value: dict[Currency, Amount]) -> dict[Currency, Amount]:
        for currency, amount in value.items():
            money.to_minor(amount, currency)
        return value

    def initial_tier(self) -> str:
        """The tier of a player that was not given one. Raises ConfigurationError."""
        return jurisdictions.load(self.jurisdiction).initial_tier

    def thresholds(self) -> Thresholds:
        """The thresholds as the domain takes them."""
        return Thresholds(
            large={
                currency: money.to_minor(amount, currency) for currency, amount in self.aml_deposit_thresholds.items()
            },
            percent=self.aml_structuring_percent,
            count=self.aml_structuring_count,
            within_h=self.aml_structuring_hours,
        )
