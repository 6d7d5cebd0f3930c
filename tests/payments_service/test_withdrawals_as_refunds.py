"""Where a provider sends money back as refunds of deposits alone, a withdrawal goes out as them."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from payments_service.domain.ledger import Posted
from payments_service.domain.payments import Payment, Waits
from payments_service.domain.ports import Direction, Outcome
from payments_service.domain.states import State
from shared.contracts.kinds import Kind
from tests.payments_service.support import Setup
from tests.payments_service.test_settlement import line, settled

pytestmark = pytest.mark.integration

DEPOSIT, REFUND = Direction.DEPOSIT, Direction.REFUND


@pytest.fixture
def payments(payments: Setup) -> Setup:
    """The provider takes cards back as refunds alone, and pays out to accounts."""
    payments.provider.refund_only = frozenset({"card"})
    payments.provider.payable = frozenset({"acct_1"})
    return payments


async def deposits(payments: Setup, *amounts: int) -> list[Payment]:
    """Deposits of one card, a minute apart."""
    made = []
    for amount in amounts:
        made.append(await payments.go(DEPOSIT, amount))
        await payments.later(minutes=1)
    return made


async def ask(payments: Setup, amount_minor: int, **more: Any) -> Any:
    body: dict[str, Any] = {"payment_id": str(uuid4()), "user_id": 1, "amount_minor": amount_minor, "currency": "USD"}
    body |= {"provider": "sandbox", "method": "card", "instrument": None, "actor": "player:1"} | more
    return await payments.client().post("/payments/withdrawals", json=body)


async def withdraw(payments: Setup, amount_minor: int, **more: Any) -> list[Payment]:
    response = await ask(payments, amount_minor, **more)
    assert response.status_code == 200, response.text
    return [await payments.get(UUID(part["id"])) for part in response.json()]


async def test_a_withdrawal_goes_back_as_refunds_of_its_deposits_the_oldest_first(payments: Setup) -> None:
    first, second = await deposits(payments, 3000, 2000)
    parts = await withdraw(payments, 4000)
    assert [(part.of_payment, part.amount_minor) for part in parts] == [(first.id, 3000), (second.id, 1000)]
    assert {(part.status, part.posted) for part in parts} == {(State.COMPLETED, Posted.CAPTURED)}
    books = [payments.provider.books[part.id] for part in parts]
    assert [(booked.direction, booked.of) for booked in books] == [(REFUND, first.id), (REFUND, second.id)]
    assert payments.provider.calls["withdrawal"] == 0
    # In the ledger it is a withdrawal, and the deposits stand.
    assert (payments.wallet.posted(Kind.WITHDRAWAL_CAPTURE), payments.wallet.posted(Kind.REFUND)) == (2, 0)
    assert (payments.wallet.cash[1], payments.wallet.reserved[1], payments.wallet.clearing) == (1000, 0, 1000)
    after = [await payments.get(deposit.id) for deposit in (first, second)]
    assert [deposit.status for deposit in after] == [State.COMPLETED] * 2
    assert [deposit.refunded_minor for deposit in after] == [3000, 1000]
    # What has gone back does not go back again.
    (rest,) = await withdraw(payments, 1000)
    assert (rest.of_payment, payments.wallet.cash[1]) == (second.id, 0)


async def test_what_did_not_come_from_there_goes_where_it_can_be_paid_out(payments: Setup) -> None:
    await deposits(payments, 1000)
    payments.wallet.cash[1] += 500
    refused = await ask(payments, 1500, instrument="pm_1")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "instrument")
    assert "10.00 USD can go back" in refused.text
    assert len(await payments.all()) == 1
    back, rest = await withdraw(payments, 1500, instrument="acct_1")
    assert (back.amount_minor, rest.amount_minor, rest.of_payment, rest.instrument) == (1000, 500, None, "acct_1")
    assert payments.wallet.cash[1] == 0


async def test_staffs_refunds_and_withdrawals_share_what_is_left_of_a_deposit(payments: Setup) -> None:
    (deposit,) = await deposits(payments, 3000)
    await withdraw(payments, 1000)
    body: dict[str, Any] = {"actor": "ann", "refund_id": str(uuid4())}
    body["refund"] = {"amount": "20.01", "reason": "charged twice"}
    too_much = await payments.client().post(f"/payments/{deposit.id}/refund", json=body)
    assert (too_much.status_code, "20.00 USD" in too_much.text) == (422, True)
    body["refund"] = {"amount": "5.00", "reason": "charged twice"}
    assert (await payments.client().post(f"/payments/{deposit.id}/refund", json=body)).status_code == 200
    (part,) = await withdraw(payments, 1500)
    assert (part.of_payment, part.status, payments.wallet.cash[1]) == (deposit.id, State.COMPLETED, 0)
    assert (await payments.get(deposit.id)).refunded_minor == 3000


async def test_what_its_provider_does_not_take_back_is_the_players_and_goes_elsewhere_after_a_look(
    payments: Setup,
) -> None:
    await deposits(payments, 1000)
    payments.provider.refunds_fail = 1
    (failed,) = await withdraw(payments, 1000)
    assert (failed.status, failed.posted, payments.wallet.cash[1]) == (State.FAILED, Posted.RELEASED, 1000)
    payments.provider.refunds_fail = 0
    (other,) = await withdraw(payments, 1000, instrument="acct_1")
    assert (other.of_payment, other.waits_for, other.reason) == (None, Waits.REVIEW, "NOT_TAKEN_BACK")


async def test_a_deposit_is_not_passed_over_for_what_the_wallet_refused(payments: Setup) -> None:
    await deposits(payments, 1000)
    payments.wallet.cash[1] = 0
    (refused,) = await withdraw(payments, 1000)
    assert (refused.status, refused.reason) == (State.FAILED, "INSUFFICIENT_FUNDS")
    payments.wallet.cash[1] = 1000
    (part,) = await withdraw(payments, 1000)
    assert (part.of_payment is not None, part.status) == (True, State.COMPLETED)


async def test_a_refund_that_fails_days_after_it_was_paid_is_the_players_again(payments: Setup) -> None:
    (deposit,) = await deposits(payments, 1000)
    (part,) = await withdraw(payments, 1000)
    assert payments.wallet.cash[1] == 0
    payments.provider.take_back(part.id, Outcome.FAILED)
    assert await payments.inbound.take("sandbox", payments.provider.outgoing[-1:]) == ["news"]
    await payments.later(seconds=1)
    after = await payments.get(part.id)
    assert (after.status, after.posted, payments.wallet.cash[1]) == (State.REFUNDED, Posted.RELEASED, 1000)
    assert (await payments.get(deposit.id)).refunded_minor == 0


@pytest.mark.parametrize("named", [True, False])
async def test_the_providers_word_of_such_a_refund_is_the_withdrawals(payments: Setup, named: bool) -> None:
    (deposit,) = await deposits(payments, 1000)
    payments.provider.at_once = 0
    (part,) = await withdraw(payments, 1000)
    assert part.status is State.PROCESSING
    payments.provider.settle_some()
    event = payments.provider.outgoing[-1]._replace(payment_id=part.id if named else None, of_reference="ref_x")
    assert await payments.inbound.take("sandbox", [event]) == ["news"]
    await payments.later(seconds=1)
    assert (await payments.get(part.id)).status is State.COMPLETED
    assert (await payments.get(deposit.id)).status is State.COMPLETED


async def test_one_whose_answer_was_lost_is_looked_up_as_the_refund_that_it_is(payments: Setup) -> None:
    await deposits(payments, 1000)
    payments.provider.down = True
    (part,) = await withdraw(payments, 1000)
    assert (part.status, part.posted) == (State.UNKNOWN, Posted.HELD)
    payments.provider.down = False
    await payments.later(minutes=2)
    assert (await payments.get(part.id)).status is State.COMPLETED
    assert payments.provider.calls["refund"] == 2
    assert payments.provider.books[part.id].direction is REFUND


async def test_what_staff_says_of_one_in_its_providers_place_counts_with_its_deposit(payments: Setup) -> None:
    (deposit,) = await deposits(payments, 1000)
    payments.provider.down = True
    (part,) = await withdraw(payments, 1000)
    for _ in range(6):
        await payments.later(hours=6)
    assert ("overdue", "provider") in await payments.exceptions()
    said = {"outcome": "completed", "reason": "seen", "evidence": "bank statement 7"}
    for actor in ("ann", "bob"):
        body = {"actor": actor, "completion": said}
        assert (await payments.client().post(f"/payments/{part.id}/completion", json=body)).status_code == 200
    assert (await payments.get(part.id)).posted is Posted.CAPTURED
    assert (await payments.get(deposit.id)).refunded_minor == 1000
    assert await payments.exceptions() == []


async def test_a_settlement_has_it_as_a_withdrawal_in_the_ledger_and_as_a_refund_at_the_provider(
    payments: Setup,
) -> None:
    (deposit,) = await deposits(payments, 2500)
    (part,) = await withdraw(payments, 1000)
    await payments.heard()
    lines = [line(str(deposit.id)), line(str(part.id), "-10.00", "refund")]
    batch = await settled(payments, *lines)
    assert batch["status"] == "matched", await payments.exceptions()
    assert batch["totals"]["ours"]["back"] == batch["totals"]["provider"]["back"] == 1000
    # Days later the card does not take it.
    payments.provider.take_back(part.id, Outcome.FAILED)
    await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
    await payments.later(seconds=1)
    await payments.heard()
    batch = await settled(payments, *lines, line(str(part.id), "10.00", "refund_failure"))
    assert batch["status"] == "matched", await payments.exceptions()
