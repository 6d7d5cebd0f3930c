"""Lanes: one partition of `wallet.commands.v1` each; all that concerns a player is on one of them.

The lane of a player is what the Java client's default partitioner gives for the key `str(user_id)`, so that any
Kafka client in any language finds it: murmur2 over the key's bytes, made positive, modulo the number of lanes.
"""

from aiokafka.partitioner import murmur2

DEFAULT_LANES = 12


def key_of(user_id: int) -> bytes:
    """The record key of a player."""
    return str(user_id).encode()


def lane_of(user_id: int, lanes: int) -> int:
    """The lane of a player."""
    digest: int = murmur2(key_of(user_id))
    return (digest & 0x7FFFFFFF) % lanes
