"""The compliance service's knobs."""

from datetime import timedelta
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, field_validator, model_validator

from compliance_service.domain.periods import Every
from compliance_service.domain.play import Rules
from compliance_service.domain.watching import Thresholds
from shared import jurisdictions, money
from shared.anchors import URL_PATTERN
from shared.contracts.fields import Currency
from shared.jurisdictions import Pack
from shared.keyring import AuditKeySettings, KeyNames, KeyPlace
from shared.settings import Dsn, Seconds, ServiceSettings, Url

MIN_SECRET_CHARACTERS = 32
KYC_KEYS: KeyNames = ("kyc_keys", "kyc_index_keys")

# A decimal amount, such as "10000" or "10000.00".
Amount = Annotated[str, Field(pattern=r"^[0-9]{1,13}(\.[0-9]{1,4})?$")]


class KycSettings(KeyPlace):
    """What KYC is checked by, and encrypted with."""

    # The keys that wrap players' data keys, `id:hex[,id:hex…]`, newest first, each of 32 bytes.
    kyc_keys: SecretStr | None = None
    # The HMAC keys of the blind indexes, written alike. One stays for as long as documents are indexed by it.
    kyc_index_keys: SecretStr | None = None
    # Without a URL, what no rule speaks against is verified.
    kyc_provider_url: Url | None = None
    # What both sides sign with, each of at least 32 characters; several with commas between, the newest first.
    kyc_provider_secret: SecretStr | None = None

    @model_validator(mode="after")
    def _a_provider_signs(self) -> Self:
        secrets = self.provider_secrets()
        if self.kyc_provider_url is not None and not secrets:
            raise ValueError("KYC_PROVIDER_URL needs KYC_PROVIDER_SECRET")
        if any(len(secret) < MIN_SECRET_CHARACTERS for secret in secrets):
            raise ValueError(f"KYC_PROVIDER_SECRET: each must have at least {MIN_SECRET_CHARACTERS} characters")
        return self

    def provider_secrets(self) -> list[str]:
        """The provider's secrets, the newest first."""
        text = "" if self.kyc_provider_secret is None else self.kyc_provider_secret.get_secret_value()
        return [secret.strip() for secret in text.split(",") if secret.strip()]


class Settings(ServiceSettings, AuditKeySettings, KycSettings):
    """What the compliance service reads from its environment."""

    compliance_database_url: Dsn
    wallet_service_url: Url
    # The pack that holds for the platform: a file of shared/jurisdictions.
    jurisdiction: str = "default"
    # Where days begin, for ages and for documents' last days.
    platform_time_zone: ZoneInfo = Field(default_factory=lambda: ZoneInfo("UTC"))
    # A pause between two bets that is longer than this ends a session of play.
    session_gap_minutes: int = Field(default=15, ge=1, le=240)
    # Where the audit log's checkpoints are kept outside the database: file:///path of a folder.
    audit_sink: str = Field(pattern=URL_PATTERN)
    # The log is sealed when it has so many new entries, or when the oldest of them is this old.
    audit_checkpoint_every_rows: int = Field(default=500, ge=1, le=10_000)
    audit_checkpoint_every_s: Seconds = 10
    # JSON: of what compliance audits are made by themselves, once it is over: "week" (ISO), "month".
    compliance_audits_every: frozenset[Every] = frozenset({"week", "month"})
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

    @field_validator("jurisdiction")
    @classmethod
    def _is_a_pack(cls, name: str) -> str:
        if name not in jurisdictions.names():
            raise ValueError(f"must be one of {', '.join(jurisdictions.names())}")
        return name

    def pack(self) -> Pack:
        """The jurisdiction's pack."""
        return jurisdictions.load(self.jurisdiction)

    def play_rules(self) -> Rules:
        """What sessions of play are counted by."""
        return Rules(timedelta(minutes=self.session_gap_minutes), self.platform_time_zone, self.pack())

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
