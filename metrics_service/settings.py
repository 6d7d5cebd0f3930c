"""The metrics service's knobs."""

from pydantic import Field

from shared.settings import Dsn, ServiceSettings, Url


class Settings(ServiceSettings):
    """What the metrics service reads from its environment."""

    metrics_database_url: Dsn
    wallet_service_url: Url
    # Records in one batch at most.
    metrics_batch_records: int = Field(default=500, ge=1, le=1000)
