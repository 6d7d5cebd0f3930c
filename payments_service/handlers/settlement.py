"""Settlement: each day's batch is matched with the ledger and the provider's report, when that is there."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from payments_service.domain import settlement, settlement_reports
from payments_service.domain.ports import ReportSource
from payments_service.domain.settlement import (
    MAX_ATTEMPTS,
    BatchStatus,
    ExceptionKind,
    Found,
    Line,
    Moved,
    Movement,
    Side,
    report_due,
)
from payments_service.repository import batches, payments
from payments_service.repository.days import ends_at
from shared import database, logs
from shared.clock import Clock
from shared.errors import InvalidInput, NotFound, ServiceUnavailable, TooLarge, TransientError

log = logs.get(__name__)

LOOK_EVERY_S = 30.0
AGAIN_AFTER = timedelta(minutes=5)


class Settlement:
    """Settles batches: by its loop when their reports are due, and by hand."""

    def __init__(self, engine: AsyncEngine, sources: Mapping[str, ReportSource], clock: Clock) -> None:
        self._engine = engine
        self._sources = sources
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled: settle what is due."""
        while True:
            try:
                while await self.look():
                    pass
            except TransientError as error:
                log.warning("settlement_waits", code=error.code)
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> bool:
        """Settle one batch that is due; returns whether there was one. Raises DatabaseUnavailable."""
        async with database.transaction(self._engine) as connection:
            batch_id = await batches.take_due(connection, self._clock(), AGAIN_AFTER)
        if batch_id is None:
            return False
        try:
            if not await self._look_again(batch_id):
                await self.settle(batch_id, None)
        except TransientError:
            raise
        except Exception as error:
            # Whatever is wrong with one batch, it must not stop the others: it is logged with its traceback, and waits.
            log.error("settlement_failed", batch_id=str(batch_id), error=type(error).__name__, exc_info=error)
            await self._put_off(batch_id)
        return True

    async def _put_off(self, batch_id: UUID) -> None:
        async with database.transaction(self._engine) as connection:
            batch = await batches.find(connection, batch_id, lock=True)
            assert batch is not None
            await _wait(connection, batch, self._clock())

    async def _look_again(self, batch_id: UUID) -> bool:
        """Match a batch with the report that it has, as things stand now; returns whether it has one."""
        async with database.reading(self._engine) as connection:
            batch = await batches.find(connection, batch_id)
        if batch is None or not batch.reported:
            return False
        await self._match(batch_id, None, is_over=True)
        return True

    async def settle(self, batch_id: UUID, report: bytes | None) -> None:
        """Match a batch with a report: this one, else the provider's, else the one that was read before.

        One that comes before the day is over stands in for the day's own until then. Raises NotFound, and InvalidInput
        or TooLarge for a report that is brought and cannot be read.
        """
        now = self._clock()
        async with database.reading(self._engine) as connection:
            batch = await batches.find(connection, batch_id)
        if batch is None:
            raise NotFound(f"there is no settlement batch {batch_id}")
        by_hand = report is not None
        if report is None:
            report = await self._report(batch)
        try:
            lines = None if report is None else await asyncio.to_thread(settlement_reports.read, batch.provider, report)
        except (InvalidInput, TooLarge) as error:
            if by_hand:
                raise
            log.error("settlement_report_unreadable", batch_id=str(batch_id), error=str(error))
            lines = None
        await self._match(batch_id, lines, is_over=now >= ends_at(batch.day))

    async def _report(self, batch: Row[Any]) -> bytes | None:
        source = self._sources.get(batch.provider)
        if source is None:
            return None
        try:
            return await source.settlement_report(batch.currency, batch.day)
        except ServiceUnavailable as error:
            log.warning("settlement_report_waits", provider=batch.provider, code=error.code)
            return None

    async def _match(self, batch_id: UUID, lines: Sequence[Line] | None, *, is_over: bool) -> None:
        """Match a batch with these lines, or those that it has. `is_over` is whether they are of its whole day."""
        now = self._clock()
        async with database.transaction(self._engine) as connection:
            batch = await batches.find(connection, batch_id, lock=True)
            assert batch is not None
            stands_in = not is_over and batch.settled_at is not None
            if lines is None and not batch.reported and not stands_in:
                await _wait(connection, batch, now)
                return
            if lines is not None:
                await batches.put_lines(connection, batch_id, lines)
            found, totals = await _found(connection, batch, now)
            attempts = 1 if lines is not None else batch.attempts + 1
            is_reported = batch.reported or is_over
            await batches.settle(connection, batch, found, totals, now, reported=is_reported, attempts=attempts)
        if not batch.reported:
            async with database.transaction(self._engine) as connection:
                await batches.look_again_beside(connection, batch, now)


async def _wait(connection: AsyncConnection, batch: Row[Any], now: datetime) -> None:
    """Have a batch wait for its report, or where it has that, for its next look."""
    attempts = batch.attempts + 1
    if batch.reported:
        await batches.wait(connection, batch.id, attempts, now + batches.AGAIN_AFTER, BatchStatus(batch.status))
        return
    due_at = max(report_due(ends_at(batch.day), attempts), now + AGAIN_AFTER)
    status = BatchStatus.DELAYED if attempts >= MAX_ATTEMPTS else BatchStatus.WAITING
    await batches.wait(connection, batch.id, attempts, due_at, status)


async def _found(
    connection: AsyncConnection, batch: Row[Any], now: datetime
) -> tuple[list[Found], dict[str, dict[str, int]]]:
    """What does not agree of a batch's day, and its totals. Whose news may have been lost is asked after."""
    reported = await batches.reported(connection, batch.id)
    of_ledger = await batches.of_ledger(connection, batch)
    about = {row.payment_id for row in of_ledger if row.payment_id is not None}
    known = await batches.known(connection, batch.provider, reported)
    moved = await batches.moved(connection, batch, about | {each.payment_id for each in known.values()})
    provider = settlement.of_batch(reported, known, batch.currency)
    # A large day takes seconds, and others are served meanwhile.
    ours, lacking = await asyncio.to_thread(lambda: settlement.compared(moved, provider, batch.day))
    beside = await _beside(connection, batch, lacking)
    days = {each.payment_id: each.day for each in known.values()}

    def matched() -> tuple[list[Found], dict[str, dict[str, int]]]:
        found = settlement.match_ledger(moved, of_ledger, batch.day)
        may_be = settlement.bookable(moved, batch.day)
        found += settlement.match(ours, provider, Side.PROVIDER, days, batch.day, beside, may_be)
        return found, _totals(ours, provider)

    found, totals = await asyncio.to_thread(matched)
    # What the provider has and we have not may be news that was lost: it is asked, and the batch is looked at again.
    extra = [each for each in found if (each.kind, each.side) == (ExceptionKind.EXTRA, Side.PROVIDER)]
    news = {each.payment_id for each in extra if each.payment_id is not None}
    await payments.ask_again(connection, news, now)
    return found, totals


async def _beside(connection: AsyncConnection, batch: Row[Any], lacking: Sequence[Moved]) -> Sequence[Line]:
    """What reports of other days have of payments that are not in the batch's own."""
    if not lacking:
        return []
    ids = [each.id for each in lacking]
    references = [each.reference for each in lacking if each.reference is not None]
    lines = await batches.reported_elsewhere(connection, batch, ids, references)
    return settlement.of_batch(lines, await batches.known(connection, batch.provider, lines), batch.currency)


def _totals(ours: Sequence[Line], provider: Sequence[Line]) -> dict[str, dict[str, int]]:
    def summed(lines: Sequence[Line]) -> dict[str, int]:
        sums = Counter({movement.value: 0 for movement in Movement})
        for line in lines:
            sums[line.movement.value] += line.amount_minor
        return {**sums, "fees": sum(line.fee_minor or 0 for line in lines), "count": len(lines)}

    return {"ours": summed(ours), "provider": summed(provider)}
