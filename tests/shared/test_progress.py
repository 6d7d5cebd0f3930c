"""Liveness of a consumer: is there something to do, and is nothing being done?"""

from types import SimpleNamespace

import pytest

from shared import progress
from shared.broker import BrokerOptions
from shared.errors import DatabaseUnavailable
from shared.progress import Progress
from shared.telemetry import Metrics


class Time:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=time.monotonic))
    return time


@pytest.fixture
def watched() -> Progress:
    options = BrokerOptions("127.0.0.1:1", "test", "", idempotent_producer=True)
    return Progress(options, "ledger.events.v1", stalled_after_s=60, metrics=Metrics())


def handle(watched: Progress, error: Exception | None = None) -> None:
    with watched.batch():
        if error:
            raise error


def test_a_consumer_with_nothing_to_do_is_well(watched: Progress, time: Time) -> None:
    for _ in range(100):
        watched.observe(0)
        time.now += 5
    assert watched.problem() is None


def test_a_consumer_that_is_behind_and_moves_is_well(watched: Progress, time: Time) -> None:
    for _ in range(100):
        watched.observe(1000)
        handle(watched)
        time.now += 5
    assert watched.problem() is None


def test_a_consumer_that_is_behind_and_does_nothing_is_not(watched: Progress, time: Time) -> None:
    watched.observe(3)
    watched.observe(3)
    time.now += 59
    assert watched.problem() is None
    time.now += 1
    assert watched.problem() == "records wait on ledger.events.v1 and none was processed for 60 s"


def test_a_batch_that_comes_through_mends_it(watched: Progress, time: Time) -> None:
    watched.observe(3)
    watched.observe(3)
    time.now += 100
    handle(watched)
    watched.observe(3)
    assert watched.problem() is None


def test_a_batch_that_never_ends_is_a_problem(watched: Progress, time: Time) -> None:
    with watched.batch():
        time.now += 59
        assert watched.problem() is None
        time.now += 1
        assert watched.problem() == "one batch of ledger.events.v1 has been in hand for 60 s"
    assert watched.problem() is None


def test_batches_that_all_fail_are_a_problem_even_though_nothing_seems_to_wait(watched: Progress, time: Time) -> None:
    # A failed batch was fetched, so the consumer's position is behind it until it is rewound.
    for _ in range(13):
        with pytest.raises(ZeroDivisionError):
            handle(watched, ZeroDivisionError())
        watched.observe(0)
        time.now += 5
    assert watched.problem() == "every batch of ledger.events.v1 has failed for 65 s; the log says why"
    handle(watched)
    assert watched.problem() is None


def test_a_database_that_is_away_is_not_the_consumers_fault(watched: Progress, time: Time) -> None:
    for _ in range(13):
        with pytest.raises(DatabaseUnavailable):
            handle(watched, DatabaseUnavailable("away"))
        watched.observe(0)
        time.now += 10
    assert watched.problem() is None
