"""Where a platform is: its addresses and the folder of its secrets, from the environment or from a running `up`.

`langsense up` writes `running.json` into its data folder while it runs. Commands that talk to a platform read the
environment first, then that file.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from shared.errors import ConfigurationError

DEFAULT_DATA = Path(".langsense")
RUNNING = "running.json"
SECRETS = "secrets"

SERVICES = ("wallet", "compliance", "fraud", "payments", "metrics")


@dataclass(frozen=True, slots=True)
class Places:
    """The addresses of a platform. `secrets_dir` holds one file a secret, as the services' SECRETS_DIR."""

    gateway_url: str
    kafka_bootstrap_servers: str
    secrets_dir: Path
    service_urls: dict[str, str]
    database_urls: dict[str, str]
    kafka_topic_prefix: str = ""
    kafka_idempotent_producer: bool = True
    kafka_fetch_max_wait_ms: int = 100
    lanes: int = 12
    checkpoint_sink: str = ""
    audit_sink: str = ""
    sandbox_url: str = ""
    broker: str = "external"

    def environment(self) -> dict[str, str]:
        """As environment variables, under the names that the services and every command read."""
        variables = {
            "GATEWAY_URL": self.gateway_url,
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap_servers,
            "KAFKA_TOPIC_PREFIX": self.kafka_topic_prefix,
            "KAFKA_IDEMPOTENT_PRODUCER": "true" if self.kafka_idempotent_producer else "false",
            "KAFKA_FETCH_MAX_WAIT_MS": str(self.kafka_fetch_max_wait_ms),
            "LANES": str(self.lanes),
            "SECRETS_DIR": str(self.secrets_dir),
            "CHECKPOINT_SINK": self.checkpoint_sink,
            "AUDIT_SINK": self.audit_sink,
        }
        if self.sandbox_url:
            variables["SANDBOX_URL"] = self.sandbox_url
        for service, url in self.service_urls.items():
            variables[f"{service.upper()}_SERVICE_URL"] = url
        for service, url in self.database_urls.items():
            variables[f"{service.upper()}_DATABASE_URL"] = url
        return variables


def write(data: Path, places: Places) -> None:
    """Leave the addresses for other commands. The file names passwords, so only its owner may read it."""
    fields = {**asdict(places), "secrets_dir": str(places.secrets_dir)}
    path = data / RUNNING
    path.touch(mode=0o600)
    path.write_text(json.dumps(fields, indent=2))


def remove(data: Path) -> None:
    """The platform has stopped."""
    (data / RUNNING).unlink(missing_ok=True)


def find(data: Path | None = None) -> Places:
    """The platform that the environment names, else the one that runs with this data folder.

    Raises ConfigurationError where there is neither.
    """
    if data is None and "GATEWAY_URL" in os.environ:
        return _from_environment()
    path = (data or DEFAULT_DATA) / RUNNING
    try:
        fields = json.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigurationError(
            f"no platform runs with {path.parent}: start one with `make up`, name its folder with --data, "
            "or set GATEWAY_URL and its neighbours"
        ) from None
    return Places(**{**fields, "secrets_dir": Path(fields["secrets_dir"])})


def _from_environment() -> Places:
    missing = [name for name in ("KAFKA_BOOTSTRAP_SERVERS", "SECRETS_DIR") if not os.environ.get(name)]
    if missing:
        raise ConfigurationError(f"GATEWAY_URL is set, so {' and '.join(missing)} must be too")
    folder = Path(os.environ["SECRETS_DIR"])

    def setting(name: str) -> str:
        file = folder / name.lower()
        return os.environ.get(name) or (file.read_text().strip() if file.is_file() else "")

    return Places(
        gateway_url=os.environ["GATEWAY_URL"],
        kafka_bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        secrets_dir=folder,
        service_urls={service: setting(f"{service.upper()}_SERVICE_URL") for service in SERVICES},
        database_urls={service: setting(f"{service.upper()}_DATABASE_URL") for service in SERVICES},
        kafka_topic_prefix=os.environ.get("KAFKA_TOPIC_PREFIX", ""),
        kafka_idempotent_producer=os.environ.get("KAFKA_IDEMPOTENT_PRODUCER", "true").lower() == "true",
        kafka_fetch_max_wait_ms=int(os.environ.get("KAFKA_FETCH_MAX_WAIT_MS", "100")),
        lanes=int(os.environ.get("LANES", "12")),
        checkpoint_sink=os.environ.get("CHECKPOINT_SINK", ""),
        audit_sink=os.environ.get("AUDIT_SINK", ""),
        sandbox_url=os.environ.get("SANDBOX_URL", ""),
    )
