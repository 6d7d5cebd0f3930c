"""The counters of rate limits: windows that end, and a bound on how many there are."""

import pytest

from gateway.endpoints import rates
from gateway.endpoints.rates import BoundedMemory


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be moved by a test."""
    now = [100.0]
    monkeypatch.setattr("gateway.endpoints.rates.time.monotonic", lambda: now[0])
    return now


async def test_a_window_counts_until_it_ends(clock: list[float]) -> None:
    counters = BoundedMemory()

    assert [await counters.incr("a", 1), await counters.incr("a", 1, amount=5)] == [1, 6]
    assert await counters.get("b") == 0
    clock[0] += 0.9
    assert await counters.get("a") == 6
    clock[0] += 0.2
    assert await counters.get("a") == 0
    assert await counters.incr("a", 1) == 1


async def test_the_oldest_windows_are_forgotten_beyond_the_bound(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "MAX_COUNTERS", 2)
    counters = BoundedMemory()

    for key in ("a", "b", "a", "c"):
        await counters.incr(key, 1)

    assert [await counters.get(key) for key in ("a", "b", "c")] == [0, 1, 1]
    assert await counters.reset() == 2


async def test_one_counter_can_be_forgotten(clock: list[float]) -> None:
    counters = BoundedMemory()
    await counters.incr("a", 1)

    await counters.clear("a")

    assert await counters.get("a") == 0
    assert await counters.check()
