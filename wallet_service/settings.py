"""The wallet's knobs."""

from pydantic import Field, SecretStr

from shared.settings import Dsn, ServiceSettings


class Settings(ServiceSettings):
    """What the wallet reads from its environment."""

    wallet_database_url: Dsn
    # The HMAC keys of the chain, `id:hex[,id:hex…]`, newest first, each of at least 32 bytes.
    chain_keys: SecretStr
    # Records in one batch at most. A larger batch is faster and makes the first command in it wait longer.
    wallet_batch_records: int = Field(default=1000, ge=1, le=5000)
    wallet_pool_connections: int = Field(default=6, ge=2, le=50)
