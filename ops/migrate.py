"""`langsense migrate`: databases, roles, schemas, tables and topics, as this version needs them. Can be repeated."""

import asyncio
from pathlib import Path

from ops import development_secrets, provision
from shared import broker
from shared.broker import BrokerOptions
from shared.lanes import DEFAULT_LANES


def databases(admin_dsn: str, secrets_dir: Path) -> None:
    """Make the database and the services' roles, migrate every schema, and leave each service its URL.

    Reads the roles' passwords from the folder and writes `{service}_database_url` into it.
    """
    provision.create_database(admin_dsn)
    passwords = {
        role: development_secrets.read(secrets_dir, development_secrets.password_file(role))
        for role in provision.SCHEMAS
    }
    provision.provision(admin_dsn, passwords)
    for role, password in passwords.items():
        service = role.removesuffix("_service")
        dsn = provision.service_dsn(admin_dsn, role, password)
        development_secrets.write(secrets_dir, f"{service}_database_url", dsn)


def topics(bootstrap_servers: str, *, prefix: str = "", lanes: int = DEFAULT_LANES, replication: int = 1) -> list[str]:
    """Declare the topics that are not there; returns their names."""
    options = BrokerOptions(bootstrap_servers, "langsense-migrate", prefix, idempotent_producer=False)
    return asyncio.run(broker.create_topics(options, lanes, replication=replication))
