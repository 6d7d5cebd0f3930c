"""A player's lane is where every Kafka client of the world puts the player's key."""

from collections import Counter

import pytest
from aiokafka.partitioner import murmur2
from confluent_kafka import Message, Producer
from hypothesis import given
from hypothesis import strategies as st

from shared.lanes import DEFAULT_LANES, key_of, lane_of


@pytest.mark.parametrize(
    ("key", "digest"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_the_java_clients(key: bytes, digest: int) -> None:
    # From UtilsTest.testMurmur2 of Apache Kafka; Java's int is signed.
    assert murmur2(key) & 0xFFFFFFFF == digest & 0xFFFFFFFF


def test_the_sign_is_taken_off_before_the_division() -> None:
    # The digest of "21", above, without its sign: 1173551340, which is 0 modulo 12 and 0 modulo 10.
    assert (lane_of(21, 12), lane_of(21, 10), lane_of(21, 7)) == (0, 0, 1173551340 % 7)


def test_librdkafka_puts_every_player_on_the_same_partition() -> None:
    """Its murmur2 partitioner, against the broker that it brings for tests; topics have 4 partitions there."""
    placed: dict[int, int] = {}

    def delivered(error: object, message: Message) -> None:
        assert error is None
        key, partition = message.key(), message.partition()
        assert key is not None
        assert partition is not None
        placed[int(key)] = partition

    players = [*range(1, 500), 2**31, 2**32 + 1, 2**63 - 1]
    producer = Producer({"test.mock.num.brokers": 1, "partitioner": "murmur2", "log_level": 0})
    for player in players:
        producer.produce("lanes", key=key_of(player), value=b"", on_delivery=delivered)
    assert producer.flush(20) == 0
    assert placed == {player: lane_of(player, 4) for player in players}


def test_players_spread_over_all_lanes() -> None:
    spread = Counter(lane_of(player, DEFAULT_LANES) for player in range(1, 12_001))
    assert set(spread) == set(range(DEFAULT_LANES))
    assert max(spread.values()) < 1.2 * min(spread.values())


@given(st.integers(1, 2**63 - 1), st.integers(1, 1024))
def test_a_lane_is_one_of_the_lanes(player: int, lanes: int) -> None:
    assert 0 <= lane_of(player, lanes) < lanes
