"""Reversals and disputes: what takes another transaction back, or marks it, by the decision function alone."""

from typing import Any

import pytest

from shared.contracts.kinds import ENTRIES, NO_ENTRY, REVERSIBLE, Account, Entry, Kind, Reason, Status
from tests.wallet_service.support import NOW, RULES, command
from wallet_service.domain import corrections
from wallet_service.domain.limits import Standing, Totals
from wallet_service.domain.state import Concerned, CountedBack, Decision, DisputeState, Original, PlayerAccount

CASH = PlayerAccount(5000, 0, Totals(deposits_minor=9000))


def original(kind: Kind = Kind.DEPOSIT, **fields: Any) -> Original:
    """A transaction of 1000 USD."""
    given: dict[str, Any] = {
        **{"kind": kind, "status": Status.POSTED, "user_id": 42, "amount_minor": 1000, "currency": "USD"},
        **{"entry": ENTRIES[kind], "provider": "stripe", "posted_at": NOW},
    }
    return Original(**given | fields)


def reversed_by(amount: int, of: Original | None, account: PlayerAccount = CASH, **fields: Any) -> Decision:
    reversal = command(Kind.REVERSAL, amount, **{"provider": "stripe"} | fields)
    return corrections.reverse(reversal, Concerned(account, RULES, Standing(None), original=of), NOW)


# Each kind that can be reversed: debited, credited, and cash after 400 of it came back to 5000.
REVERSALS = (
    (Kind.DEPOSIT, Account.CASH, Account.CLEARING, 4600),
    (Kind.WITHDRAWAL, Account.CLEARING, Account.CASH, 5400),
    (Kind.WITHDRAWAL_CAPTURE, Account.CLEARING, Account.CASH, 5400),
    (Kind.CHARGEBACK, Account.CLEARING, Account.CASH, 5400),
    (Kind.REFUND, Account.CLEARING, Account.CASH, 5400),
    (Kind.ADJUSTMENT_CREDIT, Account.CASH, Account.ADJUSTMENTS, 4600),
    (Kind.ADJUSTMENT_DEBIT, Account.ADJUSTMENTS, Account.CASH, 5400),
)


@pytest.mark.parametrize(("kind", "debit", "credit", "cash"), REVERSALS)
def test_a_reversal_is_the_reverse_movement(kind: Kind, debit: Account, credit: Account, cash: int) -> None:
    decision = reversed_by(400, original(kind))
    assert (decision.status, decision.reason, decision.amount_minor) == (Status.POSTED, None, 400)
    assert decision.entry == Entry(debit, credit)
    assert decision.account[:2] == (cash, 0)
    assert decision.original == original(kind, reversed_minor=400)


@pytest.mark.parametrize("kind", list(Kind))
def test_what_is_taken_back_otherwise_is_not_reversed(kind: Kind) -> None:
    reason = reversed_by(400, original(kind)).reason
    assert reason == (None if kind in {each for each, *_ in REVERSALS} else Reason.NOT_REVERSIBLE)
    assert {each for each, *_ in REVERSALS} == REVERSIBLE


REFUSALS: tuple[tuple[Original | None, int, dict[str, int], Reason], ...] = (
    (None, 1000, {}, Reason.ORIGINAL_NOT_FOUND),
    (original(user_id=43), 1000, {}, Reason.ORIGINAL_NOT_FOUND),
    (original(status=Status.REFUSED), 1000, {}, Reason.NOT_REVERSIBLE),
    (original(provider="adyen"), 1000, {}, Reason.PROVIDER_MISMATCH),
    (original(provider=None), 1000, {}, Reason.PROVIDER_MISMATCH),
    (original(currency="EUR"), 1000, {}, Reason.CURRENCY_MISMATCH),
    (original(reversed_minor=1000), 1, {}, Reason.ALREADY_REVERSED),
    (original(reversed_minor=600), 401, {"remaining_minor": 400}, Reason.REVERSAL_EXCEEDS_ORIGINAL),
    (original(amount_minor=6000), 5001, {"available_minor": 5000}, Reason.INSUFFICIENT_FUNDS),
    (original(Kind.ADJUSTMENT_CREDIT, amount_minor=6000), 5001, {"available_minor": 5000}, Reason.INSUFFICIENT_FUNDS),
)


@pytest.mark.parametrize(("of", "amount", "facts", "reason"), REFUSALS)
def test_what_cannot_be_reversed_moves_nothing(
    of: Original | None, amount: int, facts: dict[str, int], reason: Reason
) -> None:
    decision = reversed_by(amount, of)
    assert (decision.status, decision.reason) == (Status.REFUSED, reason)
    assert (decision.amount_minor, decision.entry, decision.account) == (0, NO_ENTRY, CASH)
    assert (decision.original, decision.counted_back) == (None, None)
    assert decision.facts is not None
    assert decision.facts["asked_minor"] == amount
    assert decision.facts.items() >= facts.items()


def test_a_deposit_that_is_reversed_is_counted_back_where_it_was_counted() -> None:
    decision = reversed_by(400, original())
    assert decision.counted_back == CountedBack(NOW, Totals(deposits_minor=400))
    assert decision.account.totals == Totals(deposits_minor=8600)


@pytest.mark.parametrize("kind", [each for each, *_ in REVERSALS if each is not Kind.DEPOSIT])
def test_nothing_else_that_is_reversed_had_been_counted(kind: Kind) -> None:
    assert reversed_by(400, original(kind)).account.totals == CASH.totals


class TestDisputes:
    """The life of a dispute: each command in each state."""

    OUTCOMES = (
        (Kind.DISPUTE, DisputeState.NONE, DisputeState.OPEN),
        (Kind.DISPUTE, DisputeState.OPEN, Reason.ALREADY_DISPUTED),
        (Kind.DISPUTE, DisputeState.RESOLVED, DisputeState.OPEN),
        (Kind.DISPUTE_RESOLUTION, DisputeState.NONE, Reason.NOT_DISPUTED),
        (Kind.DISPUTE_RESOLUTION, DisputeState.OPEN, DisputeState.RESOLVED),
        (Kind.DISPUTE_RESOLUTION, DisputeState.RESOLVED, Reason.NOT_DISPUTED),
    )

    def test_the_table_has_every_command_in_every_state(self) -> None:
        kinds = {kind for kind, _, _ in self.OUTCOMES}
        assert {(kind, state) for kind, state, _ in self.OUTCOMES} == {(k, s) for k in kinds for s in DisputeState}

    @pytest.mark.parametrize(("kind", "state", "after"), OUTCOMES)
    @pytest.mark.parametrize("amount", [0, 1000])
    def test_each_command_in_each_state(
        self, kind: Kind, state: DisputeState, after: DisputeState | Reason, amount: int
    ) -> None:
        concerned = Concerned(CASH, RULES, Standing(None), original=original(dispute=state))
        decision = corrections.dispute(command(kind, amount), concerned, NOW)
        assert (decision.amount_minor, decision.entry, decision.account) == (0, NO_ENTRY, CASH)
        assert decision.facts == ({"asked_minor": amount} if amount else None)
        if isinstance(after, Reason):
            assert (decision.status, decision.reason, decision.original) == (Status.REFUSED, after, None)
        else:
            assert (decision.status, decision.reason) == (Status.POSTED, None)
            assert decision.original == original(dispute=after)

    @pytest.mark.parametrize("kind", [Kind.DISPUTE, Kind.DISPUTE_RESOLUTION])
    @pytest.mark.parametrize("of", [None, original(user_id=43, dispute=DisputeState.OPEN)])
    def test_only_the_players_own_transaction_is_disputed(self, kind: Kind, of: Original | None) -> None:
        decision = corrections.dispute(command(kind), Concerned(CASH, RULES, Standing(None), original=of), NOW)
        assert (decision.status, decision.reason) == (Status.REFUSED, Reason.ORIGINAL_NOT_FOUND)

    @pytest.mark.parametrize("kind", list(Kind))
    @pytest.mark.parametrize("status", list(Status))
    def test_whatever_was_decided_can_be_disputed(self, kind: Kind, status: Status) -> None:
        concerned = Concerned(CASH, RULES, Standing(None), original=original(kind, status=status))
        assert corrections.dispute(command(Kind.DISPUTE), concerned, NOW).status is Status.POSTED
