"""Refunds and disputes: what of a deposit goes back, who began it, and what is booked of it when."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from payments_service.domain.ledger import Posted
from payments_service.domain.payments import Payment, Waits
from payments_service.domain.ports import Direction, Outcome, ProviderEvent
from payments_service.domain.states import State
from payments_service.repository import closed_loop
from shared import database as databases
from shared.contracts.kinds import Kind, Reason
from tests.payments_service.fakes import Booking
from tests.payments_service.support import Setup
from tests.support import as_administrator

pytestmark = pytest.mark.integration

DEPOSIT = Direction.DEPOSIT


def asked(amount: str | None = None, **more: Any) -> dict[str, Any]:
    return {"actor": "ann", "refund_id": str(uuid4()), "refund": {"amount": amount, "reason": "charged twice"}} | more


async def refund(payments: Setup, deposit: Payment, body: dict[str, Any]) -> Any:
    return await payments.client().post(f"/payments/{deposit.id}/refund", json=body)


def told(payments: Setup, deposit: Payment, outcome: Outcome, amount_minor: int = 1000, **more: Any) -> ProviderEvent:
    payments.provider._tell(payments.provider.books[deposit.id], outcome)
    event = payments.provider.outgoing[-1]._replace(payment_id=deposit.id, amount_minor=amount_minor, **more)
    return event._replace(event_id=uuid4().hex)


async def test_parts_of_a_deposit_go_back_until_nothing_is_left(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    found = (await refund(payments, deposit, asked("4.00"))).json()[0]
    assert (found["status"], found["posted"], found["of_payment"]) == ("completed", "taken_back", str(deposit.id))
    partly = await payments.get(deposit.id)
    assert (partly.status, partly.refunded_minor, payments.wallet.cash[1]) == (State.COMPLETED, 400, 600)
    too_much = await refund(payments, deposit, asked("6.01"))
    assert (too_much.status_code, too_much.json()["errors"][0]["field"]) == (422, "amount")
    # The rest, without an amount; the player has spent some of it.
    payments.wallet.cash[1] -= 500
    assert (await refund(payments, deposit, asked())).json()[0]["amount_minor"] == 600
    whole = await payments.get(deposit.id)
    assert (whole.status, whole.refunded_minor, payments.wallet.cash[1]) == (State.REFUNDED, 1000, -500)
    assert payments.wallet.posted(Kind.REFUND) == 2
    assert (await refund(payments, deposit, asked("0.01"))).status_code == 422


async def test_a_refund_asked_for_twice_is_one(payments: Setup) -> None:
    deposit, body = await payments.go(DEPOSIT), asked("4.00")
    first = await refund(payments, deposit, body)
    assert (await refund(payments, deposit, body)).json() == first.json()
    assert (payments.provider.calls["refund"], payments.wallet.cash[1]) == (1, 600)
    other = await refund(payments, deposit, body | {"refund": {"amount": "5.00", "reason": "charged twice"}})
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    detail = (await payments.client().get(f"/payments/{deposit.id}")).json()
    assert [each["amount_minor"] for each in detail["refunds"]] == [400]
    said = (await payments.client().get(f"/payments/{body['refund_id']}")).json()["said"]
    assert [(row["act"], row["actor"], row["reason"]) for row in said] == [("refund", "ann", "charged twice")]


async def test_what_is_on_its_way_back_does_not_go_back_again_and_what_failed_may(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    payments.provider.at_once = 0
    found = (await refund(payments, deposit, asked("8.00"))).json()[0]
    assert (found["status"], found["posted"], payments.wallet.cash[1]) == ("processing", "taken_back", 200)
    assert (await refund(payments, deposit, asked("8.00"))).status_code == 422
    payments.provider.books[UUID(found["id"])].outcome = Outcome.FAILED
    await payments.later(minutes=2)
    failed = await payments.get(UUID(found["id"]))
    assert (failed.status, failed.posted, payments.wallet.cash[1]) == (State.FAILED, Posted.RELEASED, 1000)
    payments.provider.at_once = 1
    assert (await refund(payments, deposit, asked("8.00"))).json()[0]["status"] == "completed"


@pytest.mark.parametrize("direction", [Direction.WITHDRAWAL, Direction.DEPOSIT])
async def test_only_a_deposit_that_stands_goes_back(payments: Setup, direction: Direction) -> None:
    payments.wallet.cash[1] = 5000
    payments.provider.fails = 1 if direction is DEPOSIT else 0
    payment = await payments.go(direction)
    response = await refund(payments, payment, asked())
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "payment_id")
    assert payments.provider.calls["refund"] == 0


async def test_a_refund_waits_while_refunds_are_switched_off(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    off = {"direction": "refund", "available": False, "reason": "down"}
    await payments.client().put("/payments/availability", json={"actor": "ann", "availability": off})
    found = (await refund(payments, deposit, asked())).json()[0]
    assert (found["waits_for"], payments.provider.calls["refund"]) == ("queue", 0)
    # It is the player's no more, and is taken once.
    assert (found["posted"], payments.wallet.cash[1]) == ("taken_back", 0)
    on = off | {"available": True, "reason": "back"}
    await payments.client().put("/payments/availability", json={"actor": "ann", "availability": on})
    await payments.queue_with().look()
    await payments.later(seconds=30)
    sent = await payments.get(UUID(found["id"]))
    assert (sent.status, payments.wallet.posted(Kind.REFUND), payments.wallet.cash[1]) == (State.COMPLETED, 1, 0)


async def test_a_refund_goes_out_only_when_it_is_known_that_the_wallet_took_it(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    payments.wallet.unheard = True
    found = (await refund(payments, deposit, asked())).json()[0]
    assert (found["status"], found["posted"], payments.provider.calls["refund"]) == ("created", "nothing", 0)
    payments.wallet.unheard = False
    await payments.later(minutes=1)
    sent = await payments.get(UUID(found["id"]))
    assert (sent.status, payments.wallet.posted(Kind.REFUND), payments.wallet.cash[1]) == (State.COMPLETED, 1, 0)


async def test_a_refund_that_the_wallet_refuses_does_not_go_out(payments: Setup) -> None:
    deposit, body = await payments.go(DEPOSIT), asked()
    payments.wallet.refuses[Kind.REFUND] = Reason.CURRENCY_MISMATCH
    found = (await refund(payments, deposit, body)).json()[0]
    assert (found["status"], found["posted"], found["reason"]) == ("failed", "refused", "CURRENCY_MISMATCH")
    assert (payments.provider.calls["refund"], payments.wallet.cash[1], await payments.exceptions()) == (0, 1000, [])


async def test_a_refund_that_went_out_after_all_is_taken_again_and_shown(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    payments.provider.refunds_fail = 1
    found = (await refund(payments, deposit, asked())).json()[0]
    assert (found["status"], payments.wallet.cash[1]) == ("failed", 1000)
    payments.provider.take_back(UUID(found["id"]), Outcome.COMPLETED)
    await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
    await payments.later(seconds=1)
    assert (payments.wallet.cash[1], await payments.exceptions()) == (0, [("contradiction", "provider")])
    assert (await payments.get(deposit.id)).status is State.REFUNDED


async def test_a_refund_begun_at_the_provider_lands_once(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    event = told(payments, deposit, Outcome.COMPLETED, 300, direction=Direction.REFUND, reference="re_1")
    begun = event._replace(payment_id=None, of_reference=deposit.reference)
    assert await payments.inbound.take("sandbox", [begun]) == ["news"]
    refund = next(each for each in await payments.all() if each.direction is Direction.REFUND)
    request = refund.request()
    payments.provider.books[refund.id] = Booking(refund.id, Direction.REFUND, request, Outcome.COMPLETED)
    await payments.later(seconds=1)
    again = begun._replace(event_id="again")
    assert await payments.inbound.take("sandbox", [again]) == ["repeated"]
    assert (await payments.get(deposit.id)).refunded_minor == 300
    assert (payments.wallet.cash[1], payments.wallet.posted(Kind.REFUND)) == (700, 1)


async def test_what_went_out_after_all_is_not_paid_out_before_it_is_taken_again(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    payments.provider.refunds_fail = 1
    found = (await refund(payments, deposit, asked())).json()[0]
    payments.provider.take_back(UUID(found["id"]), Outcome.COMPLETED)
    await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
    payments.wallet.away = True
    await payments.later(seconds=1)
    payments.wallet.away = False
    paid = await payments.go(Direction.WITHDRAWAL)
    assert (paid.waits_for, paid.reason) == (Waits.REVIEW, "REFUND_UNDER_WAY")


@pytest.mark.parametrize("minor", [400, 1000])
async def test_a_refund_that_fails_after_it_was_sent_is_the_players_again(payments: Setup, minor: int) -> None:
    deposit = await payments.go(DEPOSIT)
    sent = UUID((await refund(payments, deposit, asked(str(Decimal(minor) / 100)))).json()[0]["id"])
    assert payments.wallet.cash[1] == 1000 - minor
    payments.provider.take_back(sent, Outcome.FAILED)
    await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
    await payments.later(seconds=1)
    back = await payments.get(sent)
    assert (back.status, back.posted, payments.wallet.cash[1]) == (State.REFUNDED, Posted.RELEASED, 1000)
    assert await payments.exceptions() == []
    # The deposit stands as before it, and may be refunded, or charged back.
    after = await payments.get(deposit.id)
    assert (after.status, after.refunded_minor) == (State.COMPLETED, 0)
    async with databases.reading(payments.engine) as connection:
        (source,) = await closed_loop.sources(connection, 1, "USD")
    assert source.net_minor == 1000
    assert (await refund(payments, deposit, asked())).json()[0]["status"] == "completed"


async def test_a_refund_of_more_than_there_was_is_shown_and_moves_nothing(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    event = told(payments, deposit, Outcome.COMPLETED, 1001, direction=Direction.REFUND, reference="re_1")
    assert await payments.inbound.take("sandbox", [event]) == ["contradicts"]
    await payments.later(seconds=1)
    assert (payments.wallet.cash[1], await payments.exceptions()) == (1000, [("amount", "provider")])


async def test_a_refund_of_nobodys_deposit_is_nobodys(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    payments.provider.down = True
    await payments.go(DEPOSIT, user_id=2)
    event = told(payments, deposit, Outcome.COMPLETED, 300, direction=Direction.REFUND, reference="re_1")
    assert await payments.inbound.take("sandbox", [event._replace(payment_id=None)]) == ["unmatched"]


async def test_a_dispute_that_was_won_brings_the_money_back(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    await refund(payments, deposit, asked("1.00"))
    for outcome, cash in ((Outcome.CHARGED_BACK, 0), (Outcome.REINSTATED, 900)):
        payments.provider.take_back(deposit.id, outcome)
        await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
        await payments.later(hours=1)
        assert payments.wallet.cash[1] == cash
    after = await payments.get(deposit.id)
    assert (after.status, after.posted, after.charged_back_minor) == (State.REINSTATED, Posted.CREDITED, 900)
    assert (payments.wallet.posted(Kind.CHARGEBACK), payments.wallet.posted(Kind.REVERSAL)) == (1, 1)


async def test_a_chargeback_is_said_listed_and_counted(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    payments.provider.take_back(deposit.id, Outcome.CHARGED_BACK)
    await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
    await payments.later(seconds=1)
    rows = await as_administrator(payments.database, "SELECT type FROM payments.outbox ORDER BY number")
    assert [row["type"] for row in rows][-1] == "payments.deposit.charged_back.v1"
    listed = (await payments.client().get("/payments", params={"status": "charged_back"})).json()
    assert [each["id"] for each in listed] == [str(deposit.id)]
    counted = b'langsense_payments_total{direction="deposit",provider="sandbox",status="charged_back"} 1.0'
    assert counted in payments.metrics.exposition()


async def test_what_is_being_refunded_at_its_provider_is_not_paid_out_beside_it_unseen(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    event = told(payments, deposit, Outcome.PROCESSING, 1000, direction=Direction.REFUND, reference="re_1")
    await payments.inbound.take("sandbox", [event._replace(payment_id=None, of_reference=deposit.reference)])
    begun = next(each for each in await payments.all() if each.direction is Direction.REFUND)
    request = begun.request()
    payments.provider.books[begun.id] = Booking(begun.id, Direction.REFUND, request, Outcome.PROCESSING, deposit.id)
    await payments.later(seconds=1)
    paid = await payments.go(Direction.WITHDRAWAL, instrument="tok_other")
    assert (paid.waits_for, paid.reason, payments.provider.calls["withdrawal"]) == (
        Waits.REVIEW,
        "REFUND_UNDER_WAY",
        0,
    )
    async with databases.reading(payments.engine) as connection:
        assert await closed_loop.sources(connection, 1, "USD") == []
    # Another player's, and what is booked, is in nobody's way.
    payments.wallet.cash[2] = 1000
    payments.provider.at_once = 1
    assert (await payments.go(Direction.WITHDRAWAL, user_id=2)).status is State.COMPLETED
    payments.provider.settle_some()
    await payments.later(minutes=1)
    payments.wallet.cash[1] = 1000
    assert (await payments.go(Direction.WITHDRAWAL)).status is State.COMPLETED


async def test_what_goes_back_of_what_was_never_credited_is_in_no_withdrawals_way(payments: Setup) -> None:
    payments.provider.at_once = 0
    await payments.go(DEPOSIT)
    payments.wallet.excluded.add(1)
    payments.provider.settle_some()
    await payments.later(minutes=1)
    payments.wallet.excluded.clear()
    payments.wallet.cash[1] = 1000
    payments.provider.at_once = 1
    assert (await payments.go(Direction.WITHDRAWAL)).status is State.COMPLETED
