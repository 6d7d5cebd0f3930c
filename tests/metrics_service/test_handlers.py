"""The metrics service applies each ledger row once, whatever Kafka repeats, reorders, mangles or loses."""

import random
from collections import Counter
from collections.abc import Iterable

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from sqlalchemy.ext.asyncio import AsyncEngine

from metrics_service.repository.facts import Reads
from shared import broker
from shared.broker import BrokerOptions, Publisher
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind, Reason
from shared.contracts.topics import LEDGER_EVENTS, parked
from shared.journal import PAGE_ROWS
from shared.testing import FakeLedger
from tests.support import Database, Instance, as_administrator, eventually, publish

pytestmark = pytest.mark.integration

Figures = dict[tuple[str, str, str, str], tuple[int, int]]


def fill(ledger: FakeLedger, rows: int, seed: int = 1) -> list[LedgerEvent]:
    """New rows of many players, kinds, currencies and outcomes."""
    draw = random.Random(seed)
    return [
        ledger.add(
            draw.choice([Kind.GAME_BET, Kind.GAME_PAYOUT, Kind.BET_ROLLBACK, Kind.DEPOSIT]),
            draw.randrange(1, 40),
            draw.randrange(1, 100_000),
            currency=draw.choice(["USD", "JPY"]),
            reason=draw.choice([None, None, None, Reason.INSUFFICIENT_FUNDS, Reason.EXPIRED]),
        )
        for _ in range(rows)
    ]


def expected(rows: Iterable[LedgerEvent]) -> Figures:
    counts: Counter[tuple[str, str, str, str]] = Counter()
    amounts: Counter[tuple[str, str, str, str]] = Counter()
    for row in rows:
        key = (row.currency, str(row.kind), row.status.value, str(row.reason or ""))
        counts[key] += 1
        amounts[key] += row.amount_minor
    return {key: (counts[key], amounts[key]) for key in counts}


async def figures(engine: AsyncEngine) -> Figures:
    lines, _ = await Reads(engine).totals()
    return {(line.currency, line.kind, line.status, line.reason): (line.rows, line.amount_minor) for line in lines}


async def reached(engine: AsyncEngine, ledger: FakeLedger) -> bool:
    _, positions = await Reads(engine).totals()
    return positions == {head.lane: head.position for head in await ledger.heads()}


async def until_reached(engine: AsyncEngine, ledger: FakeLedger) -> None:
    await eventually(lambda: reached(engine, ledger))


async def test_rows_that_come_twice_and_out_of_order_are_counted_once(
    engine: AsyncEngine, instance: Instance, ledger: FakeLedger, publisher: Publisher
) -> None:
    fill(ledger, 300)
    rows = ledger.all() * 2
    random.Random(2).shuffle(rows)
    await publish(publisher, rows)
    async with instance():
        await until_reached(engine, ledger)
        await publish(publisher, [*rows[-50:], *fill(ledger, 20, seed=3)])
        await until_reached(engine, ledger)
    assert await figures(engine) == expected(ledger.all())


async def test_rows_that_kafka_lost_come_from_the_journal(
    engine: AsyncEngine, instance: Instance, ledger: FakeLedger, publisher: Publisher
) -> None:
    fill(ledger, 300)
    heads = {(head.lane, head.position) for head in await ledger.heads()}
    survivors = [row for row in ledger.all() if row.position % 7 == 0 or (row.lane, row.position) in heads]
    await publish(publisher, survivors)
    async with instance():
        await until_reached(engine, ledger)
    assert await figures(engine) == expected(ledger.all())


async def test_a_gap_of_several_pages_is_filled(
    engine: AsyncEngine, instance: Instance, ledger: FakeLedger, publisher: Publisher
) -> None:
    for _ in range(2 * PAGE_ROWS + 1):
        ledger.add(Kind.GAME_BET, 7, 5)
    await publish(publisher, ledger.all()[-1:])
    async with instance():
        await until_reached(engine, ledger)
    assert await figures(engine) == {("USD", "GAME_BET", "posted", ""): (2001, 10_005)}


async def test_a_loss_that_nothing_follows_is_found_by_looking_at_the_heads(
    engine: AsyncEngine, instance: Instance, ledger: FakeLedger
) -> None:
    fill(ledger, 50)
    async with instance() as inbox:
        assert await inbox.catch_up() == 50
        assert await inbox.catch_up() == 0
    assert await reached(engine, ledger)
    assert await figures(engine) == expected(ledger.all())


async def test_a_gap_waits_for_the_journal_and_nothing_is_skipped(
    engine: AsyncEngine, instance: Instance, ledger: FakeLedger, publisher: Publisher
) -> None:
    fill(ledger, 100)
    first, second, *rest = (row for row in ledger.all() if row.lane == 0)
    ledger.available = False
    await publish(publisher, [first, *rest])
    async with instance() as inbox:

        async def tried() -> bool:
            return ledger.refused > 0

        await eventually(tried)
        assert (await inbox.positions()).get(0, 0) < second.position
        ledger.available = True

        async def healed() -> bool:
            return (await inbox.positions()).get(0) == rest[-1].position

        # Who reads the lane heals it by itself; the other lanes have nobody who reads them.
        await eventually(healed)
        await inbox.catch_up()
        await until_reached(engine, ledger)
    assert await figures(engine) == expected(ledger.all())


async def test_what_cannot_be_decoded_is_parked_while_its_neighbours_go_through(
    engine: AsyncEngine, instance: Instance, ledger: FakeLedger, publisher: Publisher, kafka: BrokerOptions
) -> None:
    fill(ledger, 40)
    rows = ledger.all()
    no_such_currency = rows[0].model_dump_json().replace(f'"{rows[0].currency}"', '"XYZ"').encode()
    bad = [b"", b"\xff\xfe", b"[]", b'{"lane": 0}', no_such_currency]
    await publish(publisher, rows[:20])
    for body in bad:
        await publisher.publish(
            LEDGER_EVENTS, key=b"1", value=body, headers=[("ce_type", b"\xff\xfe")], partition=rows[0].lane
        )
    await publish(publisher, rows[20:])
    async with instance():
        await until_reached(engine, ledger)
    assert await figures(engine) == expected(rows)
    put_aside = await records_of(kafka, parked(LEDGER_EVENTS), len(bad))
    assert [record.value for record in put_aside] == bad
    for record in put_aside:
        headers = dict(record.headers)
        assert headers["parked-code"] == b"UNDECODABLE"
        assert headers["parked-from"].startswith(f"{LEDGER_EVENTS}/{rows[0].lane}/".encode())
        assert headers["ce_type"] == b"\xff\xfe"


async def test_lanes_that_move_between_instances_are_counted_once(
    engine: AsyncEngine, instance: Instance, ledger: FakeLedger, publisher: Publisher
) -> None:
    fill(ledger, 400)
    rows = ledger.all()
    async with instance():
        await publish(publisher, rows[::4])
        async with instance():
            await publish(publisher, rows[1::4])
            async with instance():
                await publish(publisher, rows[2::4])
            await publish(publisher, rows[3::4])
            await until_reached(engine, ledger)
        fill(ledger, 20, seed=5)
        await publish(publisher, ledger.all())
        await until_reached(engine, ledger)
    assert await figures(engine) == expected(ledger.all())


async def test_a_restart_goes_on_where_the_last_one_ended(
    engine: AsyncEngine, instance: Instance, ledger: FakeLedger, publisher: Publisher
) -> None:
    for seed in range(3):
        fill(ledger, 30, seed)
        await publish(publisher, ledger.all())
        async with instance():
            await until_reached(engine, ledger)
    assert await figures(engine) == expected(ledger.all())


async def test_starting_from_zero_gives_the_same_figures(
    database: Database, engine: AsyncEngine, instance: Instance, ledger: FakeLedger, publisher: Publisher
) -> None:
    fill(ledger, 200)
    await publish(publisher, ledger.all())
    async with instance():
        await until_reached(engine, ledger)
    before = await figures(engine)
    await as_administrator(
        database,
        "TRUNCATE metrics.inbox, metrics.daily_totals, metrics.hourly_totals, metrics.daily_owed, "
        "metrics.daily_players, metrics.players, metrics.largest_wins",
    )
    assert await figures(engine) == {}
    async with instance() as inbox:
        await inbox.catch_up()
        await until_reached(engine, ledger)
    assert await figures(engine) == before == expected(ledger.all())


async def records_of(options: BrokerOptions, topic: str, count: int) -> list[ConsumerRecord]:
    consumer = AIOKafkaConsumer(
        options.topic(topic),
        bootstrap_servers=options.bootstrap_servers,
        auto_offset_reset="earliest",
        request_timeout_ms=broker.REQUEST_TIMEOUT_MS,
    )
    await consumer.start()
    try:
        return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()
