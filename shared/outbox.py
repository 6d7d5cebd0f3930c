"""The outbox: events of a service without lanes, committed with what they tell of, and published after it.

Events are published in the order in which they were put, at least once. One player's events are in the order of what
happened where the transactions that put them follow each other, as those that lock the player do.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import orjson
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata
from pydantic import JsonValue
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Identity,
    MetaData,
    Row,
    Table,
    Text,
    Uuid,
    delete,
    func,
    insert,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import database, logs
from shared.broker import Publisher
from shared.contracts.headers import cloud_event
from shared.errors import BrokerUnavailable, TransientError
from shared.lanes import key_of
from shared.telemetry import Metrics

log = logs.get(__name__)

LOOK_EVERY_S = 0.2
BATCH = 200
# Below the database's patience with a transaction that does nothing.
ACKNOWLEDGED_WITHIN_S = 5.0


class OutboxEvent(NamedTuple):
    """What happened to a player. `type` is the CloudEvents type, such as compliance.exclusion.started.v1."""

    user_id: int
    type: str
    body: dict[str, JsonValue]


def outbox_table(metadata: MetaData) -> Table:
    """The outbox of one service, for its own metadata."""
    return Table(
        "outbox",
        metadata,
        Column("number", BigInteger, Identity(always=True), primary_key=True),
        Column("event_id", Uuid, nullable=False),
        Column("user_id", BigInteger, nullable=False),
        Column("type", Text, nullable=False),
        Column("body", JSONB, nullable=False),
        Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    )


# Whichever service's: its connections look into its own schema alone.
_outbox = outbox_table(MetaData())
_OLDEST = select(_outbox, func.clock_timestamp().label("now")).order_by(_outbox.c.number).limit(BATCH)


async def put(connection: AsyncConnection, *events: OutboxEvent) -> None:
    """Add events, in order, to the transaction that `connection` is in."""
    if events:
        await connection.execute(insert(_outbox), [{"event_id": uuid4(), **event._asdict()} for event in events])


class Outbox:
    """Publishes one service's outbox to one topic. Any number of instances may run; one at a time publishes."""

    def __init__(self, engine: AsyncEngine, publisher: Publisher, *, topic: str, source: str, metrics: Metrics) -> None:
        self._engine = engine
        self._publisher = publisher
        self._topic = topic
        self._source = source
        self._age_s = metrics.outbox_age_s

    async def run(self) -> None:
        """Until cancelled: publish what was put."""
        while True:
            try:
                while await self.flush() == BATCH:
                    pass
            except TransientError as error:
                log.info("outbox_waits", error=str(error))
            await asyncio.sleep(LOOK_EVERY_S)

    async def flush(self) -> int:
        """Publish the oldest events and take them out; returns how many. Raises a TransientError.

        None of a batch is taken out where one was not acknowledged: they are published again.
        """
        async with database.transaction(self._engine) as connection:
            # Two that publish at once would mix their orders.
            mine = "SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || '.outbox', 0))"
            if not (await connection.execute(text(mine))).scalar_one():
                return 0
            rows = (await connection.execute(_OLDEST)).all()
            if not rows:
                self._age_s.set(0)
                return 0
            self._age_s.set((rows[0].now - rows[0].created_at).total_seconds())
            await self._publish(rows)
            await connection.execute(delete(_outbox).where(_outbox.c.number.in_([row.number for row in rows])))
            return len(rows)

    async def _publish(self, rows: Sequence[Row[Any]]) -> None:
        futures: list[asyncio.Future[RecordMetadata]] = []
        try:
            async with asyncio.timeout(ACKNOWLEDGED_WITHIN_S):
                for row in rows:
                    headers = cloud_event(
                        event_id=str(row.event_id),
                        event_type=row.type,
                        source=self._source,
                        subject=str(row.user_id),
                        time=row.created_at,
                    )
                    key, value = key_of(row.user_id), orjson.dumps(row.body)
                    futures.append(await self._publisher.send(self._topic, key=key, value=value, headers=headers))
                await asyncio.gather(*(asyncio.shield(future) for future in futures))
        except (TimeoutError, KafkaError) as error:
            raise BrokerUnavailable("Kafka did not acknowledge the outbox's events within the bound") from error
        finally:
            for future in futures:
                future.add_done_callback(self._publisher.delivered)
