"""The inbox: a consumer applies each ledger row once, in lane order, whatever Kafka repeats, reorders or loses.

One row per lane holds the last position that was applied, and is locked by the transaction that applies more.
Positions have no gaps, so a consumer knows when it missed something: it then reads the missing rows from the wallet's
journal. A periodic look at the lanes' heads finds a silent loss too. That is why a wiped broker heals.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiokafka import ConsumerRecord
from pydantic import ValidationError
from sqlalchemy import BigInteger, Column, MetaData, SmallInteger, Table, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import database, delivery, logs
from shared.broker import Publisher
from shared.contracts import topics
from shared.contracts.commands import field_errors
from shared.contracts.events import LedgerEvent
from shared.errors import TransientError, Undecodable
from shared.journal import PAGE_ROWS, Journal
from shared.telemetry import Metrics

log = logs.get(__name__)

HEADS_EVERY_S = 5.0
ATTEMPTS = 6

Apply = Callable[[AsyncConnection, Sequence[LedgerEvent]], Awaitable[None]]


class InboxMoved(TransientError):
    """Another instance applied rows of this lane meanwhile; the next try starts from there."""


def inbox_table(metadata: MetaData) -> Table:
    """The inbox of one service, for its own metadata."""
    return Table(
        "inbox",
        metadata,
        Column("lane", SmallInteger, primary_key=True, autoincrement=False),
        Column("position", BigInteger, nullable=False),
    )


class LedgerInbox:
    """Brings ledger rows to `apply`, each once, in lane order, in one transaction with the inbox."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        table: Table,
        journal: Journal,
        publisher: Publisher,
        apply: Apply,
        metrics: Metrics,
    ) -> None:
        self._engine = engine
        self._table = table
        self._journal = journal
        self._publisher = publisher
        self._apply = apply
        self._metrics = metrics

    async def take(self, records: Sequence[ConsumerRecord]) -> None:
        """Apply a batch from `ledger.events.v1`. Raises a TransientError when it has to come again."""
        arrived: dict[int, list[LedgerEvent]] = defaultdict(list)
        for record in records:
            try:
                event = LedgerEvent.model_validate_json(record.value or b"")
            except ValidationError as error:
                wrong = Undecodable(field_errors(error))
                await delivery.park(self._publisher, topics.LEDGER_EVENTS, record, wrong)
                self._metrics.parked.labels(topics.LEDGER_EVENTS, wrong.code).inc()
            else:
                arrived[event.lane].append(event)
        await delivery.with_retries(lambda: self._take(arrived), attempts=ATTEMPTS, what="ledger_batch")

    async def _take(self, arrived: Mapping[int, Sequence[LedgerEvent]]) -> None:
        positions = await self.positions()
        ready: list[LedgerEvent] = []
        for lane, events in arrived.items():
            applied = positions.get(lane, 0)
            fresh = [event for event in events if event.position > applied]
            self._metrics.duplicates.labels(topics.LEDGER_EVENTS).inc(len(events) - len(fresh))
            if fresh and not _contiguous(applied, fresh):
                # Something is missing, or came twice: the journal has all of it, in order.
                await self._catch_up(lane, applied, max(event.position for event in fresh))
            else:
                ready += fresh
        if ready:
            await self._save(ready)

    async def catch_up(self) -> int:
        """Fetch and apply whatever the journal has and the inbox has not; returns the number of rows."""
        positions = await self.positions()
        fetched = 0
        for head in await self._journal.heads():
            position = positions.get(head.lane, 0)
            if head.position > position:
                fetched += await self._catch_up(head.lane, position, head.position)
        return fetched

    async def watch(self) -> None:
        """Until cancelled: every few seconds, fetch for lanes that are behind and did not move since the last look."""
        seen: Mapping[int, int] = {}
        while True:
            await asyncio.sleep(HEADS_EVERY_S)
            try:
                positions = await self.positions()
                for head in await self._journal.heads():
                    position = positions.get(head.lane, 0)
                    if head.position > position and seen.get(head.lane, 0) == position:
                        await self._catch_up(head.lane, position, head.position)
            except TransientError as error:
                log.info("heads_not_compared", error=str(error))
            else:
                seen = positions

    async def positions(self) -> Mapping[int, int]:
        """The last position that was applied, per lane."""
        async with database.reading(self._engine) as connection:
            rows = await connection.execute(select(self._table.c.lane, self._table.c.position))
            return {row.lane: row.position for row in rows}

    async def _catch_up(self, lane: int, after: int, through: int) -> int:
        fetched = 0
        while after < through:
            page = await self._journal.rows(lane, after, min(PAGE_ROWS, through - after))
            if not page:
                raise InboxMoved(f"the journal of lane {lane} has no row {after + 1} yet")
            await self._save(page)
            after = page[-1].position
            fetched += len(page)
            self._metrics.healed.inc(len(page))
        if fetched:
            log.info("gap_filled", lane=lane, rows=fetched, through=through)
        return fetched

    async def _save(self, events: Sequence[LedgerEvent]) -> None:
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for event in events:
            first.setdefault(event.lane, event.position)
            last[event.lane] = event.position
        table = self._table
        async with database.transaction(self._engine) as connection:
            made = insert(table).values([{"lane": lane, "position": 0} for lane in first])
            await connection.execute(made.on_conflict_do_nothing())
            locked = await connection.execute(
                select(table.c.lane, table.c.position)
                .where(table.c.lane.in_(first))
                .order_by(table.c.lane)
                .with_for_update()
            )
            for row in locked:
                if row.position != first[row.lane] - 1:
                    raise InboxMoved(f"lane {row.lane} is at {row.position}, not at {first[row.lane] - 1}")
            await self._apply(connection, events)
            moved = insert(table).values([{"lane": lane, "position": position} for lane, position in last.items()])
            await connection.execute(
                moved.on_conflict_do_update(index_elements=[table.c.lane], set_={"position": moved.excluded.position})
            )


def _contiguous(after: int, events: Sequence[LedgerEvent]) -> bool:
    return all(event.position == after + count for count, event in enumerate(events, start=1))
