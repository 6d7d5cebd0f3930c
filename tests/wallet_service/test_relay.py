"""The relay: rows become events in journal order, none is lost, whatever becomes of the broker and the lanes."""

import asyncio
import time
from asyncio import Future
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import pytest
from aiokafka.errors import RequestTimedOutError
from aiokafka.structs import RecordMetadata

from shared import clock
from shared.broker import Delivery, Publisher, Record
from shared.contracts import headers
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind
from shared.errors import BrokerUnavailable, DatabaseUnavailable
from shared.telemetry import Metrics
from tests.support import eventually
from tests.wallet_service.support import MemoryWallet, command
from wallet_service.domain.needs import JournalRow
from wallet_service.handlers import relay as relays
from wallet_service.handlers.relay import Relay
from wallet_service.repository import LaneMark, Reads

LANE = 2


class Topic:
    """`ledger.events.v1` in memory: what stands on it, and a say in what becomes of each delivery.

    `on_delivery` answers "acknowledge", "hold" (it arrives, its acknowledgement does not), "fail" or "lose".
    """

    def __init__(self) -> None:
        self.positions: dict[int, list[int]] = defaultdict(list)
        self.away: set[int] = set()
        self.asked = 0
        self.on_delivery: Callable[[int, list[int]], str] = lambda lane, positions: "acknowledge"
        self.held: list[Future[object]] = []
        self.traces: dict[int, str | None] = {}

    async def send_all(self, topic: str, partition: int, records: Sequence[Record]) -> list[Delivery]:
        """As the publisher: one batch for every two records, so that one call has several."""
        self.asked += 1
        await asyncio.sleep(0)
        if partition in self.away:
            raise BrokerUnavailable("nobody leads this partition")
        return [self._append(partition, records[first : first + 2]) for first in range(0, len(records), 2)]

    def delivered(self, future: "Future[object]") -> None:
        """As the publisher."""
        if not future.cancelled():
            future.exception()

    def _append(self, lane: int, records: Sequence[Record]) -> Delivery:
        future: Future[object] = asyncio.get_running_loop().create_future()
        positions = [LedgerEvent.model_validate_json(record.value).position for record in records]
        outcome = self.on_delivery(lane, positions)
        if outcome in ("acknowledge", "hold"):
            self.positions[lane] += positions
            found = (headers.find(record.headers, headers.TRACEPARENT) for record in records)
            self.traces |= dict(zip(positions, found, strict=True))
        if outcome == "acknowledge":
            future.set_result(None)
        elif outcome == "fail":
            future.set_exception(RequestTimedOutError())
        else:
            self.held.append(future)
        return Delivery(cast("Future[RecordMetadata]", future), len(records))

    def firsts(self, lane: int = LANE) -> list[int]:
        """Each position where it stands for the first time."""
        return list(dict.fromkeys(self.positions[lane]))


class Ledger:
    """The wallet's journal in memory, as the relay reads it."""

    def __init__(self) -> None:
        self.wallet = MemoryWallet()
        self.published: dict[int, int] = defaultdict(int)
        self.idle_s = 0.0
        self.away = False
        self.before_read: Callable[[], None] = lambda: None
        self.on_read: Callable[[], None] = lambda: None

    def decide(self, count: int, lane: int = LANE) -> dict[int, list[JournalRow]]:
        """New rows, committed."""
        answers = self.wallet.take([command(Kind.DEPOSIT) for _ in range(count)], lane, clock.utc_now())
        return {lane: [answer.row for answer in answers]}

    async def lanes(self) -> list[LaneMark]:
        """As `Reads.lanes`."""
        self._check()
        return [
            LaneMark(lane, state.position, self.published[lane], state.head, self.idle_s)
            for lane, state in sorted(self.wallet.lanes.items())
        ]

    async def journal(self, lane: int, after: int, limit: int) -> list[JournalRow]:
        """As `Reads.journal`: what was committed when the read began."""
        self._check()
        self.before_read()
        rows = [row for row in self.wallet.rows if row.content.lane == lane and row.content.position > after]
        self.on_read()
        await asyncio.sleep(0)
        return rows[:limit]

    async def mark_published(self, published: dict[int, int]) -> None:
        """As `Reads.mark_published`."""
        self._check()
        for lane, position in published.items():
            self.published[lane] = max(self.published[lane], position)

    def _check(self) -> None:
        if self.away:
            raise DatabaseUnavailable("the database is away")


@pytest.fixture
def topic() -> Topic:
    """What the relay writes to."""
    return Topic()


@pytest.fixture
def ledger() -> Ledger:
    """What the relay reads from."""
    return Ledger()


@pytest.fixture
async def relay(topic: Topic, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Relay]:
    """A relay that runs, and looks often."""
    monkeypatch.setattr(relays, "LOOK_EVERY_S", 0.01)
    relay = Relay(cast(Publisher, topic), cast(Reads, ledger), Metrics())
    task = asyncio.create_task(relay.run())
    yield relay
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until_published(ledger: Ledger, position: int, lane: int = LANE) -> None:
    async def reached() -> bool:
        return ledger.published[lane] == position

    await eventually(reached, within_s=5)


def up_to(last: int) -> list[int]:
    return list(range(1, last + 1))


class TestTheDirectWay:
    """What was just committed is sent at once."""

    async def test_each_row_is_sent_once_in_order_and_the_mark_follows(
        self, relay: Relay, topic: Topic, ledger: Ledger
    ) -> None:
        for count in (3, 1, 7):
            await relay.committed(ledger.decide(count))
        assert topic.positions[LANE] == up_to(11)
        await until_published(ledger, 11)
        assert topic.positions[LANE] == up_to(11)

    async def test_lanes_go_their_own_ways(self, relay: Relay, topic: Topic, ledger: Ledger) -> None:
        await relay.committed({**ledger.decide(3, lane=0), **ledger.decide(2, lane=1)})
        assert topic.positions == {0: [1, 2, 3], 1: [1, 2]}
        await until_published(ledger, 3, lane=0)
        assert relay.confirmed() == {0: 3, 1: 2}

    async def test_a_row_goes_with_its_commands_trace_where_that_is_recorded(
        self, relay: Relay, topic: Topic, ledger: Ledger
    ) -> None:
        rows = ledger.decide(3)
        traced = rows[LANE][1].content.command_id
        await relay.committed(rows, {traced: "00-trace-span-01"})
        assert topic.traces == {1: None, 2: "00-trace-span-01", 3: None}

    async def test_it_does_not_wait_for_acknowledgements(self, relay: Relay, topic: Topic, ledger: Ledger) -> None:
        topic.on_delivery = lambda lane, positions: "hold"
        for _ in range(3):
            await relay.committed(ledger.decide(2))
        assert topic.positions[LANE] == up_to(6)
        assert relay.confirmed() == {LANE: 0}
        for future in topic.held:
            future.set_result(None)
        await until_published(ledger, 6)


class TestABrokerThatIsAway:
    """Nothing is lost, nothing overtakes."""

    async def test_what_could_not_be_sent_is_sent_in_order_when_it_is_back(
        self, relay: Relay, topic: Topic, ledger: Ledger
    ) -> None:
        await relay.committed(ledger.decide(2))
        topic.away = {LANE}
        for _ in range(3):
            await relay.committed(ledger.decide(2))
        topic.away = set()
        await relay.committed(ledger.decide(2))
        await until_published(ledger, 10)
        assert topic.firsts() == up_to(10)

    async def test_what_is_read_again_goes_without_its_trace(self, relay: Relay, topic: Topic, ledger: Ledger) -> None:
        topic.away.add(LANE)
        rows = ledger.decide(1)
        await relay.committed(rows, {rows[LANE][0].content.command_id: "00-trace-span-01"})
        topic.away.clear()
        await until_published(ledger, 1)
        assert topic.traces == {1: None}

    async def test_a_delivery_that_fails_is_made_again_from_the_last_acknowledged(
        self, relay: Relay, topic: Topic, ledger: Ledger
    ) -> None:
        await relay.committed(ledger.decide(4))
        failures = iter(["fail", "fail"])
        topic.on_delivery = lambda lane, positions: next(failures, "acknowledge")
        await relay.committed(ledger.decide(4))
        await until_published(ledger, 8)
        assert topic.positions[LANE] == up_to(8)

    async def test_what_was_never_acknowledged_is_not_passed_over(
        self, relay: Relay, topic: Topic, ledger: Ledger
    ) -> None:
        # The first batch vanishes, as with a producer that was replaced; those behind it are acknowledged.
        topic.on_delivery = lambda lane, positions: "lose" if topic.asked == 1 and 1 in positions else "acknowledge"
        await relay.committed(ledger.decide(6))
        await until_published(ledger, 6)
        assert {1, 2} <= set(topic.positions[LANE])

    async def test_a_lane_that_cannot_be_written_does_not_hold_up_the_others(
        self, relay: Relay, topic: Topic, ledger: Ledger
    ) -> None:
        topic.away = {0, 1}
        await relay.committed({**ledger.decide(3, lane=0), **ledger.decide(3, lane=1), **ledger.decide(3, lane=2)})
        topic.away = {0}
        await until_published(ledger, 3, lane=1)
        assert ledger.published[0] == 0
        topic.away = set()
        await until_published(ledger, 3, lane=0)

    async def test_it_is_asked_again_at_a_pace(self, relay: Relay, topic: Topic, ledger: Ledger) -> None:
        topic.on_delivery = lambda lane, positions: "fail"
        started = time.monotonic()
        await relay.committed(ledger.decide(1))

        async def asked_some_times() -> bool:
            return topic.asked >= 8

        await eventually(asked_some_times)
        assert time.monotonic() - started >= 6 * relays.LOOK_EVERY_S

    async def test_what_is_never_acknowledged_is_sent_again(
        self, relay: Relay, topic: Topic, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(relays, "UNACKNOWLEDGED_AFTER_S", 0.05)
        topic.on_delivery = lambda lane, positions: "hold" if topic.asked == 1 else "acknowledge"
        await relay.committed(ledger.decide(4))
        ledger.idle_s = 60
        await until_published(ledger, 4)
        assert topic.firsts() == up_to(4)


class TestCatchingUp:
    """Where the direct way cannot continue, the journal is read from the mark."""

    async def test_a_lane_that_is_seen_first_in_its_middle(self, relay: Relay, topic: Topic, ledger: Ledger) -> None:
        ledger.decide(5)
        ledger.published[LANE] = 3
        await relay.committed(ledger.decide(2))
        await until_published(ledger, 7)
        assert topic.positions[LANE] == [4, 5, 6, 7]

    async def test_rows_of_another_owner_in_between(self, relay: Relay, topic: Topic, ledger: Ledger) -> None:
        await relay.committed(ledger.decide(2))
        ledger.decide(3)
        await relay.committed(ledger.decide(2))
        await until_published(ledger, 7)
        assert topic.positions[LANE] == up_to(7)

    async def test_a_lane_whose_owner_died_before_it_published(
        self, relay: Relay, topic: Topic, ledger: Ledger
    ) -> None:
        ledger.decide(3)
        await asyncio.sleep(0.05)
        assert topic.positions[LANE] == []
        ledger.idle_s = relays.ORPHANED_AFTER_S
        await until_published(ledger, 3)
        assert topic.positions[LANE] == up_to(3)

    async def test_a_long_journal_goes_page_by_page(
        self, relay: Relay, topic: Topic, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(relays, "PAGE_ROWS", 10)
        ledger.decide(35)
        ledger.idle_s = 10
        await until_published(ledger, 35)
        assert topic.positions[LANE] == up_to(35)
        assert topic.asked == 4

    @pytest.mark.parametrize("seen", [False, True])
    async def test_it_ends_while_more_is_committed_all_the_time(
        self, relay: Relay, topic: Topic, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, seen: bool
    ) -> None:
        monkeypatch.setattr(relays, "PAGE_ROWS", 10)
        ledger.decide(50)
        with committing(relay, ledger, batches=30, seen=seen) as commits:
            await relay.committed(ledger.decide(1))
            await until_published(ledger, 50 + 1 + 30 * 2)
        assert not commits
        # Nothing twice: whoever sends, the other leaves it alone.
        assert topic.positions[LANE] == up_to(111)

    @pytest.mark.parametrize("seen", [False, True])
    async def test_what_is_committed_at_its_last_look_is_not_forgotten(
        self, relay: Relay, topic: Topic, ledger: Ledger, seen: bool
    ) -> None:
        ledger.decide(3)
        with committing(relay, ledger, batches=3, seen=seen):
            ledger.idle_s = 10
            await until_published(ledger, 9)
        assert topic.positions[LANE] == up_to(9)
        ledger.idle_s = 0
        await relay.committed(ledger.decide(1))
        assert topic.positions[LANE] == up_to(10)

    async def test_what_it_reads_just_when_it_is_committed_is_sent_by_one_of_the_two(
        self, relay: Relay, topic: Topic, ledger: Ledger
    ) -> None:
        handed_over: list[asyncio.Task[None]] = []
        reads = iter(range(100))

        def commit_before_the_second_look() -> None:
            if next(reads) == 1:
                handed_over.append(asyncio.ensure_future(relay.committed(ledger.decide(2))))

        ledger.before_read = commit_before_the_second_look
        ledger.decide(3)
        ledger.idle_s = 10
        await until_published(ledger, 5)
        assert len(handed_over) == 1
        assert topic.positions[LANE] == up_to(5)

    async def test_a_database_that_is_away_is_waited_for(self, relay: Relay, topic: Topic, ledger: Ledger) -> None:
        ledger.decide(3)
        ledger.idle_s, ledger.away = 10, True
        await asyncio.sleep(0.05)
        assert topic.positions[LANE] == []
        ledger.away = False
        await until_published(ledger, 3)

    async def test_a_database_that_goes_away_in_the_middle(
        self, relay: Relay, topic: Topic, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(relays, "PAGE_ROWS", 2)

        def goes_away(lane: int, positions: list[int]) -> str:
            ledger.away = 5 in positions
            return "acknowledge"

        topic.on_delivery = goes_away
        ledger.decide(8)
        ledger.idle_s = 10

        async def stopped() -> bool:
            return ledger.away

        await eventually(stopped)
        await relay.committed(ledger.decide(1))
        topic.on_delivery = lambda lane, positions: "acknowledge"
        ledger.away = False
        await until_published(ledger, 9)
        assert topic.firsts() == up_to(9)


@contextmanager
def committing(relay: Relay, ledger: Ledger, batches: int, *, seen: bool) -> Iterator[list[int]]:
    """Two rows more are committed and handed to the relay at each of its next looks into the journal.

    `seen`: just before the look, which then has them; otherwise just after.
    """
    left = list(range(batches))
    tasks = []

    def commit() -> None:
        if left:
            left.pop()
            tasks.append(asyncio.ensure_future(relay.committed(ledger.decide(2))))

    name = "before_read" if seen else "on_read"
    setattr(ledger, name, commit)
    yield left
    setattr(ledger, name, lambda: None)
    assert all(task.done() for task in tasks)
