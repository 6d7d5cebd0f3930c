"""The sealer on real tables and files: what is due is sealed once, whatever a crash leaves undone."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database as databases
from shared.anchors import CheckpointFiles
from shared.broker import BrokerOptions
from shared.checkpoints import wrong_successor
from shared.contracts import topics
from shared.contracts.checkpoints import Checkpoint
from shared.contracts.kinds import Kind
from shared.keyring import Keyring
from shared.lanes import lane_of
from shared.signing import CONTENT_SQL, ChainKeys, content
from shared.telemetry import Metrics
from tests.support import LANES, TOKEN, Database, Recorder, as_administrator, started
from tests.wallet_service.client import Client
from tests.wallet_service.support import CHAIN_KEYS, CHECKPOINT_KEYS, command, decide
from wallet_service.app import create_app
from wallet_service.domain.needs import JournalRow
from wallet_service.handlers import sealer as sealers
from wallet_service.handlers.sealer import Sealer
from wallet_service.repository import Reads, Seals
from wallet_service.settings import Settings

pytestmark = pytest.mark.integration

KEYS = ChainKeys.parse(CHAIN_KEYS)
USER = 42
LANE = lane_of(USER, LANES)

Make = Callable[..., Sealer]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


@pytest.fixture
def files(folder: Path) -> CheckpointFiles:
    return CheckpointFiles(folder)


@pytest.fixture
def topic() -> Recorder:
    return Recorder()


@pytest.fixture
def make(
    engine: AsyncEngine, database: Database, folder: Path, topic: Recorder, monkeypatch: pytest.MonkeyPatch
) -> Make:
    monkeypatch.setattr(sealers, "RESTS", 0)

    def sealer(*, every_rows: int = 10, every_s: float = 3600) -> Sealer:
        settings = Settings.load(
            kafka_bootstrap_servers="127.0.0.1:1",
            internal_api_token=TOKEN,
            wallet_database_url=database.dsn("wallet_service"),
            chain_keys=CHAIN_KEYS,
            checkpoint_keys=CHECKPOINT_KEYS,
            checkpoint_sink=folder.as_uri(),
            checkpoint_every_rows=every_rows,
            checkpoint_every_s=every_s,
        )
        keyring = Keyring.parse(CHAIN_KEYS, CHECKPOINT_KEYS)
        return Sealer(settings, engine=engine, keyring=keyring, publisher=topic, metrics=Metrics())

    return sealer


async def deposits(engine: AsyncEngine, count: int) -> list[JournalRow]:
    return await decide(engine, [command(Kind.DEPOSIT, user_id=USER) for _ in range(count)], LANES, KEYS)


async def in_table(engine: AsyncEngine) -> list[Checkpoint]:
    return list(await Seals(engine).after(LANE, 0, 1000))


def outside(files: CheckpointFiles) -> list[Checkpoint]:
    return list(files.read(LANE, files.sizes()[LANE]))


def published(topic: Recorder) -> list[Checkpoint]:
    return [Checkpoint.model_validate_json(value) for _, _, value, _, _ in topic.sent]


async def test_so_many_rows_are_sealed_and_the_rest_waits(
    make: Make, engine: AsyncEngine, files: CheckpointFiles, topic: Recorder
) -> None:
    await deposits(engine, 25)
    sealer = make()
    await sealer.look()
    found = await in_table(engine)
    assert [(each.number, each.first_position, each.last_position) for each in found] == [(1, 1, 10), (2, 11, 20)]
    assert [wrong_successor(*pair) for pair in zip(found, [None, *found], strict=False)] == [None, None]
    assert outside(files) == found
    assert published(topic) == found
    name, key, _, headers, partition = topic.sent[0]
    assert (name, key, partition) == (topics.LEDGER_CHECKPOINTS, str(LANE).encode(), 0)
    assert headers["ce_type"] == b"ledger.checkpoint.sealed.v1"
    await sealer.look()
    assert await in_table(engine) == found
    assert len(topic.sent) == 2


async def test_what_has_waited_long_enough_is_sealed(make: Make, engine: AsyncEngine) -> None:
    await deposits(engine, 3)
    await make(every_s=3600).look()
    assert await in_table(engine) == []
    await make(every_s=0.0001).look()
    assert [each.rows for each in await in_table(engine)] == [3]


async def test_the_rows_are_the_journals_to_the_letter(engine: AsyncEngine) -> None:
    """PostgreSQL forms the same bytes as `shared.signing.content`, whatever is in the fields."""
    nasty = "ä \\ \" ' \t % 日本".replace("\t", " ")
    await decide(
        engine,
        [
            command(Kind.DEPOSIT, user_id=USER),
            command(Kind.GAME_BET, 10**9, user_id=USER, reference_id=nasty, round_id=nasty),
            command(Kind.ADJUSTMENT_DEBIT, 5, user_id=USER, reason=nasty, actor=nasty),
            command(Kind.GAME_PAYOUT, user_id=USER, round_id=None),
        ],
        LANES,
        KEYS,
    )
    rows = await Reads(engine, LANES).journal(LANE, 0, 100)
    assert {row.content.status for row in rows} == {"posted", "refused"}
    assert any(row.content.facts for row in rows)
    async with databases.reading(engine) as connection:
        raw = await connection.exec_driver_sql(f"SELECT {CONTENT_SQL} FROM transactions t ORDER BY position")
        assert [each[0] for each in raw] == [content(row.content) for row in rows]


async def test_two_instances_seal_each_row_once(make: Make, engine: AsyncEngine, files: CheckpointFiles) -> None:
    await deposits(engine, 200)
    await asyncio.gather(*(make().look() for _ in range(3)))
    await make().look()
    found = await in_table(engine)
    assert [each.first_position for each in found] == list(range(1, 200, 10))
    assert outside(files) == found


async def test_a_batch_does_not_wait_for_a_seal(make: Make, engine: AsyncEngine, database: Database) -> None:
    await deposits(engine, 20)
    await make().look()
    async with databases.transaction(engine) as connection:
        await connection.exec_driver_sql(f"SELECT * FROM seals WHERE lane = {LANE} FOR UPDATE")
        async with asyncio.timeout(5):
            await deposits(engine, 20)
            # Somebody is sealing this lane: it is left alone.
            await make().look()
    assert len(await in_table(engine)) == 2
    await make().look()
    assert len(await in_table(engine)) == 4


class TestHealing:
    """A crash between table, file and topic leaves nothing undone, and no number twice in a file."""

    async def test_sealed_and_not_anchored(
        self, make: Make, engine: AsyncEngine, files: CheckpointFiles, topic: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await deposits(engine, 30)
        with monkeypatch.context() as crash:
            crash.setattr(CheckpointFiles, "append", _crash)
            with pytest.raises(Crash):
                await make().look()
        assert len(await in_table(engine)) == 3
        await make().look()
        assert outside(files) == published(topic) == await in_table(engine)

    async def test_anchored_and_not_published(
        self, make: Make, engine: AsyncEngine, files: CheckpointFiles, topic: Recorder
    ) -> None:
        await deposits(engine, 30)
        topic.away = True
        sealer = make()
        await sealer.look()
        assert len(outside(files)) == 3
        assert topic.sent == []
        topic.away = False
        await sealer.look()
        assert published(topic) == outside(files)

    async def test_published_and_not_marked(
        self, make: Make, engine: AsyncEngine, topic: Recorder, files: CheckpointFiles, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await deposits(engine, 10)
        with monkeypatch.context() as crash:
            crash.setattr(Seals, "mark_published", _crash)
            with pytest.raises(Crash):
                await make().look()
        await make().look()
        assert [each.number for each in published(topic)] == [1, 1]
        assert [each.number for each in outside(files)] == [1]

    async def test_a_folder_that_is_away_holds_up_no_seal(
        self, make: Make, engine: AsyncEngine, files: CheckpointFiles, tmp_path: Path
    ) -> None:
        sealer = make()
        await deposits(engine, 10)
        await sealer.look()
        (tmp_path / "checkpoints").rename(tmp_path / "away")
        (tmp_path / "checkpoints").write_text("no folder")
        await deposits(engine, 10)
        await sealer.look()
        assert len(await in_table(engine)) == 2
        (tmp_path / "checkpoints").unlink()
        (tmp_path / "away").rename(tmp_path / "checkpoints")
        await sealer.look()
        assert outside(files) == await in_table(engine)


class TestRefusing:
    """What is not as it must be is not signed; the other lanes go on."""

    async def test_a_changed_row(self, make: Make, engine: AsyncEngine, database: Database) -> None:
        await deposits(engine, 20)
        other = next(user for user in range(1, 100) if lane_of(user, LANES) != LANE)
        await decide(engine, [command(Kind.DEPOSIT, user_id=other) for _ in range(10)], LANES, KEYS)
        await as_administrator(database, "ALTER TABLE wallet.transactions DISABLE TRIGGER USER")
        await as_administrator(
            database, f"UPDATE wallet.transactions SET amount = 1 WHERE lane = {LANE} AND position = 15"
        )
        sealer = make()
        await sealer.look()
        assert [each.last_position for each in await in_table(engine)] == [10]
        assert len(await Seals(engine).after(lane_of(other, LANES), 0, 10)) == 1

    async def test_a_table_that_lost_what_is_outside(
        self, make: Make, engine: AsyncEngine, database: Database, files: CheckpointFiles
    ) -> None:
        await deposits(engine, 30)
        await make().look()
        await as_administrator(database, "ALTER TABLE wallet.checkpoints DISABLE TRIGGER USER")
        await as_administrator(database, "DELETE FROM wallet.checkpoints WHERE number = 3")
        await make().look()
        assert len(await in_table(engine)) == 2
        assert len(outside(files)) == 3

    async def test_the_service_itself_cannot_rewrite_a_checkpoint(
        self, make: Make, engine: AsyncEngine, database: Database
    ) -> None:
        await deposits(engine, 10)
        await make().look()
        for statement in ("UPDATE checkpoints SET number = 2", "DELETE FROM checkpoints", "TRUNCATE checkpoints"):
            with pytest.raises(Exception, match="permission denied"):
                async with databases.transaction(engine) as connection:
                    await connection.exec_driver_sql(statement)
            with pytest.raises(Exception, match="append-only"):
                await as_administrator(database, statement.replace("checkpoints", "wallet.checkpoints"))


async def test_a_wallet_seals_by_itself(
    settings: Settings, client: Client, kafka: BrokerOptions, files: CheckpointFiles
) -> None:
    quick = settings.model_copy(update={"checkpoint_every_s": 0.1})
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(kafka.topic(topics.LEDGER_CHECKPOINTS), 0)])
        async with started(create_app(quick)) as http, asyncio.timeout(20):
            await client.send(*(command(Kind.DEPOSIT, user_id=user) for user in range(1, 41)))
            await client.replies(40)
            found: dict[int, Checkpoint] = {}
            while len(found) < LANES:
                record = await consumer.getone()
                found.setdefault(int(record.key), Checkpoint.model_validate_json(record.value))
            assert "langsense_unsealable_lanes 0.0" in (await http.get("/metrics")).text
    finally:
        await consumer.stop()
    sizes = files.sizes()
    assert {lane: next(files.read(lane, size)) for lane, size in sizes.items()} == found


class Crash(BaseException):
    """The process ends here."""


def _crash(*_: object) -> None:
    raise Crash
