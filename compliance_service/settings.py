"""The compliance service's knobs."""

from shared.settings import Dsn, ServiceSettings


class Settings(ServiceSettings):
    """What the compliance service reads from its environment."""

    compliance_database_url: Dsn
