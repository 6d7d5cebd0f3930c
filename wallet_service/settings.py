"""The wallet's knobs."""

from pydantic import Field

from shared.anchors import URL_PATTERN
from shared.keyring import KeySettings
from shared.settings import Dsn, Seconds, ServiceSettings


class Settings(ServiceSettings, KeySettings):
    """What the wallet reads from its environment."""

    wallet_database_url: Dsn
    # Where checkpoints are kept outside the database: file:///path of a folder, one file a lane.
    checkpoint_sink: str = Field(pattern=URL_PATTERN)
    # A lane is sealed when it has so many new rows, or when the oldest of them is this old. One checkpoint covers at
    # most so many rows.
    checkpoint_every_rows: int = Field(default=1000, ge=1, le=10_000)
    checkpoint_every_s: Seconds = 10
    # Records in one batch at most. A larger batch is faster and makes the first command in it wait longer.
    wallet_batch_records: int = Field(default=1000, ge=1, le=5000)
    wallet_pool_connections: int = Field(default=6, ge=2, le=50)
