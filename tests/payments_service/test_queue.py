"""What is queued is let go at one rate, however many instances there are."""

import asyncio
from contextlib import suppress

import pytest

from payments_service.domain.payments import Waits
from payments_service.domain.ports import Direction
from payments_service.handlers import queue as queues
from payments_service.repository import desk
from shared import database as databases
from tests.payments_service.support import Setup
from tests.support import eventually

pytestmark = pytest.mark.integration


async def queued(payments: Setup, count: int) -> None:
    payments.worker = payments.worker_with(disabled=True)
    for _ in range(count):
        await payments.go(Direction.DEPOSIT)
    payments.worker = payments.worker_with()


async def waits(payments: Setup, count: int) -> bool:
    return sum(payment.waits_for is Waits.QUEUE for payment in await payments.all()) == count


async def test_one_instance_releases_at_a_time(payments: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "LOOK_EVERY_S", 0.01)
    await queued(payments, 3)
    async with databases.transaction(payments.engine) as another:
        assert await desk.takes_turn(another)
        assert await payments.queue_with(release_per_s=2).release() == 0
    assert [await payments.queue_with(release_per_s=2).release() for _ in range(3)] == [2, 1, 0]


async def test_its_turn_is_kept_until_the_second_is_over(payments: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "LOOK_EVERY_S", 3600)
    await queued(payments, 3)
    first = asyncio.create_task(payments.queue_with(release_per_s=2).run())
    await eventually(lambda: waits(payments, 1))
    async with asyncio.timeout(10):
        assert await payments.queue_with(release_per_s=2).release() == 0
    assert await waits(payments, 1)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    monkeypatch.setattr(queues, "LOOK_EVERY_S", 0.01)
    assert await payments.queue_with(release_per_s=2).release() == 1
