"""What becomes of a record that cannot be processed: bounded retry for the transient, parking for the permanent."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiokafka import ConsumerRecord

from shared import clock, logs
from shared.broker import Publisher
from shared.contracts import topics
from shared.contracts.headers import Headers
from shared.errors import LangSenseError, TransientError

log = logs.get(__name__)
T = TypeVar("T")

# What a client may send compressed can be larger, once it is read, than what Kafka takes back.
MAX_PARKED_BYTES = 512 * 1024
FIRST_DELAY_S = 0.05
LONGEST_DELAY_S = 2.0


async def with_retries(operation: Callable[[], Awaitable[T]], *, attempts: int, what: str) -> T:
    """Run until it succeeds, at most `attempts` times, with exponential backoff and jitter between.

    Only a TransientError is worth another try; the last one is raised, anything else at once.
    """
    for attempt in range(1, attempts + 1):
        try:
            return await operation()
        except TransientError as error:
            if attempt == attempts:
                raise
            delay = min(FIRST_DELAY_S * 2 ** (attempt - 1), LONGEST_DELAY_S)
            log.warning("retried", what=what, attempt=attempt, error=str(error))
            # Half fixed, half random: many that failed together do not come back together.
            await asyncio.sleep(delay / 2 + random.uniform(0, delay / 2))  # noqa: S311
    raise AssertionError("attempts must be at least 1")


async def park(publisher: Publisher, topic: str, record: ConsumerRecord, error: LangSenseError) -> None:
    """Put a record aside, unchanged, with the reason and where it came from. Raises BrokerUnavailable.

    `topic` is the source's name without the cluster's prefix. `langsense parked` lists and replays what is there.
    Of a record above MAX_PARKED_BYTES only that is put aside; the record itself stands where it came from.
    """
    key, value = record.key or b"", record.value or b""
    kept: Headers = [(name, content) for name, content in record.headers if not name.startswith("parked-")]
    size = len(key) + len(value) + sum(len(name) + len(content or b"") for name, content in kept)
    if size > MAX_PARKED_BYTES:
        key, value, kept = b"", b"", [("parked-omitted-bytes", str(size).encode())]
    headers: Headers = [
        *kept,
        ("parked-code", error.code.encode()),
        ("parked-reason", str(error)[:1000].encode()),
        ("parked-from", f"{topic}/{record.partition}/{record.offset}".encode()),
        ("parked-at", clock.to_text(clock.utc_now()).encode()),
    ]
    await publisher.publish(topics.parked(topic), key=key, value=value, headers=headers, partition=0)
    with logs.about((record,)):
        log.error("record_parked", topic=topic, lane=record.partition, offset=record.offset, code=error.code)
