"""What those on call see: the share of payments that failed, of enough that ended lately, and reports that are late."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from payments_service.domain.ports import Direction
from payments_service.domain.states import State
from payments_service.repository import days, watching
from payments_service.repository.days import Day
from payments_service.repository.watching import FEWEST, FEWEST_OF_ALL
from shared import database as databases
from tests.payments_service.support import Setup

pytestmark = pytest.mark.integration

STRAIGHT: dict[str, Any] = {"status": State.COMPLETED, "due_at": None}
WRONG: dict[str, Any] = {"status": State.FAILED, "due_at": None}


async def failed(payments: Setup, after: timedelta = timedelta()) -> float:
    async with databases.reading(payments.engine) as connection:
        found = await watching.waiting(connection, payments.now + after, timedelta(hours=1))
    return found.failed.get(("deposit", "sandbox"), 0)


async def test_of_few_that_ended_no_share_is_said(payments: Setup) -> None:
    await payments.add(payments.new(Direction.DEPOSIT, **STRAIGHT, changed_at=payments.now))
    for _ in range(FEWEST - 2):
        await payments.add(payments.new(Direction.DEPOSIT, **WRONG, changed_at=payments.now))
    assert await failed(payments) == 0
    await payments.add(payments.new(Direction.DEPOSIT, **WRONG, changed_at=payments.now))
    assert await failed(payments) == (FEWEST - 1) / FEWEST


async def test_that_all_of_them_failed_is_said_of_fewer(payments: Setup) -> None:
    for _ in range(FEWEST_OF_ALL - 1):
        await payments.add(payments.new(Direction.DEPOSIT, **WRONG, changed_at=payments.now))
    assert await failed(payments) == 0
    await payments.add(payments.new(Direction.DEPOSIT, **WRONG, changed_at=payments.now))
    assert await failed(payments) == 1


async def test_it_clears_with_time(payments: Setup) -> None:
    for _ in range(FEWEST):
        await payments.add(payments.new(Direction.DEPOSIT, **WRONG, changed_at=payments.now))
    assert await failed(payments) == 1
    assert await failed(payments, timedelta(hours=2)) == 0


async def test_what_the_rules_refuse_is_no_failure_of_a_provider(payments: Setup) -> None:
    payments.wallet.excluded.add(1)
    for _ in range(FEWEST):
        await payments.go(Direction.DEPOSIT)
    assert await failed(payments) == 0


FIRST_DUE = datetime(2026, 11, 25, 6, tzinfo=UTC)


async def seen(payments: Setup, now: datetime) -> float:
    async with databases.reading(payments.engine) as connection:
        return (await watching.waiting(connection, now, timedelta(hours=1))).settlement_delay_s


async def test_a_report_is_late_since_it_was_first_due_however_often_it_was_asked_for(payments: Setup) -> None:
    asked = {"provider": "sandbox", "currency": "USD", "day": "2026-11-24"}
    # Nobody has asked for it yet: the loop may be what is wrong.
    async with databases.transaction(payments.engine) as connection:
        await days.batch_of(connection, Day("sandbox", "USD", payments.now.date()), payments.now)
    assert await seen(payments, FIRST_DUE + timedelta(days=2)) == timedelta(days=2).total_seconds()
    batch = (await payments.client().post("/settlement-batches", json=asked)).json()
    for _ in range(2):
        batch = (await payments.client().post(f"/settlement-batches/{batch['id']}/retry", json={})).json()
    assert (batch["status"], batch["attempts"]) == ("waiting", 3)
    assert await seen(payments, FIRST_DUE - timedelta(hours=1)) == 0
    assert await seen(payments, FIRST_DUE + timedelta(days=2)) == timedelta(days=2).total_seconds()


async def test_an_exception_is_as_old_as_it_is_open(payments: Setup) -> None:
    async def oldest(after: timedelta) -> float:
        async with databases.reading(payments.engine) as connection:
            return (await watching.waiting(connection, payments.now + after, timedelta(hours=1))).oldest_exception_s

    assert await oldest(timedelta()) == 0
    payments.provider.down = True
    await payments.go(Direction.DEPOSIT, instrument="vault_1")
    await payments.later(days=2)
    assert await payments.exceptions() == [("overdue", "provider")]
    assert await oldest(timedelta(hours=3)) == timedelta(hours=3).total_seconds()
    client = payments.client()
    for each in (await client.get("/settlement-exceptions")).json():
        body = {"actor": "ann", "resolution": {"reason": "known to the provider"}}
        assert (await client.post(f"/settlement-exceptions/{each['id']}/resolution", json=body)).status_code == 200
    assert await oldest(timedelta(hours=3)) == 0
