"""Bounded retry for the transient, parking for the permanent."""

import pytest
from aiokafka import ConsumerRecord

from shared import delivery
from shared.errors import BrokerUnavailable, FieldError, NotFound, Undecodable
from tests.support import Recorder, record


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_DELAY_S", 0.0001)


class Operation:
    """Fails with each of the given errors, then returns "done"."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def test_the_transient_is_tried_again() -> None:
    operation = Operation(BrokerUnavailable("once"), BrokerUnavailable("twice"))
    assert await delivery.with_retries(operation, attempts=3, what="test") == "done"
    assert operation.calls == 3


async def test_the_last_error_is_raised_when_the_attempts_are_over() -> None:
    operation = Operation(BrokerUnavailable("once"), BrokerUnavailable("twice"), BrokerUnavailable("thrice"))
    with pytest.raises(BrokerUnavailable, match="twice"):
        await delivery.with_retries(operation, attempts=2, what="test")
    assert operation.calls == 2


@pytest.mark.parametrize("error", [NotFound("permanent"), ZeroDivisionError("a bug")])
async def test_what_time_does_not_mend_is_raised_at_once(error: Exception) -> None:
    operation = Operation(error)
    with pytest.raises(type(error)):
        await delivery.with_retries(operation, attempts=5, what="test")
    assert operation.calls == 1


async def test_delays_grow_and_end_at_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(delivery, "FIRST_DELAY_S", 1.0)
    monkeypatch.setattr("shared.delivery.asyncio.sleep", sleep)
    operation = Operation(*[BrokerUnavailable("away")] * 5)
    await delivery.with_retries(operation, attempts=6, what="test")
    for seconds, longest in zip(slept, (1, 2, 2, 2, 2), strict=True):
        assert longest / 2 <= seconds <= longest


async def parked(source: ConsumerRecord) -> tuple[str, bytes, bytes, dict[str, bytes], int | None]:
    recorder = Recorder()
    await delivery.park(recorder, "wallet.commands.v1", source, Undecodable([FieldError("kind", "is unknown")]))
    (sent,) = recorder.sent
    return sent


async def test_a_record_is_put_aside_unchanged_with_its_reason_and_its_place() -> None:
    source = record(b"\xff{", topic="p.wallet.commands.v1", partition=3, offset=77, headers=[("mine", b"\xfe")])
    topic, key, value, headers, partition = await parked(source)
    assert (topic, key, value, partition) == ("wallet.commands.v1.parked", b"1", b"\xff{", 0)
    assert headers["mine"] == b"\xfe"
    assert headers["parked-code"] == b"UNDECODABLE"
    assert headers["parked-reason"] == b"kind: is unknown"
    assert headers["parked-from"] == b"wallet.commands.v1/3/77"
    assert headers["parked-at"].endswith(b"Z")


async def test_what_was_parked_before_has_the_newest_reason_alone() -> None:
    source = record(b"x", headers=[("parked-code", b"OLD"), ("mine", b"1")])
    _, _, _, headers, _ = await parked(source)
    assert headers["parked-code"] == b"UNDECODABLE"
    assert headers["mine"] == b"1"
