"""What moves payments on, where the provider, the wallet or the switch is in the way."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from payments_service.domain.availability import Switch
from payments_service.domain.ledger import Posted
from payments_service.domain.payments import NEVER_ARRIVED, Waits
from payments_service.domain.ports import Direction, Outcome, ProviderAnswer, ProviderRequest
from payments_service.domain.states import State
from payments_service.handlers import worker as workers
from payments_service.handlers.worker import AT_ONCE, PaymentWorker
from payments_service.repository import desk
from payments_service.repository import payments as kept
from shared import database as databases
from shared.telemetry import Metrics
from tests.payments_service.fakes import FakeProvider
from tests.payments_service.support import Setup
from tests.support import as_administrator, eventually

pytestmark = pytest.mark.integration

DEPOSIT, WITHDRAWAL = Direction.DEPOSIT, Direction.WITHDRAWAL


class Garbled(FakeProvider):
    """Answers what nobody can read."""

    async def look_up(
        self, direction: Direction, payment_id: UUID, reference: str | None, of_reference: str | None = None
    ) -> ProviderAnswer | None:
        found: Mapping[str, str] = {}
        return ProviderAnswer(Outcome(found["outcome"]), None, None, None)


class Hanging(FakeProvider):
    """Answers nothing."""

    async def deposit(self, request: ProviderRequest) -> ProviderAnswer:
        await asyncio.Event().wait()
        raise AssertionError


async def switch(payments: Setup, *, available: bool) -> None:
    async with databases.transaction(payments.engine) as connection:
        await desk.switch(connection, Switch("*", "*", "*", available), "an incident", "ann", payments.now)


@pytest.mark.parametrize("direction", [DEPOSIT, WITHDRAWAL])
async def test_what_did_not_arrive_is_not_sent_again_while_payments_are_switched_off(
    payments: Setup, direction: Direction
) -> None:
    payments.wallet.cash[1] = 1000
    payments.provider.down = True
    lost = await payments.go(direction)
    assert lost.status is State.UNKNOWN
    await switch(payments, available=False)
    payments.provider.down = False
    await payments.later(minutes=2)
    held_back = await payments.get(lost.id)
    assert (held_back.status, payments.provider.books) == (State.UNKNOWN, {})
    await switch(payments, available=True)
    await payments.later(minutes=10)
    assert (await payments.get(lost.id)).status is State.COMPLETED
    assert len(payments.provider.books) == 1


async def test_what_did_not_arrive_before_a_long_incident_has_failed_after_it(payments: Setup) -> None:
    payments.provider.down = True
    lost = await payments.go(DEPOSIT)
    await switch(payments, available=False)
    payments.provider.down = False
    await payments.later(hours=1)
    found = await payments.get(lost.id)
    assert (found.status, found.reason, payments.provider.books) == (State.FAILED, NEVER_ARRIVED, {})


async def test_a_withdrawal_that_was_looked_at_for_days_goes_out_again_where_it_did_not_arrive(
    payments: Setup,
) -> None:
    payments.wallet.cash[1] = 1000
    payments.scores.risky = {1}
    waits = await payments.go(WITHDRAWAL)
    payments.now += timedelta(days=2)
    payments.scores.risky = set()
    payments.provider.down = True
    async with payments.client() as client:
        body = {"actor": "ann", "review": {"verdict": "approve", "reason": "known to us"}}
        assert (await client.post(f"/payments/{waits.id}/review", json=body)).status_code == 200
    assert (await payments.get(waits.id)).status is State.UNKNOWN
    payments.provider.down = False
    # It is not late: nobody had let it go.
    assert await payments.exceptions() == []
    await payments.later(minutes=1)
    assert (await payments.get(waits.id)).status is State.COMPLETED


async def test_a_withdrawal_that_is_held_and_queued_is_looked_at_where_its_player_was_blocked_meanwhile(
    payments: Setup,
) -> None:
    payments.wallet.cash[1] = 1000
    payments.scores.risky = {1}
    held = await payments.go(WITHDRAWAL)
    await switch(payments, available=False)
    async with payments.client() as client:
        body = {"actor": "ann", "review": {"verdict": "approve", "reason": "known to us"}}
        assert (await client.post(f"/payments/{held.id}/review", json=body)).status_code == 200
    queued = await payments.get(held.id)
    assert (queued.waits_for, queued.posted) == (Waits.QUEUE, Posted.HELD)
    payments.scores.risky, payments.wallet.blocked = set(), {1}
    await switch(payments, available=True)
    assert await payments.queue_with().look() == 1
    await payments.later(minutes=1)
    found = await payments.get(held.id)
    assert (found.waits_for, found.reason, payments.provider.books) == (Waits.REVIEW, "FRAUD_BLOCKED", {})


async def test_a_chargeback_is_booked_however_long_its_provider_cannot_be_asked(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    payments.provider.take_back(deposit.id, Outcome.CHARGED_BACK)
    await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
    payments.provider.down = True
    for _ in range(20):
        await payments.later(hours=2)
    assert await payments.exceptions() == [("overdue", "provider")]
    payments.provider.down = False
    await payments.later(days=1)
    found = await payments.get(deposit.id)
    assert (found.status, found.posted, await payments.exceptions()) == (State.CHARGED_BACK, Posted.TAKEN_BACK, [])


async def test_what_the_provider_does_not_know_any_more_is_for_staff(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    payments.provider.take_back(deposit.id, Outcome.CHARGED_BACK)
    await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
    payments.provider.books.clear()
    await payments.later(minutes=1)
    assert await payments.exceptions() == [("contradiction", "provider")]


async def test_an_answer_that_cannot_be_read_holds_up_nobody_else(payments: Setup) -> None:
    payments.provider = Garbled(at_once=0)
    payments.worker = payments.worker_with()
    garbled = await payments.go(DEPOSIT)
    payments.provider.at_once = 1
    fine = await payments.add(payments.new(DEPOSIT, user_id=2))
    await payments.later(minutes=1)
    assert [(await payments.get(each)).status for each in (garbled.id, fine)] == [State.UNKNOWN, State.COMPLETED]


async def test_what_the_wallet_never_decides_is_shown_to_staff_a_day_later_until_it_does(payments: Setup) -> None:
    payments.wallet.unheard = True
    deposit = await payments.go(DEPOSIT)
    assert (deposit.status, deposit.posted) == (State.COMPLETED, Posted.NOTHING)
    await payments.later(hours=23)
    assert await payments.exceptions() == []
    await payments.later(hours=1)
    assert await payments.exceptions() == [("overdue", "ledger")]
    payments.wallet.unheard = False
    await payments.later(hours=1)
    assert ((await payments.get(deposit.id)).posted, await payments.exceptions()) == (Posted.CREDITED, [])


async def test_what_was_overdue_and_waits_for_somebody_or_has_ended_is_shown_no_more(payments: Setup) -> None:
    payments.wallet.away = True
    deposit = await payments.go(DEPOSIT)
    await payments.later(days=1)
    assert await payments.exceptions() == [("overdue", "ledger")]
    await switch(payments, available=False)
    await payments.later(minutes=1)
    assert ((await payments.get(deposit.id)).waits_for, await payments.exceptions()) == (Waits.QUEUE, [])


async def test_a_payment_of_other_money_that_was_overdue_is_shown_as_that_alone(payments: Setup) -> None:
    payments.provider.at_once = 0
    deposit = await payments.go(DEPOSIT)
    payments.provider.down = True
    await payments.later(days=2)
    await payments.later(days=1)
    assert await payments.exceptions() == [("overdue", "provider")]
    payments.provider.settle_some()
    told = payments.provider.outgoing[-1]._replace(amount_minor=400, outcome=Outcome.COMPLETED)
    await payments.inbound.take("sandbox", [told])
    assert (await payments.get(deposit.id)).waits_for is Waits.COMPLETION
    assert await payments.exceptions() == [("amount", "provider")]


async def test_what_staff_closed_is_not_shown_again_while_nothing_changes(payments: Setup) -> None:
    payments.wallet.unheard = True
    await payments.go(DEPOSIT)
    await payments.later(days=1)
    async with payments.client() as client:
        for each in (await client.get("/settlement-exceptions")).json():
            body = {"actor": "ann", "resolution": {"reason": "the wallet is being mended"}}
            found = await client.post(f"/settlement-exceptions/{each['id']}/resolution", json=body)
            assert found.status_code == 200
    await payments.later(minutes=1)
    assert await payments.exceptions() == []


async def test_a_refund_that_was_only_inferred_is_no_contradiction_where_its_provider_has_it_under_no_name(
    payments: Setup,
) -> None:
    deposit = await payments.go(DEPOSIT)
    payments.provider.take_back(deposit.id, Outcome.REFUNDED)
    await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
    for _ in range(3):
        await payments.later(minutes=1)
    (inferred,) = [each for each in await payments.all() if each.of_payment == deposit.id]
    assert (inferred.status, inferred.posted, inferred.reference) == (State.COMPLETED, Posted.TAKEN_BACK, None)
    async with databases.transaction(payments.engine) as connection:
        await kept.ask_again(connection, [deposit.id], payments.now)
    await payments.later(minutes=1)
    assert await payments.exceptions() == []


async def test_a_payment_that_breaks_is_logged_and_holds_up_nobody_else(
    payments: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = await payments.add(payments.new(DEPOSIT))
    fine = await payments.add(payments.new(DEPOSIT, user_id=2))
    advance = PaymentWorker._advance

    async def breaking(self: PaymentWorker, payment_id: UUID) -> bool:
        if payment_id == broken:
            raise ZeroDivisionError
        return await advance(self, payment_id)

    monkeypatch.setattr(PaymentWorker, "_advance", breaking)
    await payments.worker.look()
    assert (await payments.get(fine)).status is State.COMPLETED
    await payments.later(days=2)
    assert await payments.exceptions() == [("overdue", "ledger")]


async def test_a_row_that_cannot_be_read_holds_up_nobody_else(payments: Setup) -> None:
    strange = await payments.add(payments.new(DEPOSIT))
    fine = await payments.add(payments.new(DEPOSIT, user_id=2))
    await as_administrator(payments.database, f"UPDATE payments.payments SET status = 'later' WHERE id = '{strange}'")
    await payments.worker.look()
    assert (await payments.get(fine)).status is State.COMPLETED


async def test_a_provider_that_does_not_answer_holds_up_none_of_anothers_payments(
    payments: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "PROVIDER_WITHIN_S", 3600)
    worker = PaymentWorker(
        payments.engine,
        {"hanging": Hanging(name="hanging"), "sandbox": payments.provider},
        wallet=payments.wallet,
        risk=payments.scores,
        review_from={},
        disabled=False,
        clock=lambda: payments.now,
        metrics=Metrics(),
    )
    for number in range(AT_ONCE + 1):
        await payments.add(payments.new(DEPOSIT, user_id=number + 10, provider="hanging"))
    fine = [await payments.add(payments.new(DEPOSIT, user_id=number + 100)) for number in range(AT_ONCE + 1)]
    # Of a provider that is not set up here any more.
    gone = await payments.add(replace(payments.new(DEPOSIT, user_id=9), provider="gone"))

    async def all_done() -> bool:
        found = [(await payments.get(each)).posted for each in fine]
        return set(found) == {Posted.CREDITED} and (await payments.get(gone)).status is State.UNKNOWN

    loops = asyncio.create_task(worker.run())
    try:
        await eventually(all_done)
        rows = await as_administrator(
            payments.database, "SELECT status FROM payments.payments WHERE provider = 'hanging' ORDER BY number"
        )
        assert [row["status"] for row in rows] == ["pending"] * AT_ONCE + ["created"]
    finally:
        loops.cancel()
        with suppress(asyncio.CancelledError):
            await loops
