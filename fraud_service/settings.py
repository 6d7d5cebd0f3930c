"""The fraud service's knobs."""

from datetime import timedelta

from pydantic import Field

from shared.settings import Dsn, ServiceSettings, Url


class Settings(ServiceSettings):
    """What the fraud service reads from its environment."""

    fraud_database_url: Dsn
    wallet_service_url: Url
    # Bets in one minute; a player who made more is above the threshold.
    velocity_threshold: int = Field(default=10, ge=1, le=10_000)
    # How long bets per minute are kept. At least the longest window that can be asked for, which is one day.
    fraud_retention_days: int = Field(default=7, ge=1, le=366)
    # Records in one batch at most.
    fraud_batch_records: int = Field(default=500, ge=1, le=1000)

    @property
    def retention(self) -> timedelta:
        """How long bets per minute are kept."""
        return timedelta(days=self.fraud_retention_days)
