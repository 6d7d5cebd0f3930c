"""The fraud service's knobs."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from fraud_service.domain.blocks import BlockPolicy
from fraud_service.domain.readings import Parameters
from fraud_service.domain.scoring import Levels
from shared import money
from shared.contracts.fields import Currency
from shared.settings import Dsn, Seconds, ServiceSettings, Url

# A decimal amount, such as "10000" or "10000.00".
Amount = Annotated[str, Field(pattern=r"^[0-9]{1,13}(\.[0-9]{1,4})?$")]
Points = Annotated[int, Field(ge=1, le=99)]


class Settings(ServiceSettings):
    """What the fraud service reads from its environment."""

    fraud_database_url: Dsn
    wallet_service_url: Url
    # Bets in one minute; a player who made more is above the threshold. Rules read it by this name.
    velocity_threshold: int = Field(default=10, ge=1, le=10_000)
    # Wins in a row; more are a streak.
    winning_streak_threshold: int = Field(default=20, ge=1, le=60)
    # A withdrawal so soon after a deposit is rapid.
    rapid_withdrawal_minutes: int = Field(default=5, ge=1, le=1440)
    # JSON: what deposits stay just under when they are structured, per currency.
    fraud_deposit_limits: dict[Currency, Amount] = Field(
        default={"USD": "10000", "EUR": "10000", "GBP": "10000", "JPY": "1500000", "KWD": "3000"}
    )
    # From so many percent of that limit on, a deposit is just under it.
    fraud_structuring_percent: int = Field(default=80, ge=1, le=99)
    # SUSPICIOUS and RISKY begin at their score, FRAUDULENT above its own.
    fraud_suspicious_score: Points = 25
    fraud_risky_score: Points = 50
    fraud_fraudulent_score: Points = 75
    # What a flag does by itself: `review` leaves all to people, `block` blocks its player in the wallet at once.
    fraud_block_policy: BlockPolicy = BlockPolicy.REVIEW
    # A change of the rules acts on every instance within this time.
    fraud_rules_look_every_s: Seconds = 1
    # How long bets per minute are kept. At least the longest window that can be asked for, which is one day.
    fraud_retention_days: int = Field(default=7, ge=1, le=366)
    # How long rounds, signals and uses of instruments and devices are kept: what a backtest can see. Features look back
    # 30 days, and what Kafka repeats within 7 is known to be repeated.
    fraud_events_days: int = Field(default=180, ge=31, le=3660)
    # How long the history of scores, the counts of rules and finished jobs are kept.
    fraud_records_days: int = Field(default=400, ge=91, le=3660)
    # Players that are scored again in a second, by all instances together.
    fraud_reprocessing_per_s: int = Field(default=500, ge=1, le=100_000)
    # What a backtest replays at most: rows of the journal, rounds and shared instruments of its period.
    fraud_backtest_rows: int = Field(default=500_000, ge=1, le=5_000_000)
    # Records in one batch at most.
    fraud_batch_records: int = Field(default=1000, ge=1, le=1000)

    @field_validator("fraud_deposit_limits")
    @classmethod
    def _amounts(cls, value: dict[Currency, Amount]) -> dict[Currency, Amount]:
        for currency, amount in value.items():
            money.to_minor(amount, currency)
        return value

    @model_validator(mode="after")
    def _levels_rise(self) -> "Settings":
        if not self.fraud_suspicious_score < self.fraud_risky_score < self.fraud_fraudulent_score:
            raise ValueError("FRAUD_SUSPICIOUS_SCORE, FRAUD_RISKY_SCORE and FRAUD_FRAUDULENT_SCORE must rise")
        return self

    @property
    def retention(self) -> timedelta:
        """How long bets per minute are kept."""
        return timedelta(days=self.fraud_retention_days)

    @property
    def events_kept(self) -> timedelta:
        """How long rounds, signals and uses are kept."""
        return timedelta(days=self.fraud_events_days)

    @property
    def records_kept(self) -> timedelta:
        """How long scores, counts and jobs are kept."""
        return timedelta(days=self.fraud_records_days)

    def parameters(self) -> Parameters:
        """What features and rules read."""
        return Parameters(
            velocity_threshold=self.velocity_threshold,
            winning_streak_threshold=self.winning_streak_threshold,
            rapid_withdrawal_minutes=self.rapid_withdrawal_minutes,
            structuring_percent=self.fraud_structuring_percent,
            deposit_limits={
                currency: money.to_minor(amount, currency) for currency, amount in self.fraud_deposit_limits.items()
            },
        )

    def levels(self) -> Levels:
        """Where levels begin."""
        return Levels(self.fraud_suspicious_score, self.fraud_risky_score, self.fraud_fraudulent_score)
