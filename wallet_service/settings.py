"""The wallet's knobs."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings

from shared import jurisdictions, money
from shared.anchors import URL_PATTERN
from shared.contracts.exclusions import ExclusionType
from shared.contracts.fields import Currency
from shared.contracts.limits import IN_SECONDS, MAX_LIMIT_SECONDS, LimitName
from shared.jurisdictions import TierRule
from shared.keyring import KeySettings
from shared.settings import Dsn, Seconds, ServiceSettings
from wallet_service.domain.limits import Rules, WindowMode, Windows
from wallet_service.domain.restrictions import Tier, Tiers

# Of these, a currency that is to be played in needs every one.
REQUIRED_LIMITS = (
    LimitName.DAILY_DEPOSIT_LIMIT,
    LimitName.DAILY_LOSS_LIMIT,
    LimitName.WEEKLY_LOSS_LIMIT,
    LimitName.MONTHLY_LOSS_LIMIT,
    LimitName.MAX_BET_AMOUNT,
    LimitName.MAX_PAYOUT_AMOUNT,
)

# A decimal amount, such as "500" or "500.00"; zero allows nothing.
Amount = Annotated[str, Field(pattern=r"^[0-9]{1,13}(\.[0-9]{1,4})?$")]


class LimitSettings(BaseSettings):
    """The operator's and the jurisdiction's limits. Amounts are in BASE_CURRENCY where nothing else is said."""

    # A pack of shared/jurisdictions: windows, waits, tiers, and limits of its own.
    jurisdiction: str = "default"
    base_currency: Currency = "USD"
    daily_deposit_limit: Amount = "10000"
    daily_loss_limit: Amount = "500"
    weekly_loss_limit: Amount = "2000"
    monthly_loss_limit: Amount = "5000"
    max_bet_amount: Amount = "1000"
    max_payout_amount: Amount = "100000"
    # After the last deposit, in every currency.
    withdrawal_cooldown_seconds: int = Field(default=86_400, ge=0, le=MAX_LIMIT_SECONDS)
    # JSON: {"EUR": {"DAILY_DEPOSIT_LIMIT": "9000", …}}. Deposits and bets in a currency that is not here are refused.
    currency_limits: dict[Currency, dict[LimitName, Amount]] = Field(default_factory=dict)
    # JSON, as above: what the jurisdiction asks for, where it is not as in its pack. The lower holds.
    jurisdiction_limits: dict[Currency, dict[LimitName, Amount]] = Field(default_factory=dict)
    # calendar: day, ISO week and month in PLATFORM_TIME_ZONE. rolling: 24 hours, 7 days, 30 days. Else the pack's.
    limit_windows: WindowMode | None = None
    # An IANA name, such as Europe/Malta: where days and months begin, for limits and for reconciliations.
    platform_time_zone: ZoneInfo = Field(default_factory=lambda: ZoneInfo("UTC"))
    # A player's own limit is raised so long after it asked, when it confirms. Else the pack's.
    limit_raise_wait_seconds: int | None = Field(default=None, ge=0, le=30 * 86_400)
    # A hold that does not say until when is released by itself after this time.
    hold_expiry_seconds: int = Field(default=7 * 86_400, ge=60, le=365 * 86_400)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for currency, limits in self.currency_limits.items():
            missing = [name for name in REQUIRED_LIMITS if name not in limits]
            if missing:
                raise ValueError(f"CURRENCY_LIMITS: {currency} lacks {missing[0]}")
        self.rules()
        return self

    def rules(self) -> Rules:
        """The limits as decisions take them. Raises ValueError for an amount that its currency cannot have."""
        base = {
            LimitName.DAILY_DEPOSIT_LIMIT: self.daily_deposit_limit,
            LimitName.DAILY_LOSS_LIMIT: self.daily_loss_limit,
            LimitName.WEEKLY_LOSS_LIMIT: self.weekly_loss_limit,
            LimitName.MONTHLY_LOSS_LIMIT: self.monthly_loss_limit,
            LimitName.MAX_BET_AMOUNT: self.max_bet_amount,
            LimitName.MAX_PAYOUT_AMOUNT: self.max_payout_amount,
        }
        cooldown = {LimitName.WITHDRAWAL_COOLDOWN_SECONDS: self.withdrawal_cooldown_seconds}
        operator = {self.base_currency: base} | self.currency_limits
        pack = jurisdictions.load(self.jurisdiction)
        wait_s = self.limit_raise_wait_seconds
        return Rules(
            operator={currency: cooldown | _values(limits, currency) for currency, limits in operator.items()},
            jurisdiction={
                currency: _values(limits, currency)
                for currency, limits in (pack.limits | self.jurisdiction_limits).items()
            },
            windows=Windows(self.limit_windows or WindowMode(pack.windows), self.platform_time_zone),
            raise_wait=pack.raise_wait if wait_s is None else timedelta(seconds=wait_s),
            hold_for=timedelta(seconds=self.hold_expiry_seconds),
            tiers=Tiers(pack.initial_tier, {name: _tier(rule) for name, rule in pack.tiers.items()}),
            permanent_ends=pack.exclusions[ExclusionType.PERMANENT].end_after_h is not None,
        )


def _tier(rule: TierRule) -> Tier:
    deposits = {currency: money.to_minor(amount, currency, zero=True) for currency, amount in rule.deposits.items()}
    return Tier(rule.withdrawals, deposits)


def _values(limits: Mapping[LimitName, str], currency: str) -> dict[LimitName, int]:
    return {name: _value(name, amount, currency) for name, amount in limits.items()}


def _value(name: LimitName, amount: str, currency: str) -> int:
    try:
        return _seconds(amount) if name in IN_SECONDS else money.to_minor(amount, currency, zero=True)
    except ValueError as error:
        raise ValueError(f"{name} in {currency} {error}") from None


def _seconds(amount: str) -> int:
    if not amount.isdigit() or int(amount) > MAX_LIMIT_SECONDS:
        raise ValueError(f"must be at most {MAX_LIMIT_SECONDS} whole seconds")
    return int(amount)


class Settings(ServiceSettings, LimitSettings, KeySettings):
    """What the wallet reads from its environment."""

    wallet_database_url: Dsn
    # Where checkpoints are kept outside the database: file:///path of a folder, one file a lane.
    checkpoint_sink: str = Field(pattern=URL_PATTERN)
    # A lane is sealed when it has so many new rows, or when the oldest of them is this old. One checkpoint covers at
    # most so many rows.
    checkpoint_every_rows: int = Field(default=1000, ge=1, le=10_000)
    checkpoint_every_s: Seconds = 10
    # The whole journal is held to its chain again and again, so many rows a second.
    integrity_rows_per_s: int = Field(default=1000, ge=1, le=100_000)
    # Records in one batch at most. A larger batch is faster and makes the first command in it wait longer.
    wallet_batch_records: int = Field(default=1000, ge=1, le=5000)
    wallet_pool_connections: int = Field(default=6, ge=2, le=50)
