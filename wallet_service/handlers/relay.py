"""The journal is the outbox: its rows go to `ledger.events.v1`, per lane in journal order, after their commit.

The usual way is direct: a batch's rows are sent as soon as they are committed, without waiting for each. Whenever
the direct way cannot be sure that it continues where the last row left off (after a start, a failed delivery, a lane
that came from another owner), the lane is read again from its `published` mark and sent in order. A reader may
therefore see a row twice, never out of order before it has seen it once, and drops what it has by position.
"""

import asyncio
from asyncio import Future
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from aiokafka.structs import RecordMetadata

from shared import logs
from shared.broker import Publisher
from shared.contracts import topics
from shared.errors import BrokerUnavailable, TransientError
from shared.telemetry import Metrics
from wallet_service.domain.needs import JournalRow
from wallet_service.handlers.messages import NO_TRACES, Traces, event_records
from wallet_service.repository import LaneMark, Reads

log = logs.get(__name__)

LOOK_EVERY_S = 0.5
# A lane that was left with unpublished rows this long has no owner who is about to publish them.
ORPHANED_AFTER_S = 2.0
# Rows that were sent and not acknowledged this long are sent again.
UNACKNOWLEDGED_AFTER_S = 30.0
PAGE_ROWS = 500


@dataclass(slots=True)
class _Lane:
    """How far one lane was sent and acknowledged.

    `behind`: the journal has rows that were not sent, or not for sure. `catching_up`: it is being read and sent; what
    is committed meanwhile is left to that, so that nothing is sent by two at once.
    """

    sent: int
    confirmed: int
    behind: bool = False
    catching_up: bool = False


class Relay:
    """Sends journal rows as ledger events, and remembers how far each lane was acknowledged."""

    def __init__(self, publisher: Publisher, reads: Reads, metrics: Metrics) -> None:
        self._publisher = publisher
        self._reads = reads
        self._metrics = metrics
        self._lanes: dict[int, _Lane] = {}
        self._wake = asyncio.Event()

    def confirmed(self) -> Mapping[int, int]:
        """Per lane, the position up to which the broker acknowledged events."""
        return {number: lane.confirmed for number, lane in self._lanes.items()}

    async def committed(self, rows_by_lane: Mapping[int, Sequence[JournalRow]], traces: Traces = NO_TRACES) -> None:
        """Take rows that were just committed. Does not wait for their delivery, and never fails.

        Rows that are read again go without their traces: the journal keeps none.
        """
        for number, rows in rows_by_lane.items():
            lane = self._lanes.get(number)
            if lane is None:
                before = rows[0].content.position - 1
                # A lane's very first row has nothing in front of it; any other start reads its mark first.
                lane = self._lanes[number] = _Lane(sent=before, confirmed=0, behind=before > 0)
            if lane.catching_up or lane.sent != rows[0].content.position - 1:
                lane.behind = True
            if not lane.behind:
                try:
                    await self._send(number, lane, rows, traces)
                except BrokerUnavailable:
                    lane.behind = True
            if lane.behind:
                self._wake.set()

    async def run(self) -> None:
        """Until cancelled: bring lanes that are behind up to date, and note what was acknowledged."""
        while True:
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._look()
            except TransientError as error:
                log.info("relay_waits", error=str(error))
                await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        marks = await self._reads.lanes()
        failed: list[int] = []
        for mark in marks:
            if self._needs_catching_up(mark, self._lanes.get(mark.lane)):
                try:
                    await self._catch_up(mark)
                except BrokerUnavailable:
                    # The others may have a broker that answers.
                    failed.append(mark.lane)
        confirmed = {
            mark.lane: self._lanes[mark.lane].confirmed
            for mark in marks
            if mark.lane in self._lanes and mark.published < self._lanes[mark.lane].confirmed
        }
        if confirmed:
            await self._reads.mark_published(confirmed)
        if failed:
            raise BrokerUnavailable(f"events of lanes {failed} were not acknowledged")

    @staticmethod
    def _needs_catching_up(mark: LaneMark, lane: _Lane | None) -> bool:
        if lane is not None and lane.behind:
            return True
        if max(mark.published, lane.confirmed if lane else 0) >= mark.position or mark.idle_s < ORPHANED_AFTER_S:
            return False
        under_way = lane is not None and lane.sent >= mark.position
        return not under_way or mark.idle_s > UNACKNOWLEDGED_AFTER_S

    async def _catch_up(self, mark: LaneMark) -> None:
        known = self._lanes.get(mark.lane)
        start = max(mark.published, known.confirmed if known else 0)
        # A fresh record of the lane: deliveries still under way answer to the old one.
        lane = self._lanes[mark.lane] = _Lane(sent=start, confirmed=start, behind=True, catching_up=True)
        try:
            while lane.behind:
                # Rows that are committed from here on set it again: then there is one more look.
                lane.behind = False
                while rows := await self._reads.journal(mark.lane, lane.sent, PAGE_ROWS):
                    await self._send_and_wait(mark.lane, lane, rows)
        except TransientError:
            lane.behind = True
            raise
        finally:
            lane.catching_up = False
        log.info("lane_published", lane=mark.lane, after=start, through=lane.sent)

    async def _send_and_wait(self, number: int, lane: _Lane, rows: Sequence[JournalRow]) -> None:
        # One page in flight: a broker that is away is found here, and not after the whole journal was queued.
        await asyncio.wait(await self._send(number, lane, rows), timeout=UNACKNOWLEDGED_AFTER_S)
        self._metrics.republished.inc(len(rows))
        if lane.confirmed != lane.sent:
            raise BrokerUnavailable(f"events of lane {number} were not acknowledged within the bound")

    async def _send(
        self, number: int, lane: _Lane, rows: Sequence[JournalRow], traces: Traces = NO_TRACES
    ) -> list["Future[RecordMetadata]"]:
        deliveries = await self._publisher.send_all(topics.LEDGER_EVENTS, number, event_records(rows, traces))
        futures, position = [], rows[0].content.position - 1
        for future, records in deliveries:
            position += records
            future.add_done_callback(partial(self._delivered, lane, position, records))
            futures.append(future)
        lane.sent = position
        return futures

    def _delivered(self, lane: _Lane, position: int, records: int, future: "Future[RecordMetadata]") -> None:
        self._publisher.delivered(future)
        if not future.cancelled() and future.exception() is None and lane.confirmed == position - records:
            lane.confirmed = position
            self._metrics.published.inc(records)
        else:
            # It failed, or one in front of it has not been acknowledged: what is lost is never passed over.
            lane.behind = True
            self._wake.set()
