"""What requests become, and how decisions read."""

from uuid import uuid5

import pytest
from pydantic import TypeAdapter

from gateway.domain import checks, corrections, limits, views
from gateway.domain.callers import COMMANDS_NAMESPACE, caller_of
from gateway.domain.checks import CheckView
from gateway.domain.corrections import HeldPayoutsView
from gateway.domain.limits import LimitChangeView, LimitView
from gateway.domain.refusals import SENTENCES, explain
from gateway.domain.requests import command_of, read_transaction
from gateway.domain.views import DecisionView, PendingView, WalletView
from shared.contracts.commands import decode, encode
from shared.contracts.kinds import Kind, Reason, Status
from shared.contracts.limits import IN_SECONDS, LimitName
from shared.contracts.readings import (
    Check,
    Dispute,
    DisputeStatus,
    HeldPayout,
    LimitReading,
    PendingRaise,
    ReadTransaction,
    WindowUse,
)
from shared.errors import InvalidInput
from shared.testing import MOMENT, FakeLedger

# What a posted rollback may have moved nothing for: no refusal, so nothing to explain.
NO_REFUSALS = {Reason.ORIGINAL_NOT_SEEN, Reason.ALREADY_ROLLED_BACK}
NUMBERS = {
    **dict.fromkeys(("available_minor", "remaining_minor", "limit_minor", "used_minor", "held_minor"), 250),
    "held_currency": "EUR",
    "ends_at": "2026-11-24T10:00:00.000000Z",
    "pending_from": "2026-11-24T10:00:00.000000Z",
}
CALLER = caller_of({"sub": "casino", "role": "admin"})


def test_a_key_of_a_client_is_the_same_command_wherever_it_comes_in() -> None:
    expected = uuid5(uuid5(COMMANDS_NAMESPACE, "casino"), "key-1")

    assert str(COMMANDS_NAMESPACE) == "8f0c4a36-5d0b-5f0e-9d52-6c3a4f1f7b21"
    assert CALLER.command_id("key-1") == expected
    assert caller_of({"sub": "service-7", "client_id": "casino", "role": "admin"}).command_id("key-1") == expected


def test_a_command_is_what_its_contract_takes() -> None:
    body = (
        b'{"user_id": 42, "type": "ADJUSTMENT_DEBIT", "amount": "0.05", "currency": "USD", "reason": "\xc3\xa9",'
        b' "reference_id": "\\"quoted\\""}'
    )

    command = command_of(read_transaction(body), CALLER, "key", now=MOMENT, bets_expire_at=MOMENT)

    assert decode(encode(command)) == command
    assert (command.amount_minor, command.reason, command.actor) == (5, "é", "casino")
    assert command.expires_at is None


@pytest.mark.parametrize("reason", sorted(set(Reason) - NO_REFUSALS))
def test_every_refusal_is_explained_with_its_numbers(reason: Reason) -> None:
    row = FakeLedger(4).add(Kind.GAME_BET, 42, 1000, reason=reason)

    assert reason in SENTENCES
    for facts in (None, NUMBERS):
        sentence = explain(row.model_copy(update={"facts": facts}))
        assert sentence.endswith(".")
        assert not {"{", "}", "None"} & set(sentence)
    if "{available}" in SENTENCES[reason] or "{remaining}" in SENTENCES[reason]:
        assert "2.50 USD" in sentence


def test_a_reason_of_tomorrow_is_named() -> None:
    row = FakeLedger(4).add(Kind.GAME_BET, 42, status=Status.REFUSED)

    assert explain(row.model_copy(update={"reason": "FULL_MOON"})) == "The wallet refused it: FULL_MOON."


def test_what_is_sent_is_what_the_document_says() -> None:
    row = FakeLedger(4).add(Kind.DEPOSIT, 42)
    command = command_of(
        read_transaction(b'{"user_id": 42, "type": "REFUND", "amount": "1", "currency": "USD", "provider": "bank"}'),
        CALLER,
        "key",
        now=MOMENT,
        bets_expire_at=MOMENT,
    )

    TypeAdapter(DecisionView).validate_python(views.decision(row))
    TypeAdapter(PendingView).validate_python(views.pending(command))
    TypeAdapter(WalletView).validate_python(views.wallet(42, []))


def test_what_is_sent_of_limits_is_what_the_document_says() -> None:
    window = WindowUse(mode="rolling", starts_at=MOMENT, used=1, remaining=None)
    pending = PendingRaise(value=1, confirmable_from=MOMENT)
    unset = dict.fromkeys(("effective", "operator", "override", "jurisdiction", "own"))
    facts = {"before": 2, "after": 1, "after_own": 1, "asked_minor": 1, "pending": 3, "pending_from": "2026-11-24"}
    row = FakeLedger(4).add(Kind.LIMIT_REQUEST, 42, 0)

    for name in LimitName:
        of_its_own = {"withdrawals_from": MOMENT} if name in IN_SECONDS else {"window": window}
        for more in ({}, {"pending": pending, **of_its_own}):
            found = LimitReading(name=name, currency="USD", **{**unset, **more})
            TypeAdapter(LimitView).validate_python(limits.limit(found))
        for status in Status:
            changed = row.model_copy(update={"reference_id": name.value, "facts": facts, "status": status})
            TypeAdapter(LimitChangeView).validate_python(limits.changed(changed))


def test_what_is_sent_of_checks_and_held_payouts_is_what_the_document_says() -> None:
    row = FakeLedger(4).add(Kind.GAME_PAYOUT, 42)
    dispute = Dispute(state=DisputeStatus.OPEN, reason="r", actor="a", since=MOMENT, transaction_id=row.command_id)
    read = ReadTransaction(**dict(row), dispute=dispute)
    held = HeldPayout(held_minor=1, transaction=read)
    body = b'{"user_id": 42, "type": "DEPOSIT", "amount": "1", "currency": "USD", "provider": "bank"}'
    command = command_of(read_transaction(body), CALLER, None, now=MOMENT, bets_expire_at=None)
    check = Check(
        status=Status.REFUSED,
        reason=Reason.DAILY_DEPOSIT_LIMIT,
        amount_minor=100,
        currency="USD",
        credit="cash",
        cash_minor=0,
        reserved_minor=0,
    )

    TypeAdapter(HeldPayoutsView).validate_python(corrections.held_payouts([held], 1))
    TypeAdapter(CheckView).validate_python(checks.view(command, check))


@pytest.mark.parametrize("position", [1, 9, 10, 123_456, 2**63 - 1])
def test_a_cursor_leads_back_to_its_place(position: int) -> None:
    assert views.position_of(views.cursor_of(position)) == position


@pytest.mark.parametrize("position", [0, -1, 2**63])
def test_a_cursor_to_nowhere_is_refused(position: int) -> None:
    with pytest.raises(InvalidInput):
        views.position_of(views.cursor_of(position))
