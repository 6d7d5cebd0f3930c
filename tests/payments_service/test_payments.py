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
from payments_service.domain.states import OPEN, Event, State
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
    # What was to be held is held before it is released.
    assert len(steps) <= (2 if steps[:1] == [Step.HOLD] else 1)


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


def test_a_payment_is_overdue_while_it_is_open_or_something_is_to_be_done_for_it_here() -> None:
    later = MOMENT + payments.OVERDUE_AFTER
    captured = replace(payment(), posted=Posted.CAPTURED)
    overdue = {state for state in State if payments.is_overdue(replace(captured, status=state), later)}
    # One that was charged back, or came back, is still to be booked as such.
    assert overdue == OPEN | {State.CREATED, State.REFUNDED, State.CHARGED_BACK}
    assert not any(payments.is_overdue(replace(captured, status=state), MOMENT) for state in State)
    for waits_for in Waits:
        assert not payments.is_overdue(replace(captured, status=State.UNKNOWN, waits_for=waits_for), later)
    # What ended long ago, and there is news of now, is overdue once it was asked for in vain for as long.
    told = replace(captured, status=State.COMPLETED, news=True)
    assert not payments.is_overdue(told, later)
    assert payments.is_overdue(replace(told, asks=len(payments.ASK_AFTER) + 1), later)


def test_news_is_asked_for_until_there_is_an_answer_and_one_that_denies_it_each_time_is_believed() -> None:
    told = replace(payment(Direction.DEPOSIT), status=State.COMPLETED, posted=Posted.CREDITED, news=True)

    def asked(answer: ProviderAnswer) -> tuple[Payment, timedelta]:
        found, now = told, MOMENT
        for _ in range(50):
            after = payments.answered(found, answer, now)
            assert after is not None
            if not after.news:
                return after, now - MOMENT
            found, now = after, after.due_at or now
        return found, now - MOMENT

    assert asked(ProviderAnswer(Outcome.UNKNOWN, None, None, None))[0].news
    denied, after = asked(ProviderAnswer(Outcome.COMPLETED, "ref", None, None))
    assert (denied.news, denied.due_at, denied.status) == (False, None, State.COMPLETED)
    assert timedelta(minutes=10) <= after < timedelta(minutes=15)
    # What cannot be asked for by a name will never be.
    unnamed, at_once = asked(UNNAMED)
    assert (unnamed.news, unnamed.status, at_once) == (False, State.COMPLETED, timedelta())


def test_a_dispute_that_was_won_and_is_lost_again_is_asked_for() -> None:
    won = replace(payment(Direction.DEPOSIT), status=State.REINSTATED, posted=Posted.CREDITED)
    heard = payments.heard(won, Outcome.CHARGED_BACK, MOMENT)
    assert heard is not None
    assert heard.news
    assert payments.answered(heard, ProviderAnswer(Outcome.CHARGED_BACK, "ref", None, None), MOMENT) is None
    # The first one's message came late.
    late = payments.answered(heard, ProviderAnswer(Outcome.REINSTATED, "ref", None, None), MOMENT)
    assert late is not None
    assert late.status is State.REINSTATED


def test_how_long_a_payment_may_go_out_again_counts_from_when_it_first_did() -> None:
    reviewed = replace(payment(), posted=Posted.HELD, cleared=True)
    sent_at = MOMENT + timedelta(days=3)
    sent = payments.happened(reviewed, Event.SEND, sent_at)
    assert sent is not None
    again = payments.happened(sent, Event.SEND, sent_at + timedelta(hours=23))
    assert again is not None
    assert again.sent_at == sent_at
    assert payments.goes_out_again(again, sent_at + timedelta(hours=23))
    assert not payments.goes_out_again(again, sent_at + timedelta(hours=24))


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
