"""The audit log: chained in the act's own transaction, in months, sealed outside, and not the service's to change."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_service.domain.audit import AuditEntry, Head, chained
from compliance_service.handlers.audit_sealer import AuditSealer
from compliance_service.repository.audit import AuditLog, Sought, record
from compliance_service.repository.audit_seals import AuditSeals
from compliance_service.settings import Settings
from shared.anchors import CheckpointFiles
from shared.keyring import Keyring
from shared.signing import GENESIS
from shared.telemetry import Metrics
from tests.support import Database, as_administrator

EVERYTHING = Sought()


def entry(action: str = "EXPORT", user_id: int | None = 42, actor: str = "ann") -> AuditEntry:
    return AuditEntry(action, user_id, actor, "a \n reason", {"tier": "A"}, {"tier": "B"}, "r-1")


def test_no_entry_is_dated_before_the_one_in_front_of_it(keyring: Keyring) -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    (made,) = chained(Head(3, now + timedelta(hours=1), GENESIS), [entry()], now, keyring.chain)
    assert (made.row.number, made.row.at) == (4, now + timedelta(hours=1))


@pytest.mark.integration
class TestRecording:
    async def test_entries_are_there_if_the_act_is(self, engine: AsyncEngine) -> None:
        log = AuditLog(engine)
        await log.add([entry("ONE"), entry("TWO")])
        async with engine.connect() as connection:
            await record(connection, entry("UNDONE"))
            await connection.rollback()
        await log.add([entry("THREE")])
        rows = await log.page(EVERYTHING, before=None, limit=10)
        assert [(row.number, row.action) for row in rows] == [(3, "THREE"), (2, "TWO"), (1, "ONE")]
        assert [row.previous for row in rows] == [rows[1].checksum, rows[2].checksum, GENESIS]
        assert rows[0].before == {"tier": "A"}

    async def test_writers_at_the_same_time_make_one_chain(self, engine: AsyncEngine) -> None:
        log = AuditLog(engine)
        await asyncio.gather(*(log.add([entry(actor=str(each)), entry()]) for each in range(20)))
        rows = await log.page(EVERYTHING, before=None, limit=100)
        assert [row.number for row in rows] == list(range(40, 0, -1))
        assert all(later.previous == earlier.checksum for later, earlier in pairwise(rows))

    async def test_a_new_month_has_a_part_of_its_own(self, engine: AsyncEngine, database: Database) -> None:
        await AuditLog(engine).add([entry()])
        await as_administrator(database, "UPDATE compliance.audit_head SET at = date_trunc('month', now()) + '32 days'")
        await AuditLog(engine).add([entry()])
        parts = await as_administrator(database, "SELECT 1 FROM pg_inherits WHERE inhparent = 'audit_log'::regclass")
        assert len(parts) == 2

    @pytest.mark.parametrize(
        ("sought", "found"),
        [
            (Sought(user_id=42), [3, 1]),
            (Sought(actor="bob"), [3]),
            (Sought(action="LOGIN"), [2]),
            (Sought(user_id=42, actor="ann"), [1]),
            (Sought(start=datetime(2199, 1, 1, tzinfo=UTC)), []),
            (Sought(end=datetime(2199, 1, 1, tzinfo=UTC)), [3, 2, 1]),
        ],
    )
    async def test_it_is_sought_by_what_is_asked(self, engine: AsyncEngine, sought: Sought, found: list[int]) -> None:
        log = AuditLog(engine)
        await log.add([entry(), entry("LOGIN", None), entry("EXPORT", 42, "bob")])
        assert [row.number for row in await log.page(sought, before=None, limit=10)] == found


@pytest.mark.integration
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'nobody'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "ALTER TABLE audit_log DISABLE TRIGGER ALL",
        "UPDATE audit_checkpoints SET number = 9",
        "DELETE FROM audit_checkpoints",
    ],
)
async def test_the_service_cannot_change_what_is_on_the_record(engine: AsyncEngine, statement: str) -> None:
    await AuditLog(engine).add([entry()])
    with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
        async with engine.begin() as connection:
            await connection.execute(text(statement))
    assert len(await AuditLog(engine).page(EVERYTHING, before=None, limit=10)) == 1


@pytest.mark.integration
@pytest.mark.parametrize("statement", ["UPDATE {} SET actor = 'x'", "DELETE FROM {}", "TRUNCATE {}"])
async def test_nor_can_an_administrator_by_mistake(engine: AsyncEngine, database: Database, statement: str) -> None:
    await AuditLog(engine).add([entry()])
    (part,) = await as_administrator(
        database, "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'audit_log'::regclass"
    )
    for table in ("compliance.audit_log", f"{part['name']}"):
        with pytest.raises(Exception, match="append-only"):
            await as_administrator(database, statement.format(table))


@pytest.mark.integration
class TestSealing:
    @pytest.fixture
    def metrics(self) -> Metrics:
        return Metrics()

    @pytest.fixture
    def sealer(self, settings: Settings, engine: AsyncEngine, keyring: Keyring, metrics: Metrics) -> AuditSealer:
        eager = settings.model_copy(update={"audit_checkpoint_every_rows": 2, "audit_checkpoint_every_s": 3600})
        return AuditSealer(eager, engine=engine, keyring=keyring, metrics=metrics)

    async def test_what_is_sealed_is_outside_too(
        self, sealer: AuditSealer, engine: AsyncEngine, settings: Settings
    ) -> None:
        await AuditLog(engine).add([entry()] * 5)
        await sealer.look()
        made = await AuditSeals(engine).after(0, 10)
        assert [(each.first_position, each.last_position) for each in made] == [(1, 2), (3, 4)]
        assert CheckpointFiles.at(settings.audit_sink).last(0) == made[-1]

    async def test_what_was_altered_is_not_sealed_and_that_is_measured(
        self, sealer: AuditSealer, engine: AsyncEngine, database: Database, metrics: Metrics
    ) -> None:
        await AuditLog(engine).add([entry()] * 2)
        await as_administrator(database, "ALTER TABLE compliance.audit_log DISABLE TRIGGER USER")
        await as_administrator(database, "UPDATE compliance.audit_log SET actor = 'bob' WHERE number = 2")
        await sealer.look()
        assert sealer.problem() == "audit log, entry 2: the checksum is not this row's"
        assert b"langsense_unsealable_audit_log 1.0" in metrics.exposition()
        assert await AuditSeals(engine).after(0, 10) == []
