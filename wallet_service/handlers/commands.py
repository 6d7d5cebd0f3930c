"""`wallet.commands.v1` in: load → decide → save, a batch of lanes at a time; then events, replies, and the parked."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from aiokafka import ConsumerRecord
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import clock, database, delivery, logs
from shared.broker import Publisher, Record
from shared.contracts import headers, topics
from shared.contracts.commands import Command, decode
from shared.contracts.headers import ReplyTo
from shared.errors import (
    BrokerUnavailable,
    CommandIdReused,
    DatabaseUnavailable,
    LangSenseError,
    PermanentError,
    TransientError,
    WrongLane,
)
from shared.keyring import Keyring
from shared.lanes import lane_of
from shared.telemetry import Metrics
from shared.tracing import Attributes
from wallet_service import repository
from wallet_service.domain.batch import Batch
from wallet_service.domain.limits import Rules
from wallet_service.domain.needs import Answer, JournalRow, Placed, needs
from wallet_service.handlers.messages import NO_TRACES, Traces, rejection_body, reply_body
from wallet_service.handlers.relay import Relay
from wallet_service.repository import Offsets

log = logs.get(__name__)

# One delivery of a batch tries this often, a few seconds in all; then the batch is rewound and comes again.
ATTEMPTS = 6
# Below this a second transaction's round trips cost more than they hide.
TWO_TRANSACTIONS_FROM = 200


class Received(NamedTuple):
    """A record, and the command that it carries."""

    record: ConsumerRecord
    command: Command


class Refusal(NamedTuple):
    """A record that leads to no decision, and why."""

    record: ConsumerRecord
    error: LangSenseError
    command: Command | None


Answers = list[tuple[Received, Answer]]
Decided = tuple[Answers, list[Refusal]]


class Uncommandable(PermanentError):
    """A command that fails by itself in a way that nobody foresaw. It is parked, and wants a developer."""

    code = "UNPROCESSABLE"


class Commands:
    """Decides batches of commands."""

    def __init__(
        self,
        *,
        engine: AsyncEngine,
        keyring: Keyring,
        rules: Rules,
        publisher: Publisher,
        relay: Relay,
        lanes: int,
        reply_partitions: int,
        metrics: Metrics,
    ) -> None:
        self._engine = engine
        self._keyring = keyring
        self._rules = rules
        self._publisher = publisher
        self._relay = relay
        self._lanes = lanes
        self._reply_partitions = reply_partitions
        self._metrics = metrics
        self._tracing = metrics.tracing

    async def take(self, records: Sequence[ConsumerRecord]) -> None:
        """Decide a batch. After it, every record is decided, answered or parked; a repetition changes nothing.

        Raises a TransientError when the batch has to come again.
        """
        received, refusals = self._read(records)
        next_offset = {record.partition: record.offset + 1 for record in records}
        answers: Answers = []
        for decided, unforeseen in await self._decide_all(received, next_offset):
            answers += decided
            refusals += unforeseen
        await self._answer(answers, refusals)
        for refusal in refusals:
            if not self._can_be_told(refusal):
                await delivery.park(self._publisher, topics.WALLET_COMMANDS, refusal.record, refusal.error)
                self._metrics.parked.labels(topics.WALLET_COMMANDS, refusal.error.code).inc()

    def _read(self, records: Sequence[ConsumerRecord]) -> tuple[list[Received], list[Refusal]]:
        received, refusals = [], []
        for record in records:
            command = None
            try:
                command = decode(record.value or b"")
                expected = lane_of(command.user_id, self._lanes)
                if expected != record.partition:
                    raise WrongLane(lane=record.partition, expected=expected)
            except PermanentError as error:
                refusals.append(Refusal(record, error, command))
            else:
                received.append(Received(record, command))
        return received, refusals

    async def _decide_all(self, received: Sequence[Received], next_offset: Mapping[int, int]) -> Sequence[Decided]:
        """Decide a batch: a large one as two transactions over lanes of their own, so that one decides while the
        database works on the other. Both have ended when this returns or raises.
        """
        ends = await asyncio.gather(
            *(self._decide_or_split(part, next_offset) for part in _parts(received)), return_exceptions=True
        )
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return [end for end in ends if not isinstance(end, BaseException)]

    async def _decide_or_split(self, received: Sequence[Received], next_offset: Mapping[int, int]) -> Decided:
        """Decide all in one transaction; where that fails for good, halve until the one that fails is alone."""
        try:
            return await delivery.with_retries(
                lambda: self._decide(received, next_offset), attempts=ATTEMPTS, what="command_batch"
            )
        except TransientError:
            raise
        except Exception as error:
            if database.refuses_all(error):
                # Split, it would refuse every single command, and all would be parked.
                raise DatabaseUnavailable("the database refuses every command; its operator is needed") from error
            # Whatever it is, one command must not stop its lane. It is found, logged with its traceback, and parked.
            if len(received) == 1:
                with logs.about((received[0].record,)):
                    log.error("command_unprocessable", command_id=str(received[0].command.command_id), exc_info=error)
                wrong = Uncommandable(f"{type(error).__name__} while deciding; the log has the traceback")
                return [], [Refusal(received[0].record, wrong, received[0].command)]
            log.warning("batch_split", commands=len(received), error=type(error).__name__)
            half = len(received) // 2
            answers, refusals = await self._decide_or_split(received[:half], next_offset)
            more_answers, more_refusals = await self._decide_or_split(received[half:], next_offset)
            return answers + more_answers, refusals + more_refusals

    async def _decide(self, received: Sequence[Received], next_offset: Mapping[int, int]) -> Decided:
        placed = [Placed(record.partition, command) for record, command in received]
        answers: Answers = []
        refusals: list[Refusal] = []
        began_ns = time.time_ns()
        with self._tracing.within("transaction", {"langsense.commands": len(received)}):
            async with database.transaction(self._engine) as connection:
                loaded = await repository.load(connection, needs(placed), self._rules.windows)
                batch = Batch(loaded, self._keyring.chain, self._rules)
                for item, (lane, command) in zip(received, placed, strict=True):
                    try:
                        answers.append((item, batch.answer(lane, command)))
                    except CommandIdReused as error:
                        refusals.append(Refusal(item.record, error, command))
                offsets = Offsets(next_offset, self._relay.confirmed())
                await repository.save(connection, batch.changes, offsets, loaded.now)
        committed_s = time.time()
        for item in received:
            self._metrics.decided_s.observe(max(0.0, committed_s - item.record.timestamp / 1000))
        traces = self._traced(answers, began_ns) if self._tracing.on else NO_TRACES
        await self._committed(batch.changes.rows, traces)
        return answers, refusals

    def _traced(self, answers: Answers, began_ns: int) -> Traces:
        """Tell each command's trace of the commit that decided it."""
        traces: dict[UUID, str] = {}
        for (record, command), answer in answers:
            if not self._tracing.holds(record):
                continue
            content = answer.row.content
            told: Attributes = {
                "langsense.command_id": str(command.command_id),
                "langsense.kind": content.kind,
                "langsense.status": content.status,
                "langsense.lane": content.lane,
                "langsense.position": content.position,
            }
            traceparent = self._tracing.step(record, "ledger commit", began_ns, told)
            if not answer.replayed:
                traces[command.command_id] = traceparent
        return traces

    async def _committed(self, rows: Sequence[JournalRow], traces: Traces) -> None:
        by_lane: dict[int, list[JournalRow]] = defaultdict(list)
        decided: Counter[tuple[str, str, str]] = Counter()
        for row in rows:
            by_lane[row.content.lane].append(row)
            decided[row.content.kind, row.content.status, row.content.reason or ""] += 1
        for labels, count in decided.items():
            self._metrics.decisions.labels(*labels).inc(count)
        await self._relay.committed(by_lane, traces)

    async def _answer(self, answers: Answers, refusals: Sequence[Refusal]) -> None:
        """Reply to whoever asked for it. A reply that is lost does no harm: the command, sent again, has the same."""
        replies: dict[int, list[Record]] = defaultdict(list)
        repetitions = 0
        for (record, command), answer in answers:
            repetitions += answer.replayed
            if (to := self._reply_to(record)) is not None:
                replies[to.partition].append(self._reply(to, record, command, reply_body(answer)))
        for record, error, refused in refusals:
            if refused is not None and (to := self._reply_to(record)) is not None:
                body = rejection_body(refused.command_id, error)
                replies[to.partition].append(self._reply(to, record, refused, body))
        self._metrics.duplicates.labels(topics.WALLET_COMMANDS).inc(repetitions)
        try:
            for partition, records in replies.items():
                for future, _ in await self._publisher.send_all(topics.WALLET_REPLIES, partition, records):
                    future.add_done_callback(self._publisher.delivered)
        except BrokerUnavailable as error:
            log.warning("replies_not_sent", error=str(error))

    def _reply(self, to: ReplyTo, record: ConsumerRecord, command: Command, body: bytes) -> Record:
        reply = _reply(to, record, command, body)
        if self._tracing.holds(record):
            traceparent = self._tracing.step(record, f"send {topics.WALLET_REPLIES}", time.time_ns(), sends=True)
            reply.headers.append((headers.TRACEPARENT, traceparent.encode()))
        return reply

    def _reply_to(self, record: ConsumerRecord) -> ReplyTo | None:
        return headers.reply_to(record.headers, self._reply_partitions)

    def _can_be_told(self, refusal: Refusal) -> bool:
        """Whether the sender learns of it by a reply: a reused id is the sender's to mend, and needs no operator."""
        return isinstance(refusal.error, CommandIdReused) and self._reply_to(refusal.record) is not None


def _parts(received: Sequence[Received]) -> Sequence[Sequence[Received]]:
    """A small batch whole; a large one in two, a lane's commands in one of them and in their order."""
    if not received:
        return ()
    if len(received) < TWO_TRANSACTIONS_FROM:
        return (received,)
    sizes = Counter(item.record.partition for item in received)
    first: set[int] = set()
    filled = 0
    for lane, count in sizes.most_common():
        if filled + count <= len(received) // 2:
            first.add(lane)
            filled += count
    parts = (
        [item for item in received if item.record.partition in first],
        [item for item in received if item.record.partition not in first],
    )
    return [part for part in parts if part]


def _reply(to: ReplyTo, record: ConsumerRecord, command: Command, body: bytes) -> Record:
    event = headers.cloud_event(
        event_id=f"{record.partition}/{record.offset}",
        event_type=headers.REPLY_TYPE,
        source="/langsense/wallet",
        subject=str(command.user_id),
        time=clock.utc_now(),
    )
    correlation = headers.find(record.headers, headers.CORRELATION_ID)
    if correlation is not None:
        event.append((headers.CORRELATION_ID, correlation.encode()))
    return Record(to.address.encode(), body, event)
