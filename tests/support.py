"""What several test modules do: publish ledger rows, run a consumer of them, wait for what comes of it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import asyncpg
import httpx2
import pytest
from aiokafka import ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient
from asyncpg import Record
from fastapi import FastAPI
from faststream.kafka import KafkaRouter
from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from ops import provision
from ops.infrastructure import Postgres
from shared import broker
from shared.broker import BrokerOptions, Publisher
from shared.contracts.events import LedgerEvent
from shared.contracts.headers import POSTED_TYPE, REFUSED_TYPE, Headers, cloud_event
from shared.contracts.kinds import Status
from shared.contracts.topics import LEDGER_EVENTS, TOPICS
from shared.errors import BrokerUnavailable
from shared.inbox import Apply, LedgerInbox
from shared.journal import Journal
from shared.lanes import key_of
from shared.progress import Progress
from shared.telemetry import Metrics

T = TypeVar("T")

# Fewer than production has: topics are made quickly, and players share lanes.
LANES = 4
TOKEN = "a-token-that-only-the-tests-know-of"


@dataclass(frozen=True, slots=True)
class Database:
    """A database with every service's schema."""

    admin_dsn: str
    passwords: dict[str, str]

    def dsn(self, service: str) -> str:
        """The URL of one service's own role."""
        return provision.service_dsn(self.admin_dsn, service, self.passwords[service])


def prefer_containers() -> bool:
    """LANGSENSE_TESTS: `containers`, the default, takes them where a Docker engine answers; `processes` never does."""
    choice = os.environ.get("LANGSENSE_TESTS", "containers")
    if choice not in ("containers", "processes"):
        raise pytest.UsageError(f"LANGSENSE_TESTS={choice}: it is `containers` or `processes`")
    return choice == "containers"


def outside_the_loop(call: Callable[[], T]) -> T:
    """Run what brings an event loop of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(call).result()


class Ahead(Generic[T]):
    """Makes the next of something aside while the last is used, and clears away aside what is not used any more."""

    def __init__(self, make: Callable[[], T], clear: Callable[[T], object]) -> None:
        self._make, self._clear = make, clear
        self._aside = ThreadPoolExecutor(1)
        self._coming = self._aside.submit(make)
        self._left: list[Future[object]] = []

    def take(self) -> T:
        """One that nobody has yet."""
        found, self._coming = self._coming.result(), self._aside.submit(self._make)
        return found

    def leave(self, used: T) -> None:
        """Nobody uses it any more."""
        self._left.append(self._aside.submit(self._clear, used))

    def close(self) -> None:
        """Wait for what is under way; raises what clearing away raised. What was not used goes with its server."""
        self._aside.shutdown()
        for left in self._left:
            left.result()


class EachOnce(Sequence[T]):
    """What is chosen from it is not there any more."""

    def __init__(self, these: Sequence[T]) -> None:
        self._left = list(these)

    def __getitem__(self, place: Any) -> Any:
        return self._left.pop(place)

    def __len__(self) -> int:
        return len(self._left)


async def copy_database(server: Postgres, template: str, name: str) -> None:
    """Make a database as another one is. Its files are copied: through the WAL, it would take twice as long."""
    connection = await asyncpg.connect(server.dsn())
    try:
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        await connection.execute("; ".join(provision.of_database(f'"{name}"', provision.SCHEMAS)))
    finally:
        await connection.close()


async def drop_database(server: Postgres, name: str) -> None:
    """Drop a database, whoever is still connected to it."""
    connection = await asyncpg.connect(server.dsn())
    try:
        quoted = name.replace('"', '""')
        await connection.execute(f'DROP DATABASE "{quoted}" WITH (FORCE)')
    finally:
        await connection.close()


async def delete_topics(options: BrokerOptions) -> None:
    """Delete every topic under a prefix."""
    admin = AIOKafkaAdminClient(bootstrap_servers=options.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([options.topic(topic.name) for topic in TOPICS])
    finally:
        await admin.close()


async def eventually(check: Callable[[], Awaitable[bool]], *, within_s: float = 60) -> None:
    """Wait until the check holds; fails when it does not within the bound."""
    deadline = time.monotonic() + within_s
    while not await check():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        await asyncio.sleep(0.02)


async def publish(publisher: Publisher, rows: Iterable[LedgerEvent]) -> None:
    """Put rows on `ledger.events.v1`, in the order in which they are given, each on its lane's partition."""
    for row in rows:
        headers = cloud_event(
            event_id=str(row.command_id),
            event_type=POSTED_TYPE if row.status is Status.POSTED else REFUSED_TYPE,
            source="wallet_service",
            subject=str(row.user_id),
            time=row.created_at,
        )
        await publisher.publish(
            LEDGER_EVENTS,
            key=key_of(row.user_id),
            value=row.model_dump_json().encode(),
            headers=headers,
            partition=row.lane,
        )


async def as_administrator(database: Database, statement: str) -> list[Record]:
    """Run one statement with every right; returns its rows."""
    connection = await asyncpg.connect(database.admin_dsn)
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


async def outdated(database: Database, schema: str) -> None:
    """Make a schema look as if a migration had not run yet."""
    await as_administrator(database, f"UPDATE {schema}.alembic_version SET version_num = '0000'")


@asynccontextmanager
async def started(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """An application between its start and its stop, and a client that shows the internal token."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    transport = httpx2.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://service", headers=headers) as client,
    ):
        yield client


Instance = Callable[[], AbstractAsyncContextManager[LedgerInbox]]


class Recorder(Publisher):
    """Stands where a publisher stands, and keeps what it is given; while `away`, it gives nothing to Kafka."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, bytes, dict[str, bytes], int | None]] = []
        self.away = False

    async def publish(
        self,
        topic: str,
        *,
        key: bytes,
        value: bytes,
        headers: Headers,
        partition: int | None = None,
        timeout_s: float = 0,
    ) -> None:
        """As `Publisher.publish`."""
        if self.away:
            raise BrokerUnavailable("no Kafka")
        self.sent.append((topic, key, value, dict(headers), partition))


def record(
    value: bytes,
    *,
    topic: str = LEDGER_EVENTS,
    partition: int = 0,
    offset: int = 0,
    headers: Sequence[tuple[str, bytes]] = (),
) -> ConsumerRecord:
    """A record as a consumer gets it."""
    return ConsumerRecord(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=0,
        timestamp_type=0,
        key=b"1",
        value=value,
        checksum=None,
        serialized_key_size=1,
        serialized_value_size=len(value),
        headers=tuple(headers),
    )


@asynccontextmanager
async def consuming(
    router: Callable[[LedgerInbox, Progress], KafkaRouter],
    *,
    options: BrokerOptions,
    engine: AsyncEngine,
    table: Table,
    journal: Journal,
    publisher: Publisher,
    apply: Apply,
) -> AsyncIterator[LedgerInbox]:
    """One instance of a service that reads the ledger, for the length of the block."""
    metrics = Metrics()
    inbox = LedgerInbox(engine=engine, table=table, journal=journal, publisher=publisher, apply=apply, metrics=metrics)
    progress = Progress(options, LEDGER_EVENTS, stalled_after_s=60, metrics=metrics)
    consumers = broker.consumer_broker(options)
    consumers.include_router(router(inbox, progress))
    await broker.start_consumers(consumers)
    try:
        yield inbox
    finally:
        await consumers.stop()
