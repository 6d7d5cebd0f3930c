"""The metrics service's knobs."""

from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr

from shared.keyring import KeyNames, KeyPlace
from shared.settings import Dsn, Seconds, ServiceSettings, Url

REPORT_KEYS: KeyNames = ("report_keys",)


class Settings(ServiceSettings, KeyPlace):
    """What the metrics service reads from its environment."""

    metrics_database_url: Dsn
    wallet_service_url: Url
    # Records in one batch at most.
    metrics_batch_records: int = Field(default=1000, ge=1, le=1000)
    # Where days begin and end. Days that were closed in one time zone are not mixed with another's.
    figures_time_zone: ZoneInfo = Field(default_factory=lambda: ZoneInfo("UTC"))
    # A day is closed so long after its end.
    figures_close_after_s: Seconds = 300
    # The Ed25519 keys that sign reports, `id:hex[,id:hex…]`, newest first, each the 32 bytes of a seed.
    report_keys: SecretStr | None = None
