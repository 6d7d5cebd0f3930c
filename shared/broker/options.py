"""Where the cluster is, and the bounds that all clients of it share."""

from dataclasses import dataclass

from shared.settings import ServiceSettings

METADATA_MAX_AGE_MS = 30_000
REQUEST_TIMEOUT_MS = 10_000
START_TIMEOUT_S = 60.0
RECONNECT_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """Where the cluster is, and how this service names itself there."""

    bootstrap_servers: str
    client_id: str
    topic_prefix: str
    idempotent_producer: bool
    # How long the broker may hold back an empty fetch.
    fetch_max_wait_ms: int = 100

    @classmethod
    def of(cls, settings: ServiceSettings, client_id: str) -> "BrokerOptions":
        """From a service's settings."""
        return cls(
            settings.kafka_bootstrap_servers,
            client_id,
            settings.kafka_topic_prefix,
            settings.kafka_idempotent_producer,
            settings.kafka_fetch_max_wait_ms,
        )

    def topic(self, name: str) -> str:
        """A topic's name on this cluster."""
        return self.topic_prefix + name

    def group(self, name: str) -> str:
        """A consumer group's name on this cluster."""
        return self.topic_prefix + name
