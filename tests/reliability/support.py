"""What the reliability tests stand on: services as processes that can be killed, players who never stop, a verdict."""

import asyncio
import logging
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.group import LeaveGroupRequest
from confluent_kafka import KafkaError, Message, Producer
from sqlalchemy.ext.asyncio import AsyncEngine

from ops import proof
from ops.infrastructure import free_port
from ops.infrastructure.processes import Child, tail
from shared import clock
from shared.broker import BrokerOptions
from shared.contracts import topics
from shared.contracts.commands import Command, encode
from shared.contracts.kinds import LIMIT_KINDS, NEEDS_ORIGINAL, PLAYER_KINDS, Kind
from shared.keyring import Keyring
from shared.lanes import key_of
from tests.support import LANES, TOKEN, Database, eventually
from tests.wallet_service.client import Client, events
from tests.wallet_service.support import CHAIN_KEYS, CHECKPOINT_KEYS, FAR_LIMITS_ENVIRONMENT, command
from wallet_service.handlers import GROUP
from wallet_service.repository import Reads

READY_WITHIN_S = 180.0
STOPPED_WITHIN_S = 40.0
FLUSHED_WITHIN_S = 130.0
PLAYERS = range(1, 31)
# Ten commands at a time, two hundred a second: a batch is nearly always in hand.
SENT_AT_ONCE = 10
PAUSE_S = 1 / 20


class Service:
    """One of the platform's services as a process of its own, on a port of its own. It never outlives the tests."""

    def __init__(self, name: str, environment: Mapping[str, str], folder: Path, port: int | None = None) -> None:
        self.name = name
        self.port = port or free_port()
        self.log = folder / f"{name}-{self.port}.log"
        self._environment = {**os.environ, **environment}
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; do not wait for it."""
        assert self._child is None or not self._child.alive()
        command = [sys.executable, "-m", "uvicorn", "--factory", f"{self.name}.app:create_app"]
        self._child = Child.start(
            self.name,
            [*command, "--host", "127.0.0.1", "--port", str(self.port)],
            log=self.log,
            env=self._environment,
        )

    async def until_ready(self) -> None:
        """Wait until it says that it is ready."""
        async with httpx2.AsyncClient(trust_env=False, timeout=2) as client:

            async def ready() -> bool:
                assert self._child is not None
                assert self._child.alive(), f"{self.name} ended by itself:\n{tail(self.log, 40)}"
                with suppress(httpx2.TransportError):
                    return (await client.get(f"{self.url}/health/ready")).status_code == 200
                return False

            await eventually(ready, within_s=READY_WITHIN_S)

    async def get(self, path: str) -> Any:
        """What it answers, decoded."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx2.AsyncClient(trust_env=False, headers=headers) as client:
            response = await client.get(f"{self.url}{path}")
            assert response.status_code == 200, response.text
            return response.json()

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        assert self._child is not None
        assert self._child.alive(), f"{self.name} ended by itself:\n{tail(self.log, 40)}"
        self._child.kill()

    async def stop(self) -> None:
        """End it in order. It has to end by itself, without an error."""
        assert self._child is not None
        child = self._child
        await asyncio.to_thread(child.stop, timeout=STOPPED_WITHIN_S)
        # uvicorn ends by the signal that asked it to, once it has stopped in order.
        assert child.process.returncode in (0, -signal.SIGTERM), f"{self.name}:\n{tail(self.log, 40)}"

    def alive(self) -> bool:
        """Whether it runs."""
        return self._child is not None and self._child.alive()

    def freeze(self) -> None:
        """SIGSTOP: it stands still, and its connections stay open."""
        assert self._child is not None
        self._child.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._child is not None
        self._child.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it, in whichever state it is."""
        if self._child is not None and self._child.alive():
            self._child.kill()


REPORT_KEYS = "r1:" + "7e" * 32


def environment(database: Database, kafka: BrokerOptions, folder: Path, **more: str) -> dict[str, str]:
    """What a service of the tests' platform reads at its start."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "KAFKA_IDEMPOTENT_PRODUCER": str(kafka.idempotent_producer),
        "LANES": str(LANES),
        "INTERNAL_API_TOKEN": TOKEN,
        **FAR_LIMITS_ENVIRONMENT,
        "CHAIN_KEYS": CHAIN_KEYS,
        "CHECKPOINT_KEYS": CHECKPOINT_KEYS,
        "CHECKPOINT_SINK": (folder / "checkpoints").as_uri(),
        "WALLET_DATABASE_URL": database.dsn("wallet_service"),
        "METRICS_DATABASE_URL": database.dsn("metrics_service"),
        "PAYMENTS_DATABASE_URL": database.dsn("payments_service"),
        "REPORT_KEYS": REPORT_KEYS,
        # Many small batches have many ends to be cut at.
        "WALLET_BATCH_RECORDS": "50",
        **more,
    }


class Players:
    """Commands without end: of every kind, some of them twice, some that nobody can read.

    They are published by librdkafka, which is not what the platform itself publishes with, and knows no sequence
    numbers here: what it repeats arrives twice.
    """

    def __init__(self, kafka: BrokerOptions, seed: int) -> None:
        self._options = kafka
        self._draw = random.Random(seed)
        self.sent: dict[UUID, Command] = {}

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """They play for the length of the block; at its end the broker has acknowledged all that they sent."""
        producer = Producer(
            {
                "bootstrap.servers": self._options.bootstrap_servers,
                "partitioner": "murmur2_random",
                "acks": "all",
                "max.in.flight": 1,
                "message.timeout.ms": 120_000,
            },
            logger=logging.getLogger(__name__),
        )
        task = asyncio.create_task(self._play(producer))
        try:
            yield
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            left = await asyncio.to_thread(producer.flush, FLUSHED_WITHIN_S)
        assert left == 0

    async def retry(self, missing: Iterable[UUID]) -> None:
        """Send commands again, as a client does that had no answer."""
        async with Client(self._options) as client:
            await client.send(*(self.sent[each] for each in missing))

    async def _play(self, producer: Producer) -> None:
        for user in PLAYERS:
            self._send(producer, self._new(Kind.DEPOSIT, user, 5000))
        while True:
            for _ in range(SENT_AT_ONCE):
                self._send(producer, self._next())
            if self._draw.random() < 0.2:
                self._put(producer, key_of(self._draw.choice(PLAYERS)), b"{")
            producer.poll(0)
            await asyncio.sleep(PAUSE_S)

    def _next(self) -> Command:
        if self._draw.random() < 0.1:
            return self._draw.choice(list(self.sent.values())[-200:])
        kind = self._draw.choice([*Kind, Kind.DEPOSIT, Kind.GAME_BET, Kind.GAME_BET, Kind.GAME_BET])
        return self._new(kind, self._draw.choice(PLAYERS), self._draw.randrange(1, 1000))

    def _new(self, kind: Kind, user: int, amount: int) -> Command:
        fields: dict[str, Any] = {"reference_id": f"g-{self._draw.randrange(100)}"}
        if kind in NEEDS_ORIGINAL:
            original = self._draw.choice([each for each in self.sent.values() if each.user_id == user])
            fields = {"reference_id": str(original.command_id)}
            if kind is Kind.REVERSAL:
                fields["provider"] = original.provider
        elif kind in LIMIT_KINDS:
            # Far from what is played for, so that play goes on.
            fields, amount = {}, amount * 1_000_000
        elif kind in (Kind.EXCLUSION, Kind.FRAUD_BLOCK):
            # For a moment, so that play goes on.
            fields = {"until": clock.utc_now() + timedelta(seconds=1)}
        elif kind in PLAYER_KINDS:
            fields = {}
        made = command(kind, amount, user, command_id=uuid4(), **fields)
        self.sent[made.command_id] = made
        return made

    def _send(self, producer: Producer, each: Command) -> None:
        self._put(producer, key_of(each.user_id), encode(each))

    def _put(self, producer: Producer, key: bytes, body: bytes) -> None:
        producer.produce(self._options.topic(topics.WALLET_COMMANDS), body, key, on_delivery=_taken)


def _taken(error: KafkaError | None, message: Message) -> None:
    assert error is None, error


class Books:
    """The ledger from outside: what it has decided, and whether all of it is right."""

    def __init__(self, engine: AsyncEngine, database: Database, kafka: BrokerOptions) -> None:
        self._reads = Reads(engine, LANES)
        self._database = database
        self._kafka = kafka

    async def rows(self) -> int:
        """How many decisions there are."""
        return sum(mark.position for mark in await self._reads.lanes())

    async def until_more(self, rows: int, within_s: float = 180) -> int:
        """Wait until that many decisions more have been made; returns how many there are."""
        before = await self.rows()

        async def more() -> bool:
            return await self.rows() >= before + rows

        await eventually(more, within_s=within_s)
        return await self.rows()

    async def until_more_on_every_lane(self, within_s: float = 180) -> None:
        """Wait until every lane has moved."""
        before = {mark.lane: mark.position for mark in await self._reads.lanes()}

        async def moved() -> bool:
            now = {mark.lane: mark.position for mark in await self._reads.lanes()}
            return all(now[lane] > position for lane, position in before.items())

        await eventually(moved, within_s=within_s)

    async def decided(self) -> set[UUID]:
        """Every command that has a decision."""
        return set(await self._ids())

    async def missing(self, players: Players) -> set[UUID]:
        """Which commands have no decision."""
        return players.sent.keys() - await self.decided()

    async def until_all_decided(self, players: Players, within_s: float = 180) -> None:
        """Wait until every command that the broker took has its decision."""

        async def decided() -> bool:
            return await self.rows() >= len(players.sent)

        await eventually(decided, within_s=within_s)

    async def verify(self, players: Players, *, events_since: Mapping[int, int] | None = None) -> None:
        """Every command one decision; money conserved, balances folded, chain whole; every row an event, in order.

        `events_since`: where the lanes stood when the broker lost all it had; events up to there may be gone.
        """
        ids = await self._ids()
        assert len(ids) == len(set(ids))
        assert set(ids) == players.sent.keys()
        keyring = Keyring.parse(CHAIN_KEYS, CHECKPOINT_KEYS)
        async with proof.snapshot(self._database.dsn("wallet_service")) as connection:
            for check in (
                await proof.conserved(connection),
                await proof.folded(connection),
                await proof.derived(connection),
                await proof.chained(connection, keyring.chain, keyring.signing.public(), None),
            ):
                assert check.holds, check.findings
        await eventually(self.all_published, within_s=180)
        await self._verify_events(events_since or {})

    async def checksum(self, command_id: UUID) -> str:
        """The checksum of a command's one row."""
        found = await self._reads.transaction(command_id)
        assert found is not None
        return found.row.checksum.hex()

    async def heads(self) -> dict[int, int]:
        """Where each lane stands."""
        return {mark.lane: mark.position for mark in await self._reads.lanes()}

    async def totals(self) -> dict[tuple[str, str, str], int]:
        """What the journal says of each currency and kind."""
        async with proof.snapshot(self._database.dsn("wallet_service")) as connection:
            return await proof.totals(connection, await proof.heads(connection))

    async def all_published(self) -> bool:
        """Whether every row's event has been acknowledged by the broker."""
        return all(mark.published == mark.position for mark in await self._reads.lanes())

    async def _verify_events(self, since: Mapping[int, int]) -> None:
        found = await events(self._kafka)
        for mark in await self._reads.lanes():
            order = list(dict.fromkeys(event.position for event in found[mark.lane]))
            assert order == list(range(order[0], mark.position + 1)), f"lane {mark.lane}"
            assert order[0] <= since.get(mark.lane, 0) + 1
            rows = await self._journal(mark.lane)
            # However often a row was published: it was always this row, and never one that was not committed.
            assert {(event.position, event.checksum) for event in found[mark.lane]} == {
                (row.content.position, row.checksum.hex()) for row in rows[order[0] - 1 :]
            }

    async def _ids(self) -> list[UUID]:
        return [row.content.command_id for lane in range(LANES) for row in await self._journal(lane)]

    async def _journal(self, lane: int) -> list[Any]:
        found: list[Any] = []
        while page := await self._reads.journal(lane, len(found), 5000):
            found += page
        return found


async def forget_members(kafka: BrokerOptions, group: str = GROUP) -> None:
    """Have the broker drop a group's members at once, rather than wait until the session of a dead one has ended."""
    name = kafka.group(group)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        node = await admin.find_coordinator(name)
        (answer,) = await admin.describe_consumer_groups([name], node)
        for description in answer.groups:
            for member in description[5]:
                await admin._send_request(LeaveGroupRequest(name, member[0]), node)
    finally:
        await admin.close()
