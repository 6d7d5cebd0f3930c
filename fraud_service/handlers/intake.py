"""Kafka in: rounds of games, and what other services' events tell of players. Each event counts once, by its id."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import orjson
from aiokafka import ConsumerRecord
from faststream.kafka import KafkaRouter
from faststream.kafka.annotations import KafkaMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.domain import observations
from fraud_service.domain.observations import MOST_ACCOUNTS, Link, Observation
from fraud_service.handlers.scorer import Scorer
from fraud_service.repository import observed
from fraud_service.repository.observed import Named
from fraud_service.settings import Settings
from shared import database, delivery, logs
from shared.broker import BrokerOptions, Publisher, batches
from shared.contracts import headers
from shared.contracts.commands import field_errors
from shared.contracts.rounds import GameRound
from shared.contracts.signals import KINDS, PlayerSignal, SignalKind
from shared.contracts.topics import GAME_ROUNDS
from shared.errors import FieldError, Undecodable
from shared.progress import Progress
from shared.subscriber import Rebalances, Take, handling, patient
from shared.telemetry import Metrics

log = logs.get(__name__)

GROUP = "fraud_service.intake"
ATTEMPTS = 6


def router(
    settings: Settings, options: BrokerOptions, takes: Mapping[str, Take], *, progress: Progress, metrics: Metrics
) -> KafkaRouter:
    """One subscriber of several topics, each with what takes its records: an idle topic costs no consumer."""
    kafka = KafkaRouter()

    subscriber: BatchSubscriber = kafka.subscriber(
        *(options.topic(topic) for topic in takes),
        listener=Rebalances("intake", metrics),
        **batches(patient(options), GROUP, max_records=settings.fraud_batch_records),
    )

    @subscriber
    async def events(message: KafkaMessage) -> None:
        batch: tuple[ConsumerRecord, ...] = message.raw_message
        with progress.batch():
            for topic, take in takes.items():
                records = [record for record in batch if record.topic == options.topic(topic)]
                if records:
                    with handling(topic, records, metrics):
                        await take(records)

    return kafka


class Rounds:
    """Takes rounds of games."""

    def __init__(self, engine: AsyncEngine, scorer: Scorer, publisher: Publisher, metrics: Metrics) -> None:
        self._engine = engine
        self._scorer = scorer
        self._publisher = publisher
        self._metrics = metrics

    async def take(self, records: Sequence[ConsumerRecord]) -> None:
        """Apply a batch. Raises a TransientError when it has to come again."""
        rounds: dict[tuple[str, int], tuple[GameRound, int]] = {}
        for record in records:
            try:
                played = GameRound.model_validate_json(record.value or b"")
            except ValidationError as error:
                await _park(self._publisher, self._metrics, GAME_ROUNDS, record, Undecodable(field_errors(error)))
            else:
                rounds.setdefault((played.round_id, played.user_id), (played, _recorded(record)))

        async def save() -> None:
            async with database.transaction(self._engine) as connection:
                fresh = await observed.take_rounds(connection, [played for played, _ in rounds.values()])
                self._metrics.duplicates.labels(GAME_ROUNDS).inc(len(records) - len(fresh))
                seen = (o for key in sorted(fresh) for o in observations.of_round(*rounds[key]))
                await self._scorer.apply(connection, seen)

        await delivery.with_retries(save, attempts=ATTEMPTS, what="rounds_batch")
        await self._scorer.settle()


class Signals:
    """Takes one topic's events about players."""

    def __init__(self, engine: AsyncEngine, scorer: Scorer, publisher: Publisher, metrics: Metrics, topic: str) -> None:
        self._engine = engine
        self._scorer = scorer
        self._publisher = publisher
        self._metrics = metrics
        self._topic = topic

    async def take(self, records: Sequence[ConsumerRecord]) -> None:
        """Apply a batch. Raises a TransientError when it has to come again."""
        found: dict[Named, tuple[PlayerSignal, int]] = {}
        for record in records:
            try:
                signal = _signal(record)
            except Undecodable as error:
                await _park(self._publisher, self._metrics, self._topic, record, error)
            else:
                if signal is not None:
                    found.setdefault(_name(self._topic, record), (signal, _recorded(record)))

        async def save() -> None:
            async with database.transaction(self._engine) as connection:
                fresh = sorted(await observed.take_signals(connection, found))
                uses = [use for name in fresh for use in observations.links(*found[name])]
                sharers = await observed.link(connection, uses)
                told = [o for n in fresh for o in observations.of_signal(found[n][0], n.event_id, found[n][1])]
                await self._scorer.apply(connection, [*told, *_shared(uses, sharers.values())])

        if found:
            await delivery.with_retries(save, attempts=ATTEMPTS, what="signals_batch")
            await self._scorer.settle()


def _shared(uses: Sequence[Link], sharers: Iterable[Sequence[Link]]) -> Iterator[Observation]:
    """What is known of everybody who shares. Beyond MOST_ACCOUNTS only who came now is told: the others know."""
    for users in sharers:
        known = users
        if len(users) > MOST_ACCOUNTS:
            known = [use for use in uses if (use.what, use.key) == (users[0].what, users[0].key)]
        for use in known:
            yield observations.shared(use, len(users))


def _signal(record: ConsumerRecord) -> PlayerSignal | None:
    """What a record says of a player, or None for one that says nothing of any. Raises Undecodable."""
    try:
        body = orjson.loads(record.value or b"")
    except orjson.JSONDecodeError as error:
        raise Undecodable([FieldError("", "is not JSON")]) from error
    if not isinstance(body, dict):
        raise Undecodable([FieldError("", "must be an object")])
    kind = KINDS.get(headers.find(record.headers, "ce_type") or "", SignalKind.OTHER)
    told = {"occurred_at": headers.find(record.headers, "ce_time")} | body | {"kind": kind}
    try:
        return PlayerSignal.model_validate(told)
    except ValidationError:
        # Another service's event, in a form that says nothing here.
        return None


def _name(topic: str, record: ConsumerRecord) -> Named:
    own = f"{record.partition}/{record.offset}"
    return Named(headers.find(record.headers, "ce_source") or topic, headers.find(record.headers, "ce_id") or own)


def _recorded(record: ConsumerRecord) -> int:
    recorded_ms: int = record.timestamp
    return recorded_ms


async def _park(publisher: Publisher, metrics: Metrics, topic: str, record: ConsumerRecord, error: Undecodable) -> None:
    await delivery.park(publisher, topic, record, error)
    metrics.parked.labels(topic, error.code).inc()
