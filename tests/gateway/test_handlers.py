"""The way to the wallet and back: who waits for what, and what is said when Kafka does not take a command."""

import asyncio
import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaTimeoutError, OutOfOrderSequenceNumber

from gateway.handlers import link as link_module
from gateway.handlers import presence as presence_module
from gateway.handlers.link import KafkaWalletLink
from gateway.handlers.presence import Presence
from shared.contracts import headers, topics
from shared.contracts.commands import Command, decode
from shared.contracts.headers import ReplyTo
from shared.contracts.kinds import Kind
from shared.contracts.replies import Outcome, Reply
from shared.errors import BrokerUnavailable, CommandIdReused, ServiceUnavailable
from shared.telemetry import Metrics
from shared.testing import MOMENT, FakeLedger
from shared.tracing import Tracing
from tests.gateway.fakes import OTHER_PLAYER, PLAYER

REPLY_TO = ReplyTo(3, "gateway-1")


@dataclass
class Sent:
    """A record on its way, and the future of its delivery."""

    topic: str
    key: bytes
    value: bytes
    headers: headers.Headers
    delivery: "asyncio.Future[Any]"

    def header(self, name: str) -> str | None:
        return headers.find(self.headers, name)


@dataclass
class FakePublisher:
    """Takes records and leaves their delivery to the test."""

    away: BrokerUnavailable | None = None
    sent: list[Sent] = field(default_factory=list)
    repaired: list[BaseException] = field(default_factory=list)

    async def send(self, topic: str, *, key: bytes, value: bytes, headers: headers.Headers) -> "asyncio.Future[Any]":
        if self.away is not None:
            raise self.away
        record = Sent(topic, key, value, headers, asyncio.get_running_loop().create_future())
        self.sent.append(record)
        return record.delivery

    def repair(self, error: BaseException) -> None:
        self.repaired.append(error)


async def _there() -> None:
    """Answers."""


@pytest.fixture
def publisher() -> FakePublisher:
    return FakePublisher()


@pytest.fixture
async def kafka() -> Presence:
    presence = Presence("Kafka", _there, BrokerUnavailable)
    await presence.look()
    return presence


@pytest.fixture
def make(publisher: FakePublisher, kafka: Presence) -> Callable[..., KafkaWalletLink]:
    def made(*, wallet: Presence = kafka, max_waiting: int = 10, metrics: Metrics | None = None) -> KafkaWalletLink:
        link = KafkaWalletLink(
            publisher,  # type: ignore[arg-type]
            kafka=kafka,
            wallet=wallet,
            max_waiting=max_waiting,
            metrics=metrics or Metrics(),
        )
        link.listen_at(REPLY_TO)
        return link

    return made


@pytest.fixture
def link(make: Callable[..., KafkaWalletLink]) -> KafkaWalletLink:
    return make()


def bet(command_id: UUID | None = None, user_id: int = PLAYER) -> Command:
    return Command(
        command_id=command_id or uuid4(),
        kind=Kind.GAME_BET,
        user_id=user_id,
        amount_minor=1000,
        currency="USD",
        reference_id="game_77",
        occurred_at=MOMENT,
        expires_at=MOMENT + timedelta(seconds=3),
    )


def decided(command: Command, *, replayed: bool = False) -> Reply:
    row = FakeLedger(4).add(command.kind, command.user_id, command.amount_minor)
    row = row.model_copy(update={"command_id": command.command_id})
    return Reply(command_id=command.command_id, outcome=Outcome.DECIDED, replayed=replayed, transaction=row)


def record(reply: Reply | bytes, sent: Sent | None, *, key: bytes = REPLY_TO.address.encode()) -> ConsumerRecord:
    value = reply if isinstance(reply, bytes) else reply.model_dump_json().encode()
    found = [header for header in ([] if sent is None else sent.headers) if header[0] == headers.CORRELATION_ID]
    return ConsumerRecord(
        topics.WALLET_REPLIES,
        3,
        0,
        0,
        0,
        key,
        value,
        None,
        len(key),
        len(value),
        tuple(found),
    )


async def test_a_command_goes_out_as_its_contract_says(link: KafkaWalletLink, publisher: FakePublisher) -> None:
    command = bet()

    await link.ask(command, request_id="request-1", traceparent="00-aa-bb-01")

    (sent,) = publisher.sent
    assert (sent.topic, sent.key) == (topics.WALLET_COMMANDS, b"42")
    assert decode(sent.value) == command
    assert sent.header("ce_type") == headers.COMMAND_TYPE
    assert sent.header("ce_id") == str(command.command_id)
    assert sent.header("ce_subject") == "42"
    assert sent.header(headers.TRACEPARENT) == "00-aa-bb-01"
    assert headers.reply_to(sent.headers, 12) == REPLY_TO
    assert (sent.header(headers.CORRELATION_ID) or "").startswith("request-1.")


async def test_a_trace_that_is_recorded_here_goes_on_from_the_publishers_span(
    make: Callable[..., KafkaWalletLink], publisher: FakePublisher
) -> None:
    class Recorded(Tracing):
        on = True

    await make(metrics=Metrics(Recorded())).ask(bet(), request_id="r", traceparent="00-aa-bb-01")

    assert publisher.sent[0].header(headers.TRACEPARENT) is None


async def test_a_reply_reaches_who_asked(link: KafkaWalletLink, publisher: FakePublisher) -> None:
    command = bet()
    asked = await link.ask(command, request_id="r")
    reply = decided(command)

    link.take([record(b"nonsense", None), record(reply, publisher.sent[0])])

    assert await asked.reply(1) == reply
    assert link.pending(command.command_id) is None


async def test_two_who_ask_the_same_get_each_their_own_reply(link: KafkaWalletLink, publisher: FakePublisher) -> None:
    command = bet()
    first = await link.ask(command, request_id="same")
    second = await link.ask(command, request_id="same")

    link.take([record(decided(command, replayed=True), publisher.sent[1]), record(decided(command), publisher.sent[0])])

    replies = [await asked.reply(1) for asked in (first, second)]
    assert [reply and reply.replayed for reply in replies] == [False, True]


async def test_another_gateways_reply_is_not_ours(link: KafkaWalletLink, publisher: FakePublisher) -> None:
    command = bet()
    asked = await link.ask(command, request_id="r")
    publisher.sent[0].delivery.set_result(None)

    link.take([record(decided(command), publisher.sent[0], key=b"gateway-2")])

    assert await asked.reply(0.01) is None


async def test_past_the_wait_a_command_that_kafka_has_is_pending(
    link: KafkaWalletLink, publisher: FakePublisher
) -> None:
    command = bet()
    asked = await link.ask(command, request_id="r")
    publisher.sent[0].delivery.set_result(None)

    assert await asked.reply(0.01) is None
    assert link.pending(command.command_id) == command
    assert link.pending(uuid4()) is None

    link.take([record(decided(command), publisher.sent[0])])
    assert link.pending(command.command_id) is None


async def test_a_pending_command_is_forgotten_after_a_while(
    link: KafkaWalletLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = bet()
    await link.ask(command, request_id="r")
    monkeypatch.setattr(link_module, "PENDING_FOR_S", -1.0)

    assert link.pending(command.command_id) is None


async def test_who_does_not_wait_is_told_only_what_kafka_has(link: KafkaWalletLink, publisher: FakePublisher) -> None:
    asked = await link.ask(bet(), request_id="r")
    waiting = asyncio.create_task(asked.reply(0))
    await asyncio.sleep(0)

    assert not waiting.done()
    publisher.sent[0].delivery.set_result(None)
    assert await waiting is None


async def test_a_command_that_kafka_does_not_take_in_time_is_not_promised(
    link: KafkaWalletLink, kafka: Presence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "CONFIRM_S", 0.02)
    asked = await link.ask(bet(), request_id="r")

    with pytest.raises(BrokerUnavailable, match="same Idempotency-Key"):
        await asked.reply(0.01)
    with pytest.raises(BrokerUnavailable):
        kafka.require()


async def test_a_failed_delivery_is_told_before_the_wait_is_over(
    link: KafkaWalletLink, publisher: FakePublisher, kafka: Presence
) -> None:
    command = bet()
    asked = await link.ask(command, request_id="r")
    error = OutOfOrderSequenceNumber()
    waiting = asyncio.create_task(asked.reply(60))
    publisher.sent[0].delivery.set_exception(error)

    with pytest.raises(BrokerUnavailable):
        await waiting
    assert publisher.repaired == [error]
    assert link.pending(command.command_id) is None
    with pytest.raises(BrokerUnavailable):
        kafka.require()


async def test_a_failed_delivery_that_nobody_waits_for_is_quiet(
    link: KafkaWalletLink, publisher: FakePublisher
) -> None:
    await link.ask(bet(), request_id="r")
    publisher.sent[0].delivery.set_exception(KafkaTimeoutError())
    publisher.sent.clear()
    await asyncio.sleep(0)
    # An error that nobody looked at would be reported when its future goes.
    gc.collect()


async def test_after_the_first_failure_the_next_are_refused_at_once(
    link: KafkaWalletLink, publisher: FakePublisher, kafka: Presence
) -> None:
    publisher.away = BrokerUnavailable("no Kafka")
    with pytest.raises(BrokerUnavailable):
        await link.ask(bet(), request_id="r")
    publisher.away = None

    with pytest.raises(BrokerUnavailable):
        await link.ask(bet(), request_id="r")
    await kafka.look()
    await link.ask(bet(), request_id="r")

    assert len(publisher.sent) == 1


async def test_nothing_is_sent_while_the_wallet_is_away(
    make: Callable[..., KafkaWalletLink], publisher: FakePublisher
) -> None:
    link = make(wallet=Presence("the wallet", _there, ServiceUnavailable))

    with pytest.raises(ServiceUnavailable):
        await link.ask(bet(), request_id="r")
    assert publisher.sent == []


async def test_one_too_many_does_not_wait(make: Callable[..., KafkaWalletLink], publisher: FakePublisher) -> None:
    link = make(max_waiting=1)
    first = await link.ask(bet(), request_id="1")
    command = bet()
    second = await link.ask(command, request_id="2")
    for sent in publisher.sent:
        sent.delivery.set_result(None)

    assert await second.reply(60) is None
    assert link.pending(command.command_id) == command

    # Whoever stops waiting makes room.
    assert await first.reply(0) is None
    del first, second
    publisher.sent.clear()
    await asyncio.sleep(0)
    third = await link.ask(command, request_id="3")
    link.take([record(decided(command), publisher.sent[0])])
    assert await third.reply(60) is not None


async def test_a_command_id_is_one_players(link: KafkaWalletLink, publisher: FakePublisher) -> None:
    command = bet()
    await link.ask(command, request_id="r")

    with pytest.raises(CommandIdReused):
        await link.ask(bet(command.command_id, user_id=OTHER_PLAYER), request_id="r")
    assert len(publisher.sent) == 1


async def test_what_is_remembered_is_bounded(link: KafkaWalletLink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "MAX_PENDING", 2)
    monkeypatch.setattr(link_module, "MAX_RECENT", 2)
    commands = [bet() for _ in range(3)]

    for command in commands:
        await link.ask(command, request_id="r")

    assert [link.pending(command.command_id) is not None for command in commands] == [False, True, True]
    await link.ask(bet(commands[0].command_id, user_id=OTHER_PLAYER), request_id="r")


async def test_the_time_to_a_decision_is_measured(
    make: Callable[..., KafkaWalletLink], publisher: FakePublisher
) -> None:
    metrics = Metrics()
    link = make(metrics=metrics)
    command = bet()
    asked = await link.ask(command, request_id="r")

    link.take([record(decided(command), publisher.sent[0])])

    assert await asked.reply(1) is not None
    labels = {"kind": "GAME_BET", "outcome": "posted"}
    assert metrics.registry.get_sample_value("langsense_command_seconds_count", labels) == 1


class TestPresence:
    async def test_nothing_is_there_before_it_was_asked(self) -> None:
        presence = Presence("it", _there, ServiceUnavailable)

        with pytest.raises(ServiceUnavailable, match="it is not there"):
            await presence.present()
        await presence.look()
        await presence.present()

    async def test_what_says_that_it_is_away_is_away_until_it_answers_again(self) -> None:
        answers: list[ServiceUnavailable | None] = [None, ServiceUnavailable("closed"), None]

        async def ask() -> None:
            if (error := answers.pop(0)) is not None:
                raise error

        presence = Presence("it", ask, ServiceUnavailable)
        await presence.look()
        presence.require()
        await presence.look()
        with pytest.raises(ServiceUnavailable, match="closed"):
            presence.require()
        await presence.look()
        presence.require()

    async def test_what_does_not_answer_in_time_is_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(presence_module, "ASK_TIMEOUT_S", 0.01)
        presence = Presence("it", asyncio.Event().wait, ServiceUnavailable)  # type: ignore[arg-type]

        await presence.look()

        with pytest.raises(ServiceUnavailable, match="did not answer"):
            presence.require()

    async def test_it_is_asked_again_and_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(presence_module, "ASK_EVERY_S", 0.0)
        often = asyncio.Event()
        asked = 0

        async def ask() -> None:
            nonlocal asked
            asked += 1
            if asked == 3:
                often.set()

        watching = asyncio.create_task(Presence("it", ask, ServiceUnavailable).watch())
        await asyncio.wait_for(often.wait(), 5)
        watching.cancel()
