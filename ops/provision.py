"""What `langsense migrate` does to PostgreSQL: roles, schemas, their grants, then each service's migrations.

Everything can be repeated: what is there already stays, and passwords become those that are given.

The tables belong to a role that nobody logs in as. A service's role may enter its own schema, and its migrations
grant it what it needs there. Nobody else may enter the database, the administrator excepted.
"""

import asyncio
import hashlib
import hmac
import secrets
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import database, migrations
from shared.errors import ConfigurationError
from shared.migrations import OWNER_ROLE

# Each service's role (it has the name of the service) and its schema. An administrator's session looks into the
# schemas in this order, so that the runbook's queries need no schema names.
SCHEMAS: Final[Mapping[str, str]] = {
    "wallet_service": "wallet",
    "payments_service": "payments",
    "fraud_service": "fraud",
    "compliance_service": "compliance",
    "metrics_service": "metrics",
}

_APPLICATION = "langsense-migrate"
_MAINTENANCE_DATABASE = "postgres"
_SCRAM_ITERATIONS = 4096


def create_database(admin_dsn: str) -> bool:
    """Make the database that `admin_dsn` names, unless it is there; returns whether it was made.

    Raises DatabaseUnavailable. Not from inside an event loop.
    """
    return asyncio.run(_create_database(admin_dsn))


def provision(admin_dsn: str, passwords: Mapping[str, str]) -> None:
    """Bring a database to what the services need.

    `passwords` has one password per service role. It also says which services live on this database: a schema
    moves to another server by a call for that server. Raises ConfigurationError for a role that is no service's or
    for a password outside ASCII, DatabaseUnavailable where a retry can help. Not from inside an event loop.
    """
    for role, password in passwords.items():
        if role not in SCHEMAS:
            raise ConfigurationError(f"there is no service role {role}; the roles are {', '.join(SCHEMAS)}")
        if not password or not password.isascii() or not password.isprintable():
            raise ConfigurationError(f"the password of {role} must be printable ASCII, and not empty")
    asyncio.run(grant(admin_dsn, passwords))
    for service in passwords:
        migrations.upgrade(service, admin_dsn)


def service_dsn(admin_dsn: str, role: str, password: str) -> str:
    """The URL by which a service's role reaches the database that `admin_dsn` names."""
    url = make_url(admin_dsn).set(drivername="postgresql", username=role, password=password)
    return url.render_as_string(hide_password=False)


async def _create_database(admin_dsn: str) -> bool:
    url = make_url(admin_dsn)
    assert url.database, "the administrator's URL names a database"
    maintenance = url.set(database=_MAINTENANCE_DATABASE).render_as_string(hide_password=False)
    engine = database.create_engine(maintenance, application=_APPLICATION, schema="public")
    try:
        with database.unavailable_is_transient():
            async with engine.connect() as connection:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                known = text("SELECT 1 FROM pg_database WHERE datname = :name")
                if (await connection.execute(known, {"name": url.database})).first() is not None:
                    return False
                await connection.exec_driver_sql(f"CREATE DATABASE {_quoted(url.database)}")
                return True
    finally:
        await engine.dispose()


async def grant(admin_dsn: str, passwords: Mapping[str, str]) -> None:
    """Make roles and schemas, and say who may enter what; no tables."""
    engine = database.create_engine(admin_dsn, application=_APPLICATION, schema="public")
    try:
        async with database.transaction(engine) as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": migrations.ADVISORY_LOCK})
            for statement in await _statements(connection, passwords):
                await connection.exec_driver_sql(statement)
    except ProgrammingError as error:
        raise ConfigurationError(f"the administrator's account may not do this: {error.orig}") from error
    finally:
        await engine.dispose()


async def _statements(connection: AsyncConnection, passwords: Mapping[str, str]) -> list[str]:
    name = _quoted((await connection.execute(text("SELECT current_database()"))).scalar_one())
    roles = set((await connection.execute(text("SELECT rolname FROM pg_roles"))).scalars())
    statements = [] if OWNER_ROLE in roles else [f"CREATE ROLE {OWNER_ROLE} NOLOGIN"]
    statements += [
        # An administrator who is no superuser acts as the owner only as its member.
        f"GRANT {OWNER_ROLE} TO CURRENT_USER",
    ]
    for role, password in passwords.items():
        verb = "ALTER" if role in roles else "CREATE"
        statements += [
            f"{verb} ROLE {role} LOGIN PASSWORD '{_scram_verifier(password)}'",
            f"CREATE SCHEMA IF NOT EXISTS {SCHEMAS[role]} AUTHORIZATION {OWNER_ROLE}",
            f"GRANT USAGE ON SCHEMA {SCHEMAS[role]} TO {role}",
        ]
    return [*statements, *of_database(name, passwords)]


def of_database(name: str, roles: Iterable[str]) -> list[str]:
    """What says who may enter a database, by its quoted name. It belongs to that one alone: no copy of it has it."""
    return [
        f"REVOKE ALL ON DATABASE {name} FROM PUBLIC",
        f"ALTER DATABASE {name} SET search_path TO {', '.join(('public', *SCHEMAS.values()))}",
        *(f"GRANT CONNECT ON DATABASE {name} TO {role}" for role in roles),
    ]


def _scram_verifier(password: str) -> str:
    """What PostgreSQL keeps of a password (RFC 5803), made here so that no server's log ever holds the password.

    Its alphabet has no quote, so it stands in a statement as it is.
    """
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _SCRAM_ITERATIONS)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded_salt, encoded_stored, encoded_server = (b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:{encoded_salt}${encoded_stored}:{encoded_server}"


def _quoted(identifier: str) -> str:
    doubled = identifier.replace('"', '""')
    return f'"{doubled}"'
