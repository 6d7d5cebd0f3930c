"""Refunds that do not go out, come back, cross with what happens at the provider, or are told of twice."""

import asyncio
from uuid import UUID

import pytest
from alembic import command

from payments_service.domain.ledger import Posted
from payments_service.domain.payments import Payment
from payments_service.domain.ports import Direction, Outcome
from payments_service.domain.states import State
from payments_service.repository import closed_loop
from shared import database as databases
from shared import migrations
from tests.payments_service.support import Setup
from tests.payments_service.test_refunds import asked, refund, told
from tests.support import as_administrator, outside_the_loop

pytestmark = pytest.mark.integration

DEPOSIT, WITHDRAWAL = Direction.DEPOSIT, Direction.WITHDRAWAL


async def heard_of(payments: Setup, payment_id: UUID, outcome: Outcome) -> None:
    """Something happens at the provider, which tells of it."""
    payments.provider.take_back(payment_id, outcome)
    await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
    await payments.later(seconds=1)


async def stranded(payments: Setup) -> Payment:
    """A deposit that the wallet did not take, and that did not go back."""
    payments.provider.at_once = 0
    deposit = await payments.go(DEPOSIT)
    payments.wallet.excluded.add(1)
    payments.provider.settle_some()
    payments.provider.at_once, payments.provider.refunds_fail = 1, 1
    await payments.later(minutes=1)
    assert await payments.exceptions() == [("stranded", "provider")]
    payments.provider.refunds_fail = 0
    return await payments.get(deposit.id)


async def test_what_is_stranded_is_shown_until_all_of_it_has_gone(payments: Setup) -> None:
    deposit = await stranded(payments)
    assert (await refund(payments, deposit, asked("0.01"))).json()[0]["status"] == "completed"
    assert await payments.exceptions() == [("stranded", "provider")]
    assert (await refund(payments, deposit, asked())).json()[0]["amount_minor"] == 999
    assert await payments.exceptions() == []


async def test_what_is_stranded_is_tried_again_by_staff_and_never_touches_the_wallet(payments: Setup) -> None:
    deposit = await stranded(payments)
    payments.provider.refunds_fail = 1
    failing = (await refund(payments, deposit, asked())).json()[0]
    assert (failing["status"], await payments.exceptions()) == ("failed", [("stranded", "provider")])
    payments.provider.refunds_fail = 0
    sent = (await refund(payments, deposit, asked())).json()[0]
    assert (sent["status"], sent["posted"], await payments.exceptions()) == ("completed", "refused", [])
    await nothing_left_anywhere(payments, deposit)


async def test_what_is_stranded_and_charged_back_has_gone(payments: Setup) -> None:
    deposit = await stranded(payments)
    await heard_of(payments, deposit.id, Outcome.CHARGED_BACK)
    assert (payments.provider.net_minor(), payments.wallet.clearing) == (0, 0)
    assert await payments.exceptions() == []


async def test_a_second_word_of_what_came_back_is_no_contradiction(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    sent = UUID((await refund(payments, deposit, asked())).json()[0]["id"])
    await heard_of(payments, sent, Outcome.FAILED)
    again = payments.provider.outgoing[-1]._replace(event_id="again")
    await payments.inbound.take("sandbox", [again])
    await payments.later(seconds=1)
    assert ((await payments.get(sent)).status, await payments.exceptions()) == (State.REFUNDED, [])


async def test_a_dispute_that_is_heard_of_before_a_refund_that_came_back_takes_what_its_provider_took(
    payments: Setup,
) -> None:
    deposit = await payments.go(DEPOSIT)
    sent = UUID((await refund(payments, deposit, asked("0.01"))).json()[0]["id"])
    payments.provider.take_back(sent, Outcome.FAILED)
    came_back = payments.provider.outgoing[-1]
    await heard_of(payments, deposit.id, Outcome.CHARGED_BACK)
    await payments.inbound.take("sandbox", [came_back])
    await payments.later(seconds=1)
    assert ((await payments.get(sent)).posted, await payments.exceptions()) == (Posted.RELEASED, [])
    assert (payments.provider.net_minor(), payments.wallet.clearing, payments.wallet.cash[1]) == (0, 0, 0)


async def nothing_left_anywhere(payments: Setup, deposit: Payment) -> None:
    """All of a deposit has gone back, once, on every side."""
    found = await payments.get(deposit.id)
    assert (found.status, found.refunded_minor) == (State.REFUNDED, deposit.amount_minor)
    assert (payments.wallet.cash[1], payments.wallet.reserved[1]) == (0, 0)
    assert payments.wallet.clearing == payments.provider.net_minor() == 0


async def test_a_withdrawal_that_finds_its_deposit_refunded_elsewhere_leaves_nothing(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    payments.provider.at_once = 0
    paid = await payments.go(WITHDRAWAL, 400, of_payment=deposit.id)
    assert (paid.status, paid.posted) == (State.PROCESSING, Posted.HELD)
    await heard_of(payments, deposit.id, Outcome.REFUNDED)
    payments.provider.settle_some()
    await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
    for _ in range(3):
        await payments.later(minutes=1)
    assert (await payments.get(paid.id)).status is State.FAILED
    await nothing_left_anywhere(payments, deposit)


async def test_a_withdrawal_that_staff_reject_beside_a_refund_elsewhere_leaves_nothing(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    payments.review_from["USD"] = 1
    paid = await payments.go(WITHDRAWAL, 400, of_payment=deposit.id)
    await heard_of(payments, deposit.id, Outcome.REFUNDED)
    no = {"actor": "ann", "review": {"verdict": "reject", "reason": "not now"}}
    assert (await payments.client().post(f"/payments/{paid.id}/review", json=no)).status_code == 200
    for _ in range(3):
        await payments.later(minutes=1)
    await nothing_left_anywhere(payments, deposit)


async def test_a_deposit_of_which_all_has_gone_is_not_in_doubt(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    payments.provider.refunds_fail = 1
    first = UUID((await refund(payments, deposit, asked())).json()[0]["id"])
    payments.provider.at_once = 0
    second = UUID((await refund(payments, deposit, asked())).json()[0]["id"])
    # The first went out after all, and so the second cannot.
    await heard_of(payments, first, Outcome.COMPLETED)
    payments.provider.books[second].outcome = Outcome.FAILED
    await payments.later(minutes=2)
    assert (await payments.get(second)).posted is Posted.RELEASED
    await nothing_left_anywhere(payments, deposit)


async def test_a_refund_that_the_journal_brings_before_the_answer_counts_once(payments: Setup) -> None:
    first = await payments.go(DEPOSIT)
    await payments.go(DEPOSIT)
    payments.wallet.unheard = True
    await refund(payments, first, asked())
    await payments.heard()
    async with databases.reading(payments.engine) as connection:
        (source,) = await closed_loop.sources(connection, 1, "USD")
    assert source.net_minor == 1000


async def test_two_events_at_once_of_a_refund_begun_at_the_provider_are_of_one(payments: Setup) -> None:
    deposit = await payments.go(DEPOSIT)
    event = told(payments, deposit, Outcome.PROCESSING, 1000, direction=Direction.REFUND, reference="re_1")
    first = event._replace(payment_id=None, of_reference=deposit.reference)
    second = first._replace(event_id="second", outcome=Outcome.COMPLETED)
    became = await asyncio.gather(*(payments.inbound.take("sandbox", [each]) for each in (first, second)))
    assert (became, await payments.exceptions()) == ([["news"], ["news"]], [])


async def test_refunds_of_the_version_before_come_back_and_what_it_left_stranded_is_shown(payments: Setup) -> None:
    configuration = migrations.config("payments_service", payments.database.admin_dsn)
    deposit, other = await payments.go(DEPOSIT), await payments.go(DEPOSIT)
    came, stays = [UUID((await refund(payments, each, asked())).json()[0]["id"]) for each in (deposit, other)]
    left = await stranded(payments)
    # That version showed what came back, and knew of no taking.
    payments.provider.take_back(came, Outcome.FAILED)
    for statement in (
        "DELETE FROM payments.settlement_exceptions",
        "UPDATE payments.payments SET taken_by = NULL",
        "INSERT INTO payments.settlement_exceptions (opened_at, id, payment_id, kind, side) "
        f"VALUES (now(), gen_random_uuid(), '{came}', 'contradiction', 'provider')",
    ):
        await as_administrator(payments.database, statement)
    outside_the_loop(lambda: command.downgrade(configuration, "0005"))
    outside_the_loop(lambda: migrations.upgrade("payments_service", payments.database.admin_dsn))
    assert await payments.exceptions() == [("contradiction", "provider"), ("stranded", "provider")]
    assert left.given_back_by is not None
    found = await payments.get(stays)
    assert found.taken_at == found.settled_at is not None
    # The migration's clock is the server's.
    await as_administrator(
        payments.database, "UPDATE payments.payments SET due_at = '2026-01-01' WHERE due_at IS NOT NULL"
    )
    await payments.later(seconds=1)
    after = await payments.get(came)
    assert (after.status, after.posted, payments.wallet.cash[1]) == (State.REFUNDED, Posted.RELEASED, 1000)
