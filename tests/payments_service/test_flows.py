"""Payments moved on: what the provider and the wallet are asked, and what is left when one of them is not there."""

from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

import alembic.command
import pytest

from payments_service.domain.availability import Switch
from payments_service.domain.ledger import Posted
from payments_service.domain.payments import Waits
from payments_service.domain.ports import Direction, Outcome, ProviderAnswer
from payments_service.domain.states import State
from payments_service.repository import desk
from payments_service.repository import payments as kept
from shared import database as databases
from shared import migrations
from shared.contracts.kinds import Kind
from tests.payments_service.support import Setup
from tests.payments_service.test_endpoints import asked
from tests.support import as_administrator, outside_the_loop

pytestmark = pytest.mark.integration

DEPOSIT, WITHDRAWAL = Direction.DEPOSIT, Direction.WITHDRAWAL
WAITS_FOR = "SELECT waits_for FROM payments.payments WHERE id = '{}'"


async def test_a_deposit_is_credited_when_the_provider_has_it(payments: Setup) -> None:
    payment = await payments.go(DEPOSIT)
    assert (payment.status, payment.posted) == (State.COMPLETED, Posted.CREDITED)
    assert payments.wallet.cash[1] == 1000
    assert payment.due_at is None


async def test_a_loop_leaves_alone_what_somebody_has_in_hand(payments: Setup) -> None:
    response = await payments.client().post("/payments/deposits", json=asked())
    assert response.json()[0]["posted"] == "credited"
    looked_at: list[int] = []

    async def look() -> None:
        looked_at.append(await payments.worker.look())

    payments.wallet.before = payments.provider.before = look
    await payments.client().post("/payments/deposits", json=asked())
    assert looked_at
    assert set(looked_at) == {0}
    # What he leaves is taken soon.
    payments.wallet.before = payments.provider.before = None
    payments.wallet.away = True
    left = (await payments.client().post("/payments/deposits", json=asked())).json()[0]
    payments.wallet.away = False
    await payments.later(seconds=10)
    assert (await payments.get(UUID(left["id"]))).posted is Posted.CREDITED


async def test_a_loop_leaves_alone_what_staff_has_just_decided(payments: Setup) -> None:
    client, looked_at = payments.client(), []
    payments.provider.at_once = 0
    completed = (await client.post("/payments/deposits", json=asked())).json()[0]
    payments.provider.at_once = 1
    payments.wallet.cash[42] = 100_000
    reviewed = (await client.post("/payments/withdrawals", json=asked(100_000))).json()[0]
    assert (completed["status"], reviewed["waits_for"]) == ("processing", "review")

    async def look() -> None:
        looked_at.append(await payments.worker.look())

    payments.wallet.before = payments.provider.before = look
    word = {"outcome": "completed", "reason": "seen", "evidence": "bank statement 7"}
    for actor in ("ann", "bob"):
        await client.post(f"/payments/{completed['id']}/completion", json={"actor": actor, "completion": word})
    verdict = {"actor": "ann", "review": {"verdict": "approve", "reason": "known player"}}
    await client.post(f"/payments/{reviewed['id']}/review", json=verdict)
    posted = [(await payments.get(UUID(payment["id"]))).posted for payment in (completed, reviewed)]
    assert posted == [Posted.CREDITED, Posted.CAPTURED]
    assert len(looked_at) >= 3
    assert set(looked_at) == {0}


async def test_of_two_who_book_the_same_the_later_one_takes_nothing_back_to_where_it_was(payments: Setup) -> None:
    payment_id = await payments.add(payments.new(DEPOSIT))

    async def another_is_ahead() -> None:
        if payments.provider.books:
            payments.wallet.before = None
            await payments.worker.attend(payment_id)
            payments.provider.take_back(payment_id, Outcome.CHARGED_BACK)
            await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
            await payments.worker.attend(payment_id)

    payments.wallet.before = another_is_ahead
    await payments.worker.attend(payment_id)
    async with databases.reading(payments.engine) as connection:
        posted = [move.posted for move in await kept.moves(connection, payment_id)]
    assert [each for each, _ in groupby(posted)] == [Posted.NOTHING, Posted.CREDITED, Posted.TAKEN_BACK]


async def test_what_the_wallet_may_have_done_is_known_before_a_payment_goes_on(payments: Setup) -> None:
    payments.provider.at_once = 0
    payment = await payments.go(DEPOSIT)
    payments.provider.settle_some()
    payments.now += timedelta(minutes=1)

    async def another_is_ahead() -> None:
        payments.provider.while_looking, payments.wallet.unheard = None, True
        await payments.worker.attend(payment.id)
        payments.wallet.unheard = False
        assert (await payments.get(payment.id)).posted is Posted.NOTHING
        payments.provider.take_back(payment.id, Outcome.CHARGED_BACK)

    payments.provider.while_looking = another_is_ahead
    await payments.worker.attend(payment.id)
    found = await payments.get(payment.id)
    assert (found.status, found.posted) == (State.CHARGED_BACK, Posted.TAKEN_BACK)
    assert payments.wallet.cash[1] == payments.wallet.clearing == 0


async def test_a_deposit_that_comes_later_is_asked_after(payments: Setup) -> None:
    payments.provider.at_once = 0
    payment = await payments.go(DEPOSIT)
    assert payment.status is State.PROCESSING
    payments.provider.settle_some()
    await payments.later(minutes=1)
    assert (await payments.get(payment.id)).posted is Posted.CREDITED


async def test_a_deposit_past_a_rule_never_reaches_the_provider(payments: Setup) -> None:
    payments.wallet.excluded.add(1)
    payment = await payments.go(DEPOSIT)
    assert (payment.status, payment.reason) == (State.FAILED, "SELF_EXCLUDED")
    assert payments.provider.calls["deposit"] == 0


async def test_money_that_arrives_for_a_player_excluded_meanwhile_goes_back_by_itself(payments: Setup) -> None:
    payments.provider.at_once = 0
    payment = await payments.go(DEPOSIT)
    payments.wallet.excluded.add(1)
    payments.provider.settle_some()
    payments.provider.at_once = 1
    await payments.later(minutes=1)
    deposit = await payments.get(payment.id)
    assert (deposit.status, deposit.posted, deposit.reason) == (State.REFUNDED, Posted.REFUSED, "SELF_EXCLUDED")
    assert deposit.given_back_by is not None
    assert (await payments.get(deposit.given_back_by)).status is State.COMPLETED
    assert payments.wallet.clearing == payments.provider.net_minor() == 0


async def test_a_withdrawal_is_held_paid_and_captured(payments: Setup) -> None:
    payments.wallet.cash[1] = 5000
    payment = await payments.go(WITHDRAWAL, 3000)
    assert (payment.status, payment.posted) == (State.COMPLETED, Posted.CAPTURED)
    assert (payments.wallet.cash[1], payments.wallet.reserved[1]) == (2000, 0)


async def test_a_withdrawal_without_funds_never_reaches_the_provider(payments: Setup) -> None:
    payment = await payments.go(WITHDRAWAL, 3000)
    assert (payment.status, payment.reason) == (State.FAILED, "INSUFFICIENT_FUNDS")
    assert payments.provider.calls["withdrawal"] == 0


async def test_a_withdrawal_that_fails_is_given_back(payments: Setup) -> None:
    payments.wallet.cash[1] = 5000
    payments.provider.fails = 1
    payment = await payments.go(WITHDRAWAL, 3000)
    assert (payment.status, payment.posted) == (State.FAILED, Posted.RELEASED)
    assert (payments.wallet.cash[1], payments.wallet.reserved[1]) == (5000, 0)


async def test_an_unknown_outcome_keeps_its_hold_until_the_provider_says_it(payments: Setup) -> None:
    payments.wallet.cash[1] = 5000
    payments.provider.down = True
    payment = await payments.go(WITHDRAWAL, 3000)
    assert (payment.status, payment.posted) == (State.UNKNOWN, Posted.HELD)
    assert payments.wallet.reserved[1] == 3000
    for _ in range(6):
        await payments.later(hours=6)
    assert ("overdue", "provider") in await payments.exceptions()
    assert payments.wallet.reserved[1] == 3000
    payments.provider.down = False
    # It never arrived, and a day later it is not sent any more.
    await payments.later(hours=25)
    assert (await payments.get(payment.id)).posted is Posted.RELEASED
    assert payments.wallet.cash[1] == 5000
    assert await payments.exceptions() == []


async def test_what_its_provider_cannot_be_asked_for_goes_out_again_and_is_done_once(payments: Setup) -> None:
    payments.wallet.cash[1] = 5000
    payments.provider.payouts_by_reference = payments.provider.down = True
    never_sent = await payments.go(WITHDRAWAL, 3000)
    payments.provider.down = False
    payments.provider.trouble = 1
    unheard = await payments.go(WITHDRAWAL, 1000)
    assert {never_sent.status, unheard.status} == {State.UNKNOWN}
    payments.provider.trouble = 0
    await payments.later(minutes=1)
    after = [await payments.get(each.id) for each in (never_sent, unheard)]
    assert [(each.status, each.posted) for each in after] == [(State.COMPLETED, Posted.CAPTURED)] * 2
    assert payments.provider.net_minor() == payments.wallet.clearing == -4000


async def test_what_its_provider_could_never_be_asked_for_is_not_given_back(payments: Setup) -> None:
    payments.wallet.cash[1] = 5000
    payments.provider.payouts_by_reference = payments.provider.down = True
    payment = await payments.go(WITHDRAWAL, 3000)
    payments.provider.down = False
    payments.now += timedelta(days=2)
    await payments.worker.look()
    after = await payments.get(payment.id)
    assert (after.status, after.posted) == (State.UNKNOWN, Posted.HELD)
    assert ("overdue", "provider") in await payments.exceptions()


async def test_what_was_given_back_and_paid_after_all_is_taken_and_shown(payments: Setup) -> None:
    payments.wallet.cash[1] = 5000
    payments.provider.fails = 1
    payment = await payments.go(WITHDRAWAL, 3000)
    payments.provider.take_back(payment.id, Outcome.COMPLETED)
    await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
    await payments.later(seconds=1)
    after = await payments.get(payment.id)
    assert (after.status, after.posted) == (State.COMPLETED, Posted.CAPTURED)
    assert payments.wallet.cash[1] == 2000
    assert payments.wallet.posted(Kind.REFUND) == 1
    assert ("contradiction", "provider") in await payments.exceptions()


@pytest.mark.parametrize(
    ("outcome", "kind"), [(Outcome.REFUNDED, Kind.REFUND), (Outcome.CHARGED_BACK, Kind.CHARGEBACK)]
)
async def test_what_is_taken_back_may_leave_the_player_owing(payments: Setup, outcome: Outcome, kind: Kind) -> None:
    payment = await payments.go(DEPOSIT)
    payments.wallet.cash[1] -= 700
    payments.provider.take_back(payment.id, outcome)
    await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
    await payments.later(seconds=1)
    await payments.later(seconds=1)
    assert (await payments.get(payment.id)).status.value == outcome.value
    assert payments.wallet.posted(kind) == 1
    assert payments.wallet.cash[1] == -700


async def test_a_payout_that_comes_back_is_the_players_again(payments: Setup) -> None:
    payments.wallet.cash[1] = 5000
    payment = await payments.go(WITHDRAWAL, 3000)
    payments.provider.take_back(payment.id, Outcome.REFUNDED)
    await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
    await payments.later(seconds=1)
    assert (await payments.get(payment.id)).posted is Posted.RELEASED
    assert payments.wallet.cash[1] == 5000


async def test_a_signed_event_is_not_believed_against_the_providers_books(payments: Setup) -> None:
    payments.provider.at_once = 0
    payment = await payments.go(DEPOSIT)
    payments.provider._tell(payments.provider.books[payment.id], Outcome.COMPLETED)
    event = payments.provider.outgoing[-1]._replace(payment_id=payment.id)
    assert await payments.inbound.take("sandbox", [event]) == ["news"]
    assert await payments.inbound.take("sandbox", [event]) == ["duplicate"]
    await payments.later(seconds=1)
    assert (await payments.get(payment.id)).status is State.PROCESSING
    assert payments.wallet.cash[1] == 0


async def test_an_event_over_another_amount_moves_nothing_and_is_shown(payments: Setup) -> None:
    payments.provider.at_once = 0
    payment = await payments.go(DEPOSIT)
    payments.provider._tell(payments.provider.books[payment.id], Outcome.COMPLETED)
    event = payments.provider.outgoing[-1]._replace(payment_id=payment.id, amount_minor=999)
    assert await payments.inbound.take("sandbox", [event]) == ["contradicts"]
    await payments.later(hours=1)
    assert payments.wallet.cash[1] == 0
    assert ("amount", "provider") in await payments.exceptions()
    assert (await payments.get(payment.id)).waits_for is Waits.COMPLETION
    # Nobody can let it through: it has gone out. Two of staff say what became of it.
    client = payments.client()
    review = {"actor": "ann", "review": {"verdict": "approve", "reason": "all right"}}
    assert (await client.post(f"/payments/{payment.id}/review", json=review)).status_code == 422
    for actor in ("ann", "bob"):
        said = {"actor": actor, "completion": {"outcome": "failed", "reason": "too little", "evidence": "their report"}}
        assert (await client.post(f"/payments/{payment.id}/completion", json=said)).status_code == 200
    after = await payments.get(payment.id)
    assert (after.status, after.waits_for, after.posted) == (State.FAILED, None, Posted.NOTHING)


@pytest.mark.parametrize(("other", "told"), [({"amount_minor": 400}, "4.00 USD"), ({"currency": "EUR"}, "10.00 EUR")])
async def test_a_payment_of_other_money_is_completed_only_once_staff_has_closed_that(
    payments: Setup, other: dict[str, Any], told: str
) -> None:
    payments.provider.at_once = 0
    payment = await payments.go(DEPOSIT, 1000)
    payments.provider._tell(payments.provider.books[payment.id], Outcome.COMPLETED)
    event = payments.provider.outgoing[-1]._replace(payment_id=payment.id, **other)
    assert await payments.inbound.take("sandbox", [event]) == ["contradicts"]
    client = payments.client()
    word = {"outcome": "completed", "reason": "all came", "evidence": "bank statement 7"}
    refused = await client.post(f"/payments/{payment.id}/completion", json={"actor": "ann", "completion": word})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "outcome")
    assert f"would book 10.00 USD, and {told} was told of" in refused.json()["errors"][0]["message"]
    opened = (await client.get("/settlement-exceptions")).json()[0]
    closed = {"actor": "ann", "resolution": {"reason": "the rest came a day later"}}
    await client.post(f"/settlement-exceptions/{opened['id']}/resolution", json=closed)
    for actor in ("ann", "bob"):
        await client.post(f"/payments/{payment.id}/completion", json={"actor": actor, "completion": word})
    assert ((await payments.get(payment.id)).posted, payments.wallet.cash[1]) == (Posted.CREDITED, 1000)


async def test_what_had_gone_out_and_waited_for_review_waits_for_completion_since(payments: Setup) -> None:
    payments.provider.at_once = 0
    gone_out = await payments.go(DEPOSIT)
    payments.provider._tell(payments.provider.books[gone_out.id], Outcome.COMPLETED)
    other = payments.provider.outgoing[-1]._replace(payment_id=gone_out.id, amount_minor=999)
    assert await payments.inbound.take("sandbox", [other]) == ["contradicts"]
    payments.wallet.cash[1] = 100_000
    large = await payments.go(WITHDRAWAL, 100_000)
    configuration = migrations.config("payments_service", payments.database.admin_dsn)
    outside_the_loop(lambda: alembic.command.downgrade(configuration, "0004"))
    waits = [(await as_administrator(payments.database, WAITS_FOR.format(each.id)))[0] for each in (gone_out, large)]
    assert [tuple(row) for row in waits] == [("review",), ("review",)]
    outside_the_loop(lambda: migrations.upgrade("payments_service", payments.database.admin_dsn))
    assert [(await payments.get(each.id)).waits_for for each in (gone_out, large)] == [Waits.COMPLETION, Waits.REVIEW]


@pytest.mark.parametrize("why", ["LARGE", "RISKY", "FRAUD_SCORE_UNKNOWN"])
async def test_a_withdrawal_that_somebody_has_to_look_at_waits_with_its_hold(payments: Setup, why: str) -> None:
    amount = 100_000 if why == "LARGE" else 1000
    payments.wallet.cash[1] = amount
    payments.scores.risky = {1} if why == "RISKY" else set()
    payments.scores.away = why == "FRAUD_SCORE_UNKNOWN"
    payment = await payments.go(WITHDRAWAL, amount)
    assert (payment.status, payment.waits_for, payment.posted) == (State.CREATED, Waits.REVIEW, Posted.HELD)
    assert payment.reason == why
    assert payments.provider.calls["withdrawal"] == 0


async def test_what_is_switched_off_queues_and_is_let_go_in_order_and_checked_again(payments: Setup) -> None:
    payments.worker = payments.worker_with(disabled=True)
    queued = [await payments.go(DEPOSIT, user_id=user_id) for user_id in (1, 2, 3, 4)]
    assert {payment.waits_for for payment in queued} == {Waits.QUEUE}
    assert payments.provider.calls["deposit"] == 0
    # A restart forgets nothing; and meanwhile a player was excluded.
    payments.worker = payments.worker_with()
    payments.wallet.excluded.add(2)
    queue = payments.queue_with(release_per_s=2)
    assert await queue.look() == 2
    await payments.worker.look()
    found = [(await payments.get(payment.id)).status for payment in queued]
    assert found == [State.COMPLETED, State.FAILED, State.CREATED, State.CREATED]
    assert await queue.look() == 2
    assert await queue.look() == 0
    await payments.worker.look()
    assert (await payments.get(queued[3].id)).posted is Posted.CREDITED


async def test_one_method_is_switched_off_by_itself(payments: Setup) -> None:
    async with databases.transaction(payments.engine) as connection:
        await desk.switch(connection, Switch("*", "deposit", "card", False), "down", "ann", payments.now)
    assert (await payments.go(DEPOSIT)).waits_for is Waits.QUEUE
    assert (await payments.go(DEPOSIT, method="bank")).status is State.COMPLETED
    assert await payments.queue_with().look() == 0


async def test_a_deposit_that_never_arrived_is_not_charged_to_a_player_who_is_gone(payments: Setup) -> None:
    payments.provider.down = True
    payment = await payments.go(DEPOSIT)
    payments.provider.down = False
    payments.now += timedelta(minutes=20)
    await payments.worker.look()
    after = await payments.get(payment.id)
    assert (after.status, after.reason) == (State.FAILED, "NEVER_ARRIVED")
    assert payments.provider.books == {}


async def test_a_deposit_that_its_player_has_left_is_cancelled_a_day_later(payments: Setup) -> None:
    payments.provider.unpaid = 1
    payment = await payments.go(DEPOSIT)
    await payments.later(hours=23)
    assert (await payments.get(payment.id)).status is State.PENDING
    await payments.later(days=1)
    assert (await payments.get(payment.id)).status is State.CANCELLED
    assert payments.provider.books[payment.id].outcome is Outcome.CANCELLED
    assert await payments.exceptions() == []


async def test_a_deposit_that_is_paid_while_it_is_being_cancelled_is_credited(
    payments: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    payments.provider.unpaid = 1
    payment = await payments.go(DEPOSIT)
    look_up = payments.provider.look_up

    async def paid_meanwhile(*asked: Any) -> ProviderAnswer | None:
        answer = await look_up(*asked)
        payments.provider.settle_some()
        return answer

    monkeypatch.setattr(payments.provider, "look_up", paid_meanwhile)
    await payments.later(days=2)
    after = await payments.get(payment.id)
    assert (after.status, after.posted, payments.provider.calls["cancel"]) == (State.COMPLETED, Posted.CREDITED, 1)


async def test_parts_of_one_withdrawal_share_its_hold(payments: Setup) -> None:
    payments.wallet.cash[1] = 3000
    first = payments.new(WITHDRAWAL, 1000)
    second = payments.new(WITHDRAWAL, 2000)
    parts = [replace(part, group_id=first.id, group_minor=3000) for part in (first, second)]
    for part in parts:
        await payments.add(part)
    await payments.worker.look()
    assert [(await payments.get(part.id)).posted for part in parts] == [Posted.CAPTURED] * 2
    assert payments.wallet.posted(Kind.WITHDRAWAL_HOLD) == 1
    assert (payments.wallet.cash[1], payments.wallet.reserved[1], payments.wallet.clearing) == (0, 0, -3000)


async def test_what_an_approved_order_needs_is_asked_at_once(payments: Setup) -> None:
    payments.provider.at_once = 0
    payment = await payments.go(DEPOSIT)
    payments.provider._tell(payments.provider.books[payment.id], Outcome.COMPLETED)
    asked = payments.provider.calls["look_up"]
    await payments.inbound.take("sandbox", [payments.provider.outgoing[-1]._replace(payment_id=payment.id)])
    assert (await payments.get(payment.id)).due_at == payments.now
    await payments.worker.look()
    assert payments.provider.calls["look_up"] == asked + 1


async def test_a_queued_withdrawal_is_looked_at_again_before_it_leaves(payments: Setup) -> None:
    payments.wallet.cash[1] = payments.wallet.cash[2] = 1000
    payments.worker = payments.worker_with(disabled=True)
    queued = [await payments.go(WITHDRAWAL, user_id=user_id) for user_id in (1, 2)]
    assert [payment.waits_for for payment in queued] == [Waits.QUEUE] * 2
    payments.scores.risky = {2}
    payments.worker = payments.worker_with()
    assert await payments.queue_with().look() == 2
    await payments.worker.look()
    first, second = [await payments.get(payment.id) for payment in queued]
    assert (first.status, second.waits_for, second.reason) == (State.COMPLETED, Waits.REVIEW, "RISKY")
    assert payments.provider.calls["withdrawal"] == 1
