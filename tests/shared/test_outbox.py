"""The outbox: nothing is published that did not commit, nothing is lost, and the order stays."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import MetaData, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database as databases
from shared import outbox
from shared.broker import BrokerOptions, Publisher
from shared.contracts.topics import COMPLIANCE_EVENTS
from shared.errors import BrokerUnavailable
from shared.outbox import Outbox, OutboxEvent, outbox_table, put
from shared.tasks import BackgroundTasks
from shared.telemetry import Metrics
from tests.support import LANES, Database, eventually

pytestmark = pytest.mark.integration

metadata = MetaData(schema="public")
table = outbox_table(metadata)
SOURCE = "/langsense/test"


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    engine = databases.create_engine(database.admin_dsn, application="test", schema="public")
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield engine
    await engine.dispose()


def happened(user_id: int, number: int) -> OutboxEvent:
    return OutboxEvent(user_id, "test.happened.v1", {"number": number})


async def fill(engine: AsyncEngine, events: int) -> None:
    async with databases.transaction(engine) as connection:
        await put(connection, *(happened(1 + number % 5, number) for number in range(events)))


async def left(engine: AsyncEngine) -> int:
    async with databases.reading(engine) as connection:
        found: int = (await connection.execute(select(func.count()).select_from(table))).scalar_one()
        return found


async def published(kafka: BrokerOptions, events: int) -> dict[bytes, list[int]]:
    """The numbers of at least so many events, by key, in the order in which a consumer gets them."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    found: dict[bytes, list[int]] = defaultdict(list)
    try:
        consumer.assign([TopicPartition(kafka.topic(COMPLIANCE_EVENTS), number) for number in range(LANES)])
        async with asyncio.timeout(20):
            while sum(map(len, found.values())) < events:
                for record in [each for page in (await consumer.getmany(timeout_ms=200)).values() for each in page]:
                    headers = dict(record.headers)
                    assert (headers["ce_type"], headers["ce_source"]) == (b"test.happened.v1", SOURCE.encode())
                    assert headers["ce_subject"] == record.key
                    found[record.key].append(orjson.loads(record.value)["number"])
    finally:
        await consumer.stop()
    return found


async def test_every_event_is_published_once_in_order_by_two_instances(
    engine: AsyncEngine, kafka: BrokerOptions, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "BATCH", 20)
    monkeypatch.setattr(outbox, "LOOK_EVERY_S", 0.01)
    await fill(engine, 100)
    tasks = BackgroundTasks()
    for name in ("one", "two"):
        tasks.start(name, Outbox(engine, publisher, topic=COMPLIANCE_EVENTS, source=SOURCE, metrics=Metrics()).run())

    async def empty() -> bool:
        return await left(engine) == 0

    await eventually(empty)
    assert tasks.problem() is None
    await tasks.stop()
    expected = {str(user).encode(): list(range(user - 1, 100, 5)) for user in range(1, 6)}
    assert await published(kafka, 100) == expected


async def test_what_was_not_acknowledged_stays(engine: AsyncEngine, kafka: BrokerOptions) -> None:
    await fill(engine, 3)
    # It was never started: it takes nothing.
    stuck = Outbox(engine, Publisher(kafka), topic=COMPLIANCE_EVENTS, source=SOURCE, metrics=Metrics())

    with pytest.raises(BrokerUnavailable):
        await stuck.flush()
    assert await left(engine) == 3


async def test_what_was_rolled_back_was_never_said(engine: AsyncEngine, publisher: Publisher) -> None:
    async def fail() -> None:
        async with databases.transaction(engine) as connection:
            await put(connection, happened(1, 1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await Outbox(engine, publisher, topic=COMPLIANCE_EVENTS, source=SOURCE, metrics=Metrics()).flush() == 0
