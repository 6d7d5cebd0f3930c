"""A ledger that was made honestly."""

import secrets
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from ops import provision
from ops.infrastructure import Postgres
from shared import database as databases
from tests.ops.ledger import Ledger, fill
from tests.support import Database, copy_database, drop_database, outside_the_loop
from wallet_service import tables


@dataclass(frozen=True)
class Template:
    """A database to copy, and the folder of its checkpoints."""

    name: str
    folder: Path


@pytest.fixture(scope="module")
async def template(
    postgres_server: Postgres, role_passwords: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Template]:
    """A few hundred honest rows, made once and copied for each test."""
    made = Template(f"ledger_{secrets.token_hex(6)}", tmp_path_factory.mktemp("ledger") / "checkpoints")
    dsn = postgres_server.dsn(made.name)
    outside_the_loop(lambda: provision.create_database(dsn))
    outside_the_loop(lambda: provision.provision(dsn, role_passwords))
    engine = databases.create_engine(dsn, application="test", schema=tables.SCHEMA)
    await fill(engine, made.folder)
    await engine.dispose()
    yield made
    await drop_database(postgres_server, made.name)


@pytest.fixture
async def sealed(
    template: Template, postgres_server: Postgres, role_passwords: dict[str, str], tmp_path: Path
) -> AsyncIterator[Ledger]:
    """The honest rows under their checkpoints, and whoever owns the server."""
    name = f"test_{secrets.token_hex(6)}"
    await copy_database(postgres_server, template.name, name)
    database = Database(postgres_server.dsn(name), role_passwords)
    folder = shutil.copytree(template.folder, tmp_path / "checkpoints")
    engine = databases.create_engine(database.dsn("wallet_service"), application="test", schema=tables.SCHEMA)
    administrator = await asyncpg.connect(database.admin_dsn, server_settings={"search_path": tables.SCHEMA})
    await administrator.execute(
        "ALTER TABLE transactions DISABLE TRIGGER USER; ALTER TABLE checkpoints DISABLE TRIGGER USER"
    )
    yield Ledger(database, engine, administrator, folder)
    await administrator.close()
    await engine.dispose()
    await drop_database(postgres_server, name)
