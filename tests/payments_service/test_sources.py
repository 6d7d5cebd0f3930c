"""What came from each instrument and can go back to it is what the ledger says, whoever moved it."""

from typing import Any
from uuid import UUID, uuid4, uuid5

import alembic.command
import pytest

from payments_service.domain.closed_loop import Place, Source
from payments_service.domain.ledger import Step, command
from payments_service.domain.payments import Payment
from payments_service.domain.ports import Direction, Outcome
from payments_service.repository import closed_loop
from shared import database as databases
from shared import migrations
from tests.payments_service.support import Setup
from tests.support import as_administrator, outside_the_loop

pytestmark = pytest.mark.integration

DEPOSIT, WITHDRAWAL = Direction.DEPOSIT, Direction.WITHDRAWAL


async def nets(payments: Setup, currency: str = "USD") -> dict[str | None, int]:
    return {source.place.instrument: source.net_minor for source in await found(payments, currency)}


async def found(payments: Setup, currency: str = "USD") -> list[Source]:
    async with databases.reading(payments.engine) as connection:
        return list(await closed_loop.sources(connection, 1, currency))


async def withdraw(payments: Setup, amount_minor: int, instrument: str | None) -> list[tuple[str, int]]:
    """How a withdrawal is split, by where it goes."""
    body: dict[str, Any] = {"payment_id": str(uuid4()), "user_id": 1, "amount_minor": amount_minor, "currency": "USD"}
    body |= {"provider": "sandbox", "method": "card", "instrument": instrument, "actor": "player:1"}
    response = await payments.client().post("/payments/withdrawals", json=body)
    assert response.status_code == 200, response.text
    parts = [await payments.get(UUID(part["id"])) for part in response.json()]
    return [(str(part.instrument), part.amount_minor) for part in parts]


def credit(deposit: Payment) -> UUID:
    return uuid5(deposit.id, "credit")


async def test_a_deposit_that_staff_reverse_in_the_ledger_is_no_longer_owed_to_its_instrument(payments: Setup) -> None:
    first = await payments.go(DEPOSIT, 3000, instrument="tok_first")
    await payments.later(minutes=1)
    await payments.go(DEPOSIT, 2000, instrument="tok_second")
    await payments.by_staff(credit(first), 2500)
    assert await nets(payments) == {"tok_first": 500, "tok_second": 2000}
    assert await withdraw(payments, 2200, "tok_else") == [("tok_first", 500), ("tok_second", 1700)]
    assert await nets(payments) == {"tok_second": 300}


async def test_a_capture_that_staff_reverse_is_owed_again(payments: Setup) -> None:
    await payments.go(DEPOSIT, 3000)
    paid = await payments.go(WITHDRAWAL, 3000)
    assert await nets(payments) == {}
    assert paid.taken_by is not None
    await payments.by_staff(paid.taken_by, 1000)
    assert await nets(payments) == {"tok_1": 1000}


async def test_the_parts_of_a_withdrawal_count_where_each_went_though_they_share_a_hold(payments: Setup) -> None:
    for number, amount in enumerate((1000, 500), start=1):
        await payments.go(DEPOSIT, amount, instrument=f"tok_{number}")
        await payments.later(minutes=1)
    assert await withdraw(payments, 1200, None) == [("tok_1", 1000), ("tok_2", 200)]
    assert await nets(payments) == {"tok_2": 300}
    # The journal brings them all again.
    await payments.heard([event for _, event in payments.wallet.decided.values()])
    assert await nets(payments) == {"tok_2": 300}


async def test_what_is_on_its_way_back_is_not_sent_twice(payments: Setup) -> None:
    await payments.go(DEPOSIT, 3000)
    payments.provider.at_once = 0
    waits = await payments.go(WITHDRAWAL, 2000)
    assert await nets(payments) == {"tok_1": 1000}
    payments.provider.settle_some()
    await payments.later(minutes=1)
    assert await nets(payments) == {"tok_1": 1000}
    await payments.heard([payments.wallet.decided[uuid5(waits.id, "capture")][1]])
    assert await nets(payments) == {"tok_1": 1000}


async def test_a_capture_that_its_payment_does_not_know_yet_counts_once_and_for_no_other_part(payments: Setup) -> None:
    for number, amount in enumerate((1000, 500), start=1):
        await payments.go(DEPOSIT, amount, instrument=f"tok_{number}")
        await payments.later(minutes=1)
    payments.provider.at_once = 0
    await withdraw(payments, 1200, None)
    payments.provider.at_once = 1
    await payments.go(DEPOSIT, 700)
    parts = [payment for payment in await payments.all() if payment.direction is WITHDRAWAL]
    second = next(part for part in parts if part.id != part.group_id)
    event = await payments.wallet.ask(command(second.booked(), Step.CAPTURE), 1)
    assert event is not None
    await payments.heard([event])
    assert await nets(payments) == {"tok_1": 700, "tok_2": 300}


async def test_a_withdrawal_that_failed_is_owed_again(payments: Setup) -> None:
    await payments.go(DEPOSIT, 3000)
    payments.provider.fails = 1
    await payments.go(WITHDRAWAL, 2000)
    assert await nets(payments) == {"tok_1": 3000}


@pytest.mark.parametrize(
    ("outcomes", "left"),
    [
        ([Outcome.REFUNDED], {}),
        ([Outcome.CHARGED_BACK], {}),
        ([Outcome.CHARGED_BACK, Outcome.REINSTATED], {"tok_1": 1000}),
    ],
)
async def test_what_went_back_otherwise_is_not_sent_back_again(
    payments: Setup, outcomes: list[Outcome], left: dict[str, int]
) -> None:
    deposit = await payments.go(DEPOSIT, 1000)
    for outcome in outcomes:
        payments.provider.take_back(deposit.id, outcome)
        await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
        for _ in range(2):
            await payments.later(seconds=1)
    assert await nets(payments) == left


async def test_a_source_is_as_old_as_the_first_money_that_came_from_it(payments: Setup) -> None:
    payments.wallet.cash[1] = 500
    await payments.go(WITHDRAWAL, 500)
    await payments.later(minutes=1)
    first = await payments.go(DEPOSIT, 1000)
    await payments.later(minutes=1)
    await payments.go(DEPOSIT, 1000)
    assert await found(payments) == [Source(Place("sandbox", "card", "tok_1"), 1500, first.created_at)]


async def test_another_currency_and_another_player_are_not_asked(payments: Setup) -> None:
    await payments.go(DEPOSIT, 1000, currency="EUR")
    await payments.go(DEPOSIT, 1000, user_id=2)
    assert await nets(payments) == {}
    assert await nets(payments, "EUR") == {"tok_1": 1000}


async def test_rows_that_were_kept_before_their_sign_was_get_it(payments: Setup) -> None:
    first, second = [await payments.go(DEPOSIT, 3000) for _ in range(2)]
    await payments.go(WITHDRAWAL, 1000)
    await payments.by_staff(credit(first), 500)
    for outcome in (Outcome.CHARGED_BACK, Outcome.REINSTATED):
        payments.provider.take_back(second.id, outcome)
        await payments.inbound.take("sandbox", payments.provider.outgoing[-1:])
        await payments.later(seconds=1)
    query = "SELECT position, movement, net_minor FROM payments.ledger_movements ORDER BY position"
    before = await as_administrator(payments.database, query)
    assert {row["movement"] for row in before} == {"in", "out", "back"}
    configuration = migrations.config("payments_service", payments.database.admin_dsn)
    outside_the_loop(lambda: alembic.command.downgrade(configuration, "0003"))
    outside_the_loop(lambda: migrations.upgrade("payments_service", payments.database.admin_dsn))
    assert await as_administrator(payments.database, query) == before
