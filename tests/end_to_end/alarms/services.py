"""What keeps services from keeping up."""

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
from aiokafka import AIOKafkaProducer

from ops import places
from ops.vigilance.alarms import Severity
from tests.end_to_end import support
from tests.end_to_end.alarms.stage import Cause, Stage
from tests.end_to_end.support import until

POOL = 5
TOO_LARGE = 1024 * 1024


def _publish(stage: Stage, topic: str, value: bytes, age_s: float = 0) -> None:
    written_ms = int((datetime.now(UTC).timestamp() - age_s) * 1000)

    async def sent() -> None:
        servers = places.find(stage.platform.data).kafka_bootstrap_servers
        async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
            await producer.send_and_wait(topic, value, partition=0, timestamp_ms=written_ms)

    asyncio.run(sent())


@contextmanager
def _a_record_cannot_be_read(stage: Stage) -> Iterator[None]:
    _publish(stage, "wallet.commands.v1", b"no command")
    yield


@contextmanager
def _a_consumer_stands_still(stage: Stage) -> Iterator[None]:
    """The first record waits for a table; the second, which is older, waits for the first."""
    with stage.locked("metrics.provider_fees"):
        _publish(stage, "payments.events.v1", _fee())
        until(lambda: bool(stage.sql("SELECT FROM pg_locks WHERE NOT granted")))
        _publish(stage, "payments.events.v1", _fee(), age_s=120)
        yield


def _fee() -> bytes:
    fee: Mapping[str, Any] = {
        **{"payment_id": str(uuid4()), "provider": "sandbox", "currency": "USD", "fee_minor": 1},
        "occurred_at": datetime.now(UTC).isoformat(),
    }
    return orjson.dumps(fee)


@contextmanager
def _an_event_is_too_large_for_the_broker(stage: Stage) -> Iterator[None]:
    stage.sql(f"""INSERT INTO compliance.outbox (event_id, user_id, type, body, created_at) VALUES
        (gen_random_uuid(), 1, 'too.large', to_jsonb(repeat('x', {TOO_LARGE})), now() - interval '2 minutes')""")
    yield
    stage.sql("DELETE FROM compliance.outbox WHERE type = 'too.large'")


@contextmanager
def _a_table_keeps_everybody_waiting(stage: Stage) -> Iterator[None]:
    with ThreadPoolExecutor(2 * POOL) as readers, stage.locked("compliance.audit_log"):
        for _ in range(2 * POOL):
            readers.submit(stage.ask, "compliance", "GET", "/audit-log")
        yield


@contextmanager
def _a_service_stands_still(stage: Stage) -> Iterator[None]:
    (process,) = (
        each for each in support.descendants(stage.platform.process) if "fraud_service.app:create_app" in each.cmdline()
    )
    process.suspend()
    yield
    process.resume()


@contextmanager
def _reports_cannot_be_written(stage: Stage) -> Iterator[None]:
    """A file stands where their folder should be."""
    until(lambda: bool(stage.sql("SELECT FROM metrics.report_runs WHERE finished_at IS NULL AND attempts > 0")))
    # Two hours pass.
    stage.sql("UPDATE metrics.report_runs SET due_at = due_at - interval '2 hours'")
    yield
    folder_of_reports(stage.platform.data).unlink()
    stage.sql("UPDATE metrics.report_runs SET claimed_until = claimed_until - interval '1 hour'")


def folder_of_reports(data: Path) -> Path:
    """Where a platform's reports go."""
    return data.with_suffix(".reports")


CAUSES = (
    Cause(_a_record_cannot_be_read, {"RecordsParked": Severity.WARNING}),
    Cause(_a_consumer_stands_still, {"ConsumerBehind": Severity.WARNING}),
    Cause(_an_event_is_too_large_for_the_broker, {"OutboxWaits": Severity.WARNING}),
    Cause(_a_table_keeps_everybody_waiting, {"DatabasePoolFull": Severity.WARNING}),
    Cause(_a_service_stands_still, {"ServiceDown": Severity.CRITICAL}),
    Cause(_reports_cannot_be_written, {"ReportLate": Severity.WARNING}),
)
