"""The wallet, asked over Kafka: a command out, and its reply in on the one partition that this process reads.

What is remembered here helps, and nothing depends on it: after a restart a retry under the same idempotency key is
the same command, and is answered with the same decision.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import NamedTuple
from uuid import UUID
from weakref import WeakValueDictionary

from aiokafka import ConsumerRecord
from aiokafka.structs import RecordMetadata
from pydantic import ValidationError

from gateway.handlers.presence import Presence
from shared import logs
from shared.broker import Publisher
from shared.contracts import headers, topics
from shared.contracts.commands import Command, encode
from shared.contracts.headers import ReplyTo
from shared.contracts.replies import Outcome, Reply
from shared.errors import BrokerUnavailable, CommandIdReused
from shared.lanes import key_of
from shared.telemetry import Metrics

log = logs.get(__name__)

# Kafka has this long to take a command whose caller does not wait for the decision any more, or never did.
CONFIRM_S = 2.0
# Commands whose decision is not known, and commands whose player is remembered: the oldest are forgotten.
MAX_PENDING = 100_000
MAX_RECENT = 100_000
PENDING_FOR_S = 600.0


class _Pending(NamedTuple):
    command: Command
    asked_at: float


class KafkaWalletLink:
    """The way to the wallet and back (`gateway.domain.ports.WalletLink`)."""

    def __init__(
        self,
        publisher: Publisher,
        *,
        kafka: Presence,
        wallet: Presence,
        max_waiting: int,
        metrics: Metrics,
    ) -> None:
        self._publisher = publisher
        self._reply_to = self._address = b""
        self._kafka = kafka
        self._wallet = wallet
        self._max_waiting = max_waiting
        self._metrics = metrics
        self._numbers = count()
        # By correlation id. A request holds what it asked; when the request is gone, nobody waits.
        self._waiting: WeakValueDictionary[str, AskedWallet] = WeakValueDictionary()
        self._pending: OrderedDict[UUID, _Pending] = OrderedDict()
        self._players: OrderedDict[UUID, int] = OrderedDict()

    def listen_at(self, reply_to: ReplyTo) -> None:
        """Take replies from there. Nothing is asked before."""
        self._reply_to = reply_to.to_text().encode()
        self._address = reply_to.address.encode()

    async def ask(self, command: Command, *, request_id: str, traceparent: str | None = None) -> "AskedWallet":
        self._wallet.require()
        self._kafka.require()
        self._require_same_player(command)
        correlation_id = f"{request_id}.{next(self._numbers)}"
        asked = AskedWallet(self._kafka, waits=len(self._waiting) < self._max_waiting)
        self._waiting[correlation_id] = asked
        try:
            delivery = await self._publisher.send(
                topics.WALLET_COMMANDS,
                key=key_of(command.user_id),
                value=encode(command),
                headers=self._headers(command, correlation_id, traceparent),
            )
        except BrokerUnavailable as error:
            self._kafka.lost(str(error))
            raise
        self._remember(command)
        asked.delivery = delivery
        delivery.add_done_callback(partial(self._delivered, command.command_id, asked))
        return asked

    def pending(self, command_id: UUID) -> Command | None:
        found = self._pending.get(command_id)
        if found is None or time.monotonic() - found.asked_at > PENDING_FOR_S:
            return None
        return found.command

    def take(self, records: Sequence[ConsumerRecord]) -> None:
        """Hand replies to those who wait for them. Other gateways' replies may stand between ours."""
        for record in records:
            if record.key != self._address:
                continue
            try:
                reply = Reply.model_validate_json(record.value or b"")
            except ValidationError:
                log.error("reply_undecodable", offset=record.offset)
                continue
            self._note(reply)
            asked = self._waiting.pop(headers.find(record.headers, headers.CORRELATION_ID) or "", None)
            if asked is not None:
                asked.answered(reply)

    def _headers(self, command: Command, correlation_id: str, traceparent: str | None) -> headers.Headers:
        found = headers.cloud_event(
            event_id=str(command.command_id),
            event_type=headers.COMMAND_TYPE,
            source="/langsense/gateway",
            subject=str(command.user_id),
            time=command.occurred_at,
        )
        found += [(headers.REPLY_TO, self._reply_to), (headers.CORRELATION_ID, correlation_id.encode())]
        # A trace that is recorded here goes on from the span of what is sent; any other is passed on as it came.
        if traceparent is not None and not self._metrics.tracing.on:
            found.append((headers.TRACEPARENT, traceparent.encode()))
        return found

    def _require_same_player(self, command: Command) -> None:
        # A player's own lane knows its command ids; another player's lane cannot know that the id was used elsewhere.
        if self._players.get(command.command_id, command.user_id) != command.user_id:
            raise CommandIdReused("user_id")

    def _remember(self, command: Command) -> None:
        self._pending[command.command_id] = _Pending(command, time.monotonic())
        self._players[command.command_id] = command.user_id
        if len(self._pending) > MAX_PENDING:
            self._pending.popitem(last=False)
        if len(self._players) > MAX_RECENT:
            self._players.popitem(last=False)

    def _delivered(self, command_id: UUID, asked: "AskedWallet", delivery: "asyncio.Future[RecordMetadata]") -> None:
        error = None if delivery.cancelled() else delivery.exception()
        if error is not None:
            self._publisher.repair(error)
        if error is not None or delivery.cancelled():
            self._kafka.lost("it did not take a command")
            self._pending.pop(command_id, None)
            asked.answered(_untaken())

    def _note(self, reply: Reply) -> None:
        found = self._pending.pop(reply.command_id, None)
        if found is not None:
            outcome = reply.transaction.status.value if reply.transaction is not None else Outcome.REJECTED.value
            duration_s = time.monotonic() - found.asked_at
            self._metrics.command_s.labels(found.command.kind.value, outcome).observe(duration_s)


class AskedWallet:
    """A command that is on its way (`gateway.domain.ports.Asked`)."""

    def __init__(self, kafka: Presence, *, waits: bool) -> None:
        self._kafka = kafka
        self._waits = waits
        # A failure is a result too: nobody may be left to see an exception that was set.
        self._answer: asyncio.Future[Reply | BrokerUnavailable] = asyncio.get_running_loop().create_future()
        self.delivery: asyncio.Future[RecordMetadata] | None = None

    def answered(self, answer: Reply | BrokerUnavailable) -> None:
        """The end of waiting."""
        if not self._answer.done():
            self._answer.set_result(answer)

    async def reply(self, within_s: float) -> Reply | None:
        if not self._waits:
            within_s = 0.0
        answer = await self._within(within_s)
        if answer is None and not self._taken():
            # Kafka is slow to take it or gone, and the caller must not believe that the command is safe.
            answer = await self._taken_within(max(CONFIRM_S - within_s, 0.0))
        if isinstance(answer, BrokerUnavailable):
            raise answer
        return answer

    async def _within(self, within_s: float) -> Reply | BrokerUnavailable | None:
        if within_s == 0 and not self._answer.done():
            return None
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.shield(self._answer)
        except TimeoutError:
            return None

    def _taken(self) -> bool:
        return self.delivery is not None and self.delivery.done()

    async def _taken_within(self, bound_s: float) -> Reply | BrokerUnavailable | None:
        assert self.delivery is not None
        await asyncio.wait([self.delivery], timeout=bound_s)
        if self._answer.done():
            return self._answer.result()
        if not self.delivery.done():
            self._kafka.lost(f"it did not take a command within {CONFIRM_S:.0f} s")
            return _untaken()
        return None


def _untaken() -> BrokerUnavailable:
    return BrokerUnavailable(
        "Kafka did not take the command within the bound; it may still arrive: ask again with the same Idempotency-Key"
    )
