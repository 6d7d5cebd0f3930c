"""The wallet's knobs."""

from pydantic import Field, SecretStr

from shared.anchors import URL_PATTERN
from shared.settings import Dsn, Seconds, ServiceSettings


class Settings(ServiceSettings):
    """What the wallet reads from its environment."""

    wallet_database_url: Dsn
    # The HMAC keys of the chain, `id:hex[,id:hex…]`, newest first, each of at least 32 bytes.
    chain_keys: SecretStr
    # The Ed25519 keys of the checkpoints, `id:hex[,id:hex…]`, newest first, each the 32 bytes of a seed.
    checkpoint_keys: SecretStr
    # Where checkpoints are kept outside the database: file:///path of a folder, one file a lane.
    checkpoint_sink: str = Field(pattern=URL_PATTERN)
    # A lane is sealed when it has so many new rows, or when the oldest of them is this old. One checkpoint covers at
    # most so many rows.
    checkpoint_every_rows: int = Field(default=1000, ge=1, le=10_000)
    checkpoint_every_s: Seconds = 10
    # Records in one batch at most. A larger batch is faster and makes the first command in it wait longer.
    wallet_batch_records: int = Field(default=1000, ge=1, le=5000)
    wallet_pool_connections: int = Field(default=6, ge=2, le=50)
