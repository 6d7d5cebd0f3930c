"""Killed at random points and read again from the start of every topic: the same features and scores, bit for bit."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
from aiokafka import ConsumerRecord
from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.domain.observations import milliseconds
from fraud_service.handlers.intake import Rounds, Signals
from fraud_service.handlers.ledger import applying
from fraud_service.handlers.rulebook import RuleBook
from fraud_service.handlers.scorer import Scorer
from fraud_service.settings import Settings
from fraud_service.tables import inbox
from shared import clock
from shared.contracts.headers import cloud_event
from shared.contracts.kinds import Kind
from shared.contracts.rounds import GameRound
from shared.contracts.topics import GAME_ROUNDS, LEDGER_EVENTS, PAYMENTS_EVENTS
from shared.errors import TransientError
from shared.inbox import LedgerInbox
from shared.subscriber import Take
from shared.telemetry import Metrics
from shared.testing import MOMENT, FakeLedger
from tests.support import Database, Recorder, as_administrator, record

pytestmark = pytest.mark.integration

PLAYERS = 12
STATE = """SELECT f.user_id, f.state::text, f.latest, f.score, f.level, f.reasons::text FROM fraud.features AS f
    ORDER BY f.user_id"""
EMPTY = """TRUNCATE fraud.features, fraud.score_history, fraud.games, fraud.signals, fraud.links, fraud.inbox,
    fraud.fraud_flags, fraud.outbox, fraud.players, fraud.bet_minutes, fraud.rule_days"""

# What people said stays, as rules do. The second is over before the history is.
SNOOZED = f"""INSERT INTO fraud.rule_snoozes (id, user_id, since, until, rule_id, made_by, note)
    SELECT gen_random_uuid(), user_id, '{MOMENT}', '{MOMENT}'::timestamptz + length, rule_id, 'ana', 'a trial'
    FROM generate_series(1, 6) AS user_id, (VALUES (interval '1 day', 'shared_instrument'),
        (interval '20 minutes', 'win_rate')) AS s (length, rule_id)"""

Topics = dict[str, list[ConsumerRecord]]


def history(ledger: FakeLedger, draw: random.Random) -> Topics:
    """Some hours of a few players, on three topics."""
    topics: Topics = {LEDGER_EVENTS: [], GAME_ROUNDS: [], PAYMENTS_EVENTS: []}
    kinds = [Kind.DEPOSIT, Kind.WITHDRAWAL_HOLD, Kind.ADJUSTMENT_CREDIT, Kind.CHARGEBACK, *[Kind.GAME_BET] * 8]
    for number in range(600):
        at = MOMENT + timedelta(seconds=number * 7)
        user_id = draw.randint(1, PLAYERS)
        ledger.add(draw.choice(kinds), user_id, draw.randint(100, 990_000), at=at)
        told = milliseconds(at)
        if number % 2:
            played = GameRound(
                round_id=f"r-{number}",
                user_id=user_id,
                game_id="dice",
                outcome=draw.choice(["win", "win", "win", "loss", "push"]),
                currency="USD",
                win_probability_ppm=485_000,
                occurred_at=at - timedelta(seconds=draw.randint(0, 3000)),
            )
            made = record(played.model_dump_json().encode(), topic=GAME_ROUNDS, offset=number)
            topics[GAME_ROUNDS].append(replace(made, timestamp=told))
        if number % 5 == 0:
            body = {
                "user_id": user_id,
                "instrument_id": f"card-{draw.randint(1, 8)}",
                "country": draw.choice(["GB", "DE"]),
            }
            kind = draw.choice(["payments.deposit.failed.v1", "payments.deposit.completed.v1"])
            headers = cloud_event(
                event_id=f"e-{number}", event_type=kind, source="payments", subject=str(user_id), time=at
            )
            made = record(orjson.dumps(body), topic=PAYMENTS_EVENTS, offset=number, headers=headers)
            topics[PAYMENTS_EVENTS].append(replace(made, timestamp=told))
    topics[LEDGER_EVENTS] = [record(row.model_dump_json().encode()) for row in ledger.all()]
    return topics


class Instance:
    """What one process has, without its loops."""

    def __init__(self, settings: Settings, engine: AsyncEngine, ledger: FakeLedger) -> None:
        metrics, publisher = Metrics(), Recorder()
        self.book = RuleBook(engine, metrics, look_every_s=1)
        scorer = Scorer(settings, self.book, metrics, clock.utc_now)
        apply = applying(settings, scorer, metrics, clock.utc_now)
        own = LedgerInbox(engine=engine, table=inbox, journal=ledger, publisher=publisher, apply=apply, metrics=metrics)
        self.takes: dict[str, Take] = {
            LEDGER_EVENTS: own.take,
            GAME_ROUNDS: Rounds(engine, scorer, publisher, metrics).take,
            PAYMENTS_EVENTS: Signals(engine, scorer, publisher, metrics, PAYMENTS_EVENTS).take,
        }


async def read(instance: Instance, topics: Topics, draw: random.Random, *, kills: bool) -> int:
    """Every topic at once, each in batches of any size; returns how often a batch was killed.

    Where a batch is killed it comes again, with whatever came before it: nothing says how far the process had come.
    """

    async def follow(topic: str, records: Sequence[ConsumerRecord]) -> int:
        taken = killed = 0
        while taken < len(records):
            batch = records[max(taken - draw.randint(0, 5), 0) : taken + draw.randint(1, 60)]
            task = asyncio.ensure_future(instance.takes[topic](batch))
            if kills and draw.random() < 0.4:
                await asyncio.wait([task], timeout=draw.uniform(0, 0.03))
                if task.cancel():
                    await asyncio.wait([task])
                    killed += 1
                    continue
            try:
                await task
            except TransientError:
                continue
            taken += len(batch) - (taken - records.index(batch[0]))
        return killed

    return sum(await asyncio.gather(*(follow(topic, records) for topic, records in topics.items())))


@pytest.mark.slow
async def test_a_replay_after_kills_gives_the_same_bits(
    settings: Settings, engine: AsyncEngine, database: Database, ledger: FakeLedger
) -> None:
    topics = history(ledger, random.Random(1))
    whole = Instance(settings, engine, ledger)
    await whole.book.start()
    await as_administrator(database, SNOOZED)
    await read(whole, topics, random.Random(2), kills=False)
    expected = await as_administrator(database, STATE)
    assert len(expected) == PLAYERS
    assert any(row["score"] > 25 for row in expected)
    killed = 0
    # How many are killed is for the machine's speed to say.
    for seed in range(3, 33):
        await as_administrator(database, EMPTY)
        again = Instance(settings, engine, ledger)
        await again.book.start()
        killed += await read(again, topics, random.Random(seed), kills=True)
        assert await as_administrator(database, STATE) == expected
        if killed > 10:
            break
    assert killed > 10


@pytest.mark.slow
async def test_two_instances_that_take_the_same_records_score_as_one_and_raise_each_flag_once(
    settings: Settings, engine: AsyncEngine, database: Database, ledger: FakeLedger
) -> None:
    topics = history(ledger, random.Random(1))
    for number in range(25):
        won = GameRound(
            round_id=f"w-{number}",
            user_id=1,
            game_id="dice",
            outcome="win",
            currency="USD",
            occurred_at=MOMENT + timedelta(hours=2, seconds=number),
        )
        made = record(won.model_dump_json().encode(), topic=GAME_ROUNDS, offset=1000 + number)
        topics[GAME_ROUNDS].append(replace(made, timestamp=milliseconds(won.occurred_at)))
    one = Instance(settings, engine, ledger)
    await one.book.start()
    await read(one, topics, random.Random(2), kills=False)
    expected = await as_administrator(database, STATE)
    flagged = {row["user_id"] for row in await as_administrator(database, "SELECT user_id FROM fraud.fraud_flags")}
    assert 1 in flagged

    await as_administrator(database, EMPTY)
    pair = [Instance(settings, engine, ledger) for _ in range(2)]
    for each in pair:
        await each.book.start()
    await asyncio.gather(*(read(each, topics, random.Random(5 + n), kills=False) for n, each in enumerate(pair)))
    assert await as_administrator(database, STATE) == expected
    flags = await as_administrator(database, "SELECT user_id FROM fraud.fraud_flags")
    assert sorted(row["user_id"] for row in flags) == sorted(flagged)
    alerts = await as_administrator(database, "SELECT user_id FROM fraud.outbox WHERE type = 'fraud.alert.raised.v1'")
    assert len(alerts) == len(flagged)
