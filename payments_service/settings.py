"""The payments service's knobs."""

from shared.settings import Dsn, ServiceSettings


class Settings(ServiceSettings):
    """What the payments service reads from its environment."""

    payments_database_url: Dsn
