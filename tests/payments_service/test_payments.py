"""What is next for a payment, and when; what may begin; which command is due."""

from dataclasses import replace
from datetime import timedelta
from itertools import product
from uuid import UUID

import pytest

from payments_service.domain import ledger, payments
from payments_service.domain.availability import Switch, is_available
from payments_service.domain.ledger import AFTER, DUE, Posted, Step
from payments_service.domain.payments import Action, Payment, Waits, next_action
from payments_service.domain.ports import UNNAMED, Direction, Outcome, ProviderAnswer
from payments_service.domain.states import OPEN, State
from shared.contracts.kinds import Kind
from shared.testing import MOMENT

PAYMENT_ID = UUID("00000000-0000-0000-0000-000000000001")


def payment(direction: Direction = Direction.WITHDRAWAL) -> Payment:
    return Payment(
        id=PAYMENT_ID,
        group_id=PAYMENT_ID,
        group_minor=1000,
        user_id=1,
        direction=direction,
        provider="sandbox",
        method="card",
        amount_minor=1000,
        currency="USD",
        created_at=MOMENT,
    )


@pytest.mark.parametrize(("direction", "state", "posted"), list(product(Direction, State, Posted)))
def test_every_place_leads_to_an_end_by_steps_that_come_once(
    direction: Direction, state: State, posted: Posted
) -> None:
    steps: list[Step] = []
    while (step := DUE.get((direction, state, posted))) is not None and state is not State.CREATED:
        assert step not in steps
        steps.append(step)
        posted = AFTER[step]
    assert len(steps) <= 1


def test_a_steps_command_is_the_same_whoever_makes_it() -> None:
    for step in Step:
        booked = replace(payment(), taken_by=PAYMENT_ID).booked()
        assert ledger.command(booked, step) == ledger.command(booked, step)
    hold = ledger.command(payment().booked(), Step.HOLD)
    assert (hold.kind, hold.until) == (Kind.WITHDRAWAL_HOLD, MOMENT + ledger.HOLD_FOR)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Action.BOOK),
        ({"posted": Posted.HELD}, Action.CHECK),
        ({"posted": Posted.HELD, "cleared": True}, Action.SEND),
        ({"posted": Posted.HELD, "waits_for": Waits.REVIEW}, None),
        ({"posted": Posted.HELD, "status": State.PENDING}, Action.ASK),
        ({"posted": Posted.HELD, "status": State.COMPLETED}, Action.BOOK),
        ({"posted": Posted.CAPTURED, "status": State.COMPLETED}, None),
        ({"posted": Posted.CAPTURED, "status": State.COMPLETED, "news": True}, Action.ASK),
        ({"direction": Direction.DEPOSIT}, Action.CHECK),
        ({"direction": Direction.DEPOSIT, "cleared": True}, Action.SEND),
        (
            {"direction": Direction.DEPOSIT, "status": State.COMPLETED, "posted": Posted.REFUSED, "cleared": True},
            Action.GIVE_BACK,
        ),
    ],
)
def test_what_is_next(changes: dict[str, object], expected: Action | None) -> None:
    assert next_action(replace(payment(), **changes)) is expected  # type: ignore[arg-type]


def test_an_outcome_that_stays_unknown_is_asked_for_ever_more_seldom_and_never_given_up() -> None:
    unknown = ProviderAnswer(Outcome.UNKNOWN, None, None, None)
    found, now, pauses = replace(payment(), status=State.PENDING, posted=Posted.HELD), MOMENT, []
    for _ in range(12):
        after = payments.answered(found, unknown, now)
        assert after is not None
        assert after.due_at is not None
        pauses.append(after.due_at - now)
        found, now = after, after.due_at
    assert found.status is State.UNKNOWN
    assert pauses[0] == timedelta(minutes=1)
    assert pauses[-1] == timedelta(days=1)
    assert pauses == sorted(pauses)
    assert timedelta(hours=1) in pauses


@pytest.mark.parametrize(
    ("direction", "instrument", "status"),
    [
        # Nobody was sent to approve it.
        (Direction.DEPOSIT, None, State.FAILED),
        (Direction.DEPOSIT, "vault_1", State.UNKNOWN),
        (Direction.WITHDRAWAL, None, State.UNKNOWN),
    ],
)
def test_what_its_provider_cannot_be_asked_for_has_failed_only_where_nobody_can_have_paid(
    direction: Direction, instrument: str | None, status: State
) -> None:
    sent = replace(payment(direction), status=State.PENDING, instrument=instrument)
    soon = payments.answered(sent, UNNAMED, MOMENT)
    late = payments.answered(sent, UNNAMED, MOMENT + timedelta(days=2))
    assert soon is not None
    assert late is not None
    assert (soon.status in OPEN, late.status) == (True, status)


def test_a_message_about_what_is_known_is_no_news() -> None:
    completed = replace(payment(), status=State.COMPLETED, posted=Posted.CAPTURED)
    for outcome in (Outcome.COMPLETED, Outcome.PENDING, Outcome.PROCESSING):
        assert payments.heard(completed, outcome, MOMENT) is None
    for outcome in (Outcome.REFUNDED, Outcome.FAILED):
        heard = payments.heard(completed, outcome, MOMENT)
        assert heard is not None
        assert (heard.news, heard.status) == (True, State.COMPLETED)


def test_a_payment_is_overdue_only_while_it_is_open() -> None:
    later = MOMENT + payments.OVERDUE_AFTER
    assert {state for state in State if payments.is_overdue(replace(payment(), status=state), later)} == OPEN


@pytest.mark.parametrize(
    ("switch", "open_to"),
    [
        (Switch("*", "*", "*", False), False),
        (Switch("sandbox", "*", "*", False), False),
        (Switch("sandbox", "deposit", "card", False), False),
        (Switch("stripe", "*", "*", False), True),
        (Switch("*", "withdrawal", "*", False), True),
        (Switch("*", "*", "bank", False), True),
        (Switch("*", "*", "*", True), True),
    ],
)
def test_a_switch_is_about_what_it_names(switch: Switch, open_to: bool) -> None:
    assert is_available([switch], "sandbox", Direction.DEPOSIT, "card", disabled=False) is open_to
    assert not is_available([switch], "sandbox", Direction.DEPOSIT, "card", disabled=True)
