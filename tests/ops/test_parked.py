"""Parked records are shown with their reason, and go back to where they came from, unchanged."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from ops import parked
from ops.places import Places
from shared import delivery
from shared.broker import BrokerOptions, Publisher
from shared.contracts import topics
from shared.errors import FieldError, NotFound, Undecodable
from shared.lanes import key_of, lane_of
from tests.support import LANES

pytestmark = pytest.mark.integration


@pytest.fixture
def places(kafka: BrokerOptions, tmp_path: Path) -> Places:
    return Places(
        gateway_url="http://127.0.0.1:1",
        kafka_bootstrap_servers=kafka.bootstrap_servers,
        secrets_dir=tmp_path,
        service_urls={},
        database_urls={},
        kafka_topic_prefix=kafka.topic_prefix,
        kafka_idempotent_producer=kafka.idempotent_producer,
    )


async def park(publisher: Publisher, value: bytes, user_id: int = 42, offset: int = 7) -> None:
    record = ConsumerRecord(
        topics.WALLET_COMMANDS, 3, offset, 0, 0, key_of(user_id), value, None, len(value), len(value), (("x", b"1"),)
    )
    wrong = Undecodable([FieldError("amount_minor", "must be more than zero")])
    await delivery.park(publisher, topics.WALLET_COMMANDS, record, wrong)


async def test_what_is_parked_is_listed_with_its_reason_and_where_it_came_from(
    publisher: Publisher, places: Places
) -> None:
    await park(publisher, b"{broken", offset=7)
    await park(publisher, b"\xff", offset=8)
    first, second = await parked.listed(places)
    assert (first.topic, first.code) == ("wallet.commands.v1.parked", "UNDECODABLE")
    assert first.reason == "amount_minor: must be more than zero"
    assert (first.source, second.source) == ("wallet.commands.v1/3/7", "wallet.commands.v1/3/8")
    assert (first.key, first.value) == ("42", "{broken")


async def test_nothing_parked_is_an_empty_list(places: Places) -> None:
    assert await parked.listed(places) == []


async def test_a_replayed_record_is_on_its_players_lane_without_what_parking_added(
    publisher: Publisher, places: Places, kafka: BrokerOptions
) -> None:
    await park(publisher, b"one", user_id=42)
    await park(publisher, b"two", user_id=43)
    assert await parked.replayed(places, "wallet.commands.v1.parked", [1]) == 1
    consumer = AIOKafkaConsumer(
        kafka.topic(topics.WALLET_COMMANDS), bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            record = await consumer.getone()
    finally:
        await consumer.stop()
    assert (record.value, record.partition) == (b"two", lane_of(43, LANES))
    assert record.headers == (("x", b"1"),)


async def test_all_are_replayed_where_none_is_named(publisher: Publisher, places: Places) -> None:
    await park(publisher, b"one")
    await park(publisher, b"two")
    assert await parked.replayed(places, "wallet.commands.v1.parked", []) == 2


async def test_an_offset_that_is_not_there_is_named(publisher: Publisher, places: Places) -> None:
    await park(publisher, b"one")
    with pytest.raises(NotFound, match="offset 5"):
        await parked.replayed(places, "wallet.commands.v1.parked", [0, 5])
