"""Kafka: every option that matters is said out loud here, because the libraries' defaults are wrong for money.

Reading is FastStream's (batches, acknowledged after the handler). Writing is `Publisher`, on aiokafka's producer,
because a money path needs what FastStream's publishing does not give: a chosen partition for many records without
waiting for each, a bound on every wait, and a new producer when the old one is beyond repair.
"""

from shared.broker.consumers import (
    batches,
    consumer_broker,
    consumer_of,
    positioned,
    raw_batch,
    start_consumers,
    tail,
    undecoded,
)
from shared.broker.options import REQUEST_TIMEOUT_MS, BrokerOptions
from shared.broker.publisher import Delivery, Publisher, Record
from shared.broker.topics import create_topics

__all__ = [
    "REQUEST_TIMEOUT_MS",
    "BrokerOptions",
    "Delivery",
    "Publisher",
    "Record",
    "batches",
    "consumer_broker",
    "consumer_of",
    "create_topics",
    "positioned",
    "raw_batch",
    "start_consumers",
    "tail",
    "undecoded",
]
