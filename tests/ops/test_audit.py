"""What was altered in the audit log, by someone who may do anything but does not have the keys, is found."""

import gzip
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_service.domain.audit import AuditEntry, Head, chained
from compliance_service.handlers.audit_sealer import AuditSealer
from compliance_service.repository.audit import AuditLog, signing_with
from compliance_service.settings import Settings
from ops import proof
from ops.archive import Archive
from ops.proof import Outside
from shared import database as databases
from shared.contracts.audit import NewAuditEntry
from shared.errors import IntegrityViolation
from shared.keyring import AUDIT_KEYS, Keyring
from shared.signing import GENESIS
from shared.telemetry import Metrics
from tests.support import TOKEN, Database

pytestmark = pytest.mark.integration

KEYS, SIGNING = "a1:" + "66" * 32, "b1:" + "77" * 32
ENTRIES, EVERY = 25, 10
ENTRY = AuditEntry("EXPORT", 42, "ann", "why", {"state": "A"}, {"state": "B"}, "r-1")


@dataclass(frozen=True)
class Log:
    """An honest log of 25 entries, 20 of them sealed, that anything may be done to."""

    database: Database
    engine: AsyncEngine
    administrator: asyncpg.Connection
    settings: Settings
    keyring: Keyring
    folder: Path

    def sealer(self) -> AuditSealer:
        """One that has not sealed yet."""
        return AuditSealer(self.settings, engine=self.engine, keyring=self.keyring, metrics=Metrics())

    @property
    def sink(self) -> str:
        return self.folder.as_uri()

    async def findings(self, archive: Path | None = None) -> list[str]:
        keys = self.keyring
        async with proof.snapshot(self.database.dsn("compliance_service"), "compliance") as connection:
            check = await proof.audited(connection, keys.chain, keys.signing.public(), Outside.now(self.sink), archive)
        return check.findings


@pytest.fixture
async def log(database: Database, tmp_path: Path) -> AsyncIterator[Log]:
    keyring = Keyring.parse(KEYS, SIGNING, AUDIT_KEYS)
    dsn, folder = database.dsn("compliance_service"), tmp_path / "audit"
    engine = signing_with(databases.create_engine(dsn, application="test", schema="compliance"), keyring)
    await AuditLog(engine).add([ENTRY] * ENTRIES)
    settings = Settings.load(
        kafka_bootstrap_servers="127.0.0.1:1",
        internal_api_token=TOKEN,
        compliance_database_url=dsn,
        wallet_service_url="http://127.0.0.1:1",
        audit_keys=KEYS,
        audit_signing_keys=SIGNING,
        audit_sink=folder.as_uri(),
        audit_checkpoint_every_rows=EVERY,
        audit_checkpoint_every_s=3600,
    )
    administrator = await asyncpg.connect(database.admin_dsn, server_settings={"search_path": "compliance"})
    await administrator.execute(
        "ALTER TABLE audit_log DISABLE TRIGGER USER; ALTER TABLE audit_checkpoints DISABLE TRIGGER USER"
    )
    made = Log(database, engine, administrator, settings, keyring, folder)
    await made.sealer().look()
    yield made
    await administrator.close()
    await engine.dispose()


async def test_an_honest_log_holds(log: Log) -> None:
    assert await log.findings() == []


TAMPERED = {
    "an edited actor": ("UPDATE audit_log SET actor = 'bob' WHERE number = 5", "entry 5", "checksum mismatch"),
    "an edited change": (
        """UPDATE audit_log SET after = '{"state":"C"}' WHERE number = 5""",
        "entry 5",
        "checksum mismatch",
    ),
    "an edit of the unsealed end": (
        "UPDATE audit_log SET reason = NULL WHERE number = 25",
        "entry 25",
        "checksum mismatch",
    ),
    "a deleted entry": ("DELETE FROM audit_log WHERE number = 5", "entry 6", "missing or out of order"),
    "an inserted entry": (
        """UPDATE audit_log SET number = -number - 1 WHERE number >= 5;
        UPDATE audit_log SET number = -number WHERE number < 0;
        CREATE TEMP TABLE forged AS SELECT * FROM audit_log WHERE number = 4;
        UPDATE forged SET number = 5;
        INSERT INTO audit_log SELECT * FROM forged;
        UPDATE audit_head SET number = number + 1""",
        "entry 5",
        "checksum mismatch",
    ),
    "two swapped entries": (
        """UPDATE audit_log SET number = -1 WHERE number = 5;
        UPDATE audit_log SET number = 5 WHERE number = 6;
        UPDATE audit_log SET number = 6 WHERE number = -1""",
        "entry 5",
        "checksum mismatch",
    ),
    "a tail that is cut": (
        """DELETE FROM audit_log WHERE number > 15; DELETE FROM audit_checkpoints WHERE number > 1;
        UPDATE audit_head SET number = 15, checksum = (SELECT checksum FROM audit_log WHERE number = 15)""",
        "entry 15",
        "is the last, and checkpoint 2 sealed rows up to 20",
    ),
    "a beginning that is cut": (
        "DELETE FROM audit_log WHERE number <= 10",
        "entry 11",
        "the log does not say that what was before is archived",
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
async def test_what_was_altered_is_found_at_its_place(name: str, log: Log) -> None:
    statement, place, said = TAMPERED[name]
    await log.administrator.execute(statement)
    found = await log.findings()
    assert any(f"{place}: " in line.replace("position", "entry") and said in line for line in found), found


class TestTheArchive:
    """Months that are over go into files, and off the table once these are verified."""

    NOW = datetime(2026, 11, 24, tzinfo=UTC)
    KEEP = timedelta(days=90)

    @pytest.fixture
    async def old(self, log: Log) -> Log:
        """The honest log, begun again in June, August and September."""
        await log.administrator.execute("DELETE FROM audit_log; DELETE FROM audit_checkpoints")
        shutil.rmtree(log.folder)
        head = Head(0, datetime(2026, 1, 1, tzinfo=UTC), GENESIS)
        for month in (6, 8, 9):
            at = datetime(2026, month, 15, tzinfo=UTC)
            await log.administrator.execute("SELECT make_audit_month($1)", at)
            for made in chained(head, [ENTRY] * 15, at, log.keyring.chain):
                row = made.row
                await log.administrator.execute(
                    f"INSERT INTO audit_log ({', '.join(row._fields)}, previous, checksum) "
                    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                    *(*row, made.previous, made.checksum),
                )
                head = Head(row.number, row.at, made.checksum)
        await log.administrator.execute("UPDATE audit_head SET number = $1, at = $2, checksum = $3", *head)
        await log.administrator.execute("ALTER TABLE audit_log ENABLE TRIGGER USER")
        await log.sealer().look()
        return log

    @pytest.fixture
    async def archive(self, old: Log, tmp_path: Path) -> AsyncIterator[Archive]:
        administrator = databases.create_engine(old.database.admin_dsn, application="test", schema="compliance")

        async def record(entry: NewAuditEntry) -> None:
            await AuditLog(old.engine).add([AuditEntry(**dict(entry))])

        dsn, outside = old.database.dsn("compliance_service"), Outside.now(old.sink)
        yield Archive(administrator, dsn, tmp_path / "archive", old.keyring, outside, record, "ann")
        await administrator.dispose()

    async def numbers(self, log: Log) -> list[int]:
        return [row["number"] for row in await log.administrator.fetch("SELECT number FROM audit_log ORDER BY number")]

    async def test_what_is_old_enough_is_archived_and_all_of_it_is_one_chain(self, old: Log, archive: Archive) -> None:
        made = await archive.run(self.NOW, self.KEEP)
        assert [(each.month, each.file.name, each.through) for each in made] == [
            ("2026-06", "audit-2026-06.jsonl.gz", 15)
        ]
        assert await self.numbers(old) == list(range(16, 47))
        assert await old.findings(archive.folder) == []
        assert await old.findings() == []
        assert await archive.run(self.NOW, self.KEEP) == []

        (august,) = await archive.run(self.NOW + timedelta(days=10), self.KEEP)
        assert (august.month, august.through) == ("2026-08", 30)
        assert await old.findings(archive.folder) == []
        assert await old.findings() == []

    async def test_what_does_not_hold_is_not_dropped(self, old: Log, archive: Archive) -> None:
        await old.administrator.execute("ALTER TABLE audit_log DISABLE TRIGGER USER")
        await old.administrator.execute("UPDATE audit_log SET actor = 'bob' WHERE number = 7")
        with pytest.raises(IntegrityViolation, match="nothing is dropped: audit log, position 7"):
            await archive.run(self.NOW, self.KEEP)
        assert await self.numbers(old) == list(range(1, 46))

    async def test_an_archive_that_was_altered_or_cut_is_found(self, old: Log, archive: Archive) -> None:
        (made,) = await archive.run(self.NOW, self.KEEP)
        whole = made.file.read_bytes()
        made.file.write_bytes(gzip.compress(gzip.decompress(whole).replace(b"ann", b"bob", 1)))
        assert "position 1: verification error" in (await old.findings(archive.folder))[0]
        made.file.write_bytes(whole[:-20])
        assert "is not whole" in (await old.findings(archive.folder))[0]

    async def test_the_service_cannot_drop_a_month(self, old: Log) -> None:
        with pytest.raises(DBAPIError, match="must be owner"):
            async with old.engine.begin() as connection:
                await connection.execute(text("DROP TABLE audit_log_2026_06"))
