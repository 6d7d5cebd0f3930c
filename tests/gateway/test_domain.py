"""What requests become, and how decisions read."""

from uuid import uuid5

import pytest
from pydantic import TypeAdapter

from gateway.domain import views
from gateway.domain.callers import COMMANDS_NAMESPACE, caller_of
from gateway.domain.refusals import SENTENCES, explain
from gateway.domain.requests import command_of, read_transaction
from gateway.domain.views import DecisionView, PendingView, WalletView
from shared.contracts.commands import decode, encode
from shared.contracts.kinds import Kind, Reason, Status
from shared.errors import InvalidInput
from shared.testing import MOMENT, FakeLedger

# What a posted rollback may have moved nothing for: no refusal, so nothing to explain.
NO_REFUSALS = {Reason.ORIGINAL_NOT_SEEN, Reason.ALREADY_ROLLED_BACK}
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
    for facts in (None, {"available_minor": 250, "remaining_minor": 250, "held_currency": "EUR"}):
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


@pytest.mark.parametrize("position", [1, 9, 10, 123_456, 2**63 - 1])
def test_a_cursor_leads_back_to_its_place(position: int) -> None:
    assert views.position_of(views.cursor_of(position)) == position


@pytest.mark.parametrize("position", [0, -1, 2**63])
def test_a_cursor_to_nowhere_is_refused(position: int) -> None:
    with pytest.raises(InvalidInput):
        views.position_of(views.cursor_of(position))
