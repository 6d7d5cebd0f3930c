"""The metrics service's knobs."""

from zoneinfo import ZoneInfo

from pydantic import Field

from shared.keyring import ReportKeySettings
from shared.settings import Dsn, Seconds, ServiceSettings, Url


class Settings(ServiceSettings, ReportKeySettings):
    """What the metrics service reads from its environment."""

    metrics_database_url: Dsn
    wallet_service_url: Url
    # Records in one batch at most.
    metrics_batch_records: int = Field(default=1000, ge=1, le=1000)
    # Where days begin and end. Days that were closed in one time zone are not mixed with another's.
    figures_time_zone: ZoneInfo = Field(default_factory=lambda: ZoneInfo("UTC"))
    # A day is closed so long after its end.
    figures_close_after_s: Seconds = 300
