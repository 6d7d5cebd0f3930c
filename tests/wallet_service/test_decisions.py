"""What each kind of command moves, and when it is refused: by the decision function alone."""

from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.commands import Command
from shared.contracts.kinds import ENTRIES, NO_ENTRY, Account, Kind, Reason, Status
from shared.money import MAX_AMOUNT_MINOR, MAX_BALANCE_MINOR
from tests.wallet_service.support import NOW, RULES, command
from wallet_service.domain.decisions import decide
from wallet_service.domain.limits import Standing, Totals, Window
from wallet_service.domain.state import Concerned, Decision, Hold, HoldState, Movement, PlayerAccount

USD, EUR = frozenset({"USD"}), frozenset({"EUR"})


UNTIL = NOW + RULES.hold_for


def decided(each: Command, cash: int = 0, reserved: int = 0, **concerned: Any) -> Decision:
    standing = Standing(RULES.values(each.currency, {}), began=dict.fromkeys(Window, Totals()))
    return decide(each, Concerned(PlayerAccount(cash, reserved), RULES, standing, **concerned), NOW)


def balances(decision: Decision) -> tuple[int, int]:
    return decision.account.cash_minor, decision.account.reserved_minor


def hold_of(remaining_minor: int) -> Hold:
    return Hold("USD", remaining_minor, UNTIL)


def posted_before(amount_minor: int, currencies: frozenset[str] = USD, **rest: Any) -> Movement:
    return Movement(currencies, amount_minor, posted_at=NOW, **rest)


def refused(decision: Decision, reason: Reason) -> bool:
    return (decision.status, decision.reason) == (Status.REFUSED, reason)


def posted(decision: Decision) -> bool:
    return (decision.status, decision.reason) == (Status.POSTED, None)


# Each kind, from cash 5000 and 2000 reserved, with 1000 asked: debited, credited, cash and reserved after.
MOVES = [
    (Kind.DEPOSIT, Account.CLEARING, Account.CASH, 6000, 2000),
    (Kind.GAME_BET, Account.CASH, Account.REVENUE, 4000, 2000),
    (Kind.GAME_PAYOUT, Account.REVENUE, Account.CASH, 6000, 2000),
    (Kind.BET_ROLLBACK, Account.REVENUE, Account.CASH, 6000, 2000),
    (Kind.PAYOUT_ROLLBACK, Account.CASH, Account.REVENUE, 4000, 2000),
    (Kind.WITHDRAWAL_HOLD, Account.CASH, Account.RESERVED, 4000, 3000),
    (Kind.WITHDRAWAL_CAPTURE, Account.RESERVED, Account.CLEARING, 5000, 1000),
    (Kind.WITHDRAWAL_RELEASE, Account.RESERVED, Account.CASH, 6000, 1000),
    (Kind.WITHDRAWAL, Account.CASH, Account.CLEARING, 4000, 2000),
    (Kind.CHARGEBACK, Account.CASH, Account.CLEARING, 4000, 2000),
    (Kind.REFUND, Account.CASH, Account.CLEARING, 4000, 2000),
    (Kind.ADJUSTMENT_CREDIT, Account.ADJUSTMENTS, Account.CASH, 6000, 2000),
    (Kind.ADJUSTMENT_DEBIT, Account.CASH, Account.ADJUSTMENTS, 4000, 2000),
    (Kind.PAYOUT_RELEASE, Account.RESERVED, Account.CASH, 6000, 1000),
]
MOVED = [kind for kind, *_ in MOVES]
ENDS_A_HOLD = {Kind.WITHDRAWAL_CAPTURE, Kind.WITHDRAWAL_RELEASE}
TAKES_BACK = {Kind.BET_ROLLBACK, Kind.PAYOUT_ROLLBACK}
NEEDS_FUNDS = [Kind.GAME_BET, Kind.WITHDRAWAL_HOLD, Kind.WITHDRAWAL, Kind.ADJUSTMENT_DEBIT]
WHATEVER_THE_BALANCE = [Kind.CHARGEBACK, Kind.REFUND]


def in_its_way(kind: Kind) -> dict[str, Any]:
    """What has to be there before a command of this kind is posted."""
    if kind in ENDS_A_HOLD:
        return {"hold": hold_of(2000)}
    if kind in TAKES_BACK:
        return {"movement": posted_before(1000)}
    if kind is Kind.PAYOUT_RELEASE:
        return {"held_minor": 1500}
    return {}


def test_the_table_of_moves_has_every_kind_with_an_entry_of_its_own() -> None:
    assert [kind for kind in Kind if ENTRIES[kind] != NO_ENTRY] == MOVED


@pytest.mark.parametrize(("kind", "debit", "credit", "cash", "reserved"), MOVES)
def test_a_kind_moves_its_amount_between_its_two_accounts(
    kind: Kind, debit: Account, credit: Account, cash: int, reserved: int
) -> None:
    decision = decided(command(kind), 5000, 2000, **in_its_way(kind))
    assert posted(decision)
    assert decision.amount_minor == 1000
    assert decision.entry == (debit, credit)
    assert balances(decision) == (cash, reserved)


@pytest.mark.parametrize("kind", list(Kind))
def test_an_expired_command_is_refused_whatever_it_asks(kind: Kind) -> None:
    for late_s in (0, 1, 3600):
        late = command(kind, expires_at=NOW - timedelta(seconds=late_s))
        decision = decided(late, 5000, 2000, **in_its_way(kind))
        assert refused(decision, Reason.EXPIRED)
        assert balances(decision) == (5000, 2000)
        assert decision.hold is None
        assert decision.movement is None


@pytest.mark.parametrize("kind", MOVED)
def test_a_command_is_in_time_until_it_expires(kind: Kind) -> None:
    in_time = command(kind, expires_at=NOW + timedelta(microseconds=1))
    assert posted(decided(in_time, 5000, 2000, **in_its_way(kind)))


@pytest.mark.parametrize("kind", NEEDS_FUNDS)
def test_what_needs_funds_takes_the_last_cent_and_not_one_more(kind: Kind) -> None:
    assert decided(command(kind, 1000), 1000).account.cash_minor == 0
    short = decided(command(kind, 1001), 1000)
    assert refused(short, Reason.INSUFFICIENT_FUNDS)
    assert short.amount_minor == 1001
    assert balances(short) == (1000, 0)
    assert short.facts == {"available_minor": 1000}
    assert short.hold is None
    assert short.movement is None


@pytest.mark.parametrize("kind", NEEDS_FUNDS)
def test_reserved_money_does_not_fund_anything(kind: Kind) -> None:
    assert refused(decided(command(kind, 1), 0, 5000), Reason.INSUFFICIENT_FUNDS)


@pytest.mark.parametrize("kind", WHATEVER_THE_BALANCE)
@pytest.mark.parametrize("next_kind", NEEDS_FUNDS)
def test_what_the_provider_took_back_may_leave_a_debt_that_refuses_the_rest(kind: Kind, next_kind: Kind) -> None:
    indebted = decided(command(kind, 1500), 1000)
    assert posted(indebted)
    assert balances(indebted) == (-500, 0)
    refusal = decided(command(next_kind, 1), *balances(indebted))
    assert refused(refusal, Reason.INSUFFICIENT_FUNDS)
    assert refusal.facts == {"available_minor": -500}


@pytest.mark.parametrize("kind", [Kind.DEPOSIT, Kind.GAME_PAYOUT, Kind.ADJUSTMENT_CREDIT])
def test_what_comes_in_pays_the_debt_first(kind: Kind) -> None:
    assert decided(command(kind, 700), -500).account.cash_minor == 200


class TestHolds:
    """The life of a hold: each command in each state."""

    STATES = (
        (HoldState.NONE, None, PlayerAccount(5000, 0)),
        (HoldState.OPEN, hold_of(1000), PlayerAccount(4000, 1000)),
        (HoldState.CLOSED, hold_of(0), PlayerAccount(4000, 0)),
    )
    OUTCOMES = (
        (Kind.WITHDRAWAL_HOLD, HoldState.NONE, None),
        (Kind.WITHDRAWAL_HOLD, HoldState.OPEN, Reason.HOLD_EXISTS),
        (Kind.WITHDRAWAL_HOLD, HoldState.CLOSED, Reason.HOLD_EXISTS),
        (Kind.WITHDRAWAL_CAPTURE, HoldState.NONE, Reason.HOLD_NOT_FOUND),
        (Kind.WITHDRAWAL_CAPTURE, HoldState.OPEN, None),
        (Kind.WITHDRAWAL_CAPTURE, HoldState.CLOSED, Reason.HOLD_CLOSED),
        (Kind.WITHDRAWAL_RELEASE, HoldState.NONE, Reason.HOLD_NOT_FOUND),
        (Kind.WITHDRAWAL_RELEASE, HoldState.OPEN, None),
        (Kind.WITHDRAWAL_RELEASE, HoldState.CLOSED, Reason.HOLD_CLOSED),
    )

    def test_the_table_has_every_command_in_every_state(self) -> None:
        kinds = {kind for kind, _, _ in self.OUTCOMES}
        assert {(kind, state) for kind, state, _ in self.OUTCOMES} == {(k, s) for k in kinds for s in HoldState}
        assert [state for state, _, _ in self.STATES] == list(HoldState)

    @pytest.mark.parametrize(("kind", "state", "reason"), OUTCOMES)
    def test_each_command_in_each_state(self, kind: Kind, state: HoldState, reason: Reason | None) -> None:
        ((hold, account),) = [(hold, account) for name, hold, account in self.STATES if name is state]
        decision = decided(command(kind, 1000), account.cash_minor, account.reserved_minor, hold=hold)
        if reason is None:
            assert posted(decision)
            assert decision.hold == hold_of(1000 if kind is Kind.WITHDRAWAL_HOLD else 0)
        else:
            assert refused(decision, reason)
            assert balances(decision) == (account.cash_minor, account.reserved_minor)
            assert decision.hold is None

    @pytest.mark.parametrize("kind", sorted(ENDS_A_HOLD))
    def test_a_hold_ends_in_parts_and_is_closed_by_the_last(self, kind: Kind) -> None:
        first = decided(command(kind, 400), 0, 1000, hold=hold_of(1000))
        assert posted(first)
        assert first.hold == hold_of(600)
        assert first.hold.state is HoldState.OPEN
        last = decided(command(kind, 600), *balances(first), hold=first.hold)
        assert posted(last)
        assert last.hold is not None
        assert last.hold.state is HoldState.CLOSED
        assert last.account.reserved_minor == 0

    @pytest.mark.parametrize("kind", sorted(ENDS_A_HOLD))
    def test_no_more_than_what_remains_leaves_a_hold(self, kind: Kind) -> None:
        # Other holds of the player's have money in reserve: it is not this one's.
        decision = decided(command(kind, 601), 0, 5000, hold=hold_of(600))
        assert refused(decision, Reason.HOLD_EXCEEDED)
        assert decision.facts == {"remaining_minor": 600}

    @pytest.mark.parametrize("kind", sorted(ENDS_A_HOLD))
    def test_a_hold_ends_in_its_own_currency(self, kind: Kind) -> None:
        decision = decided(command(kind, 100, currency="EUR"), 0, 5000, hold=hold_of(600))
        assert refused(decision, Reason.CURRENCY_MISMATCH)
        assert decision.facts == {"held_currency": "USD"}

    def test_a_hold_counts_against_funds_at_once(self) -> None:
        held = decided(command(Kind.WITHDRAWAL_HOLD, 800), 1000)
        assert balances(held) == (200, 800)
        assert refused(decided(command(Kind.GAME_BET, 201), *balances(held)), Reason.INSUFFICIENT_FUNDS)
        assert posted(decided(command(Kind.GAME_BET, 200), *balances(held)))


class TestRollbacks:
    """What takes a bet or a payout back, in whichever order they come."""

    @pytest.mark.parametrize("kind", sorted(TAKES_BACK))
    def test_before_its_original_it_moves_nothing_and_leaves_a_tombstone(self, kind: Kind) -> None:
        early = decided(command(kind), 5000)
        assert (early.status, early.reason) == (Status.POSTED, Reason.ORIGINAL_NOT_SEEN)
        assert early.amount_minor == 0
        assert balances(early) == (5000, 0)
        assert early.facts == {"asked_minor": 1000}
        assert early.movement == Movement(cancelled=True)

    def test_the_tombstone_refuses_the_late_bet(self) -> None:
        late = decided(command(Kind.GAME_BET), 5000, movement=Movement(cancelled=True))
        assert refused(late, Reason.ROUND_CANCELLED)
        assert balances(late) == (5000, 0)

    def test_the_tombstone_of_a_bet_refuses_its_payout_too(self) -> None:
        assert refused(decided(command(Kind.GAME_PAYOUT), bet_cancelled=True), Reason.ROUND_CANCELLED)

    def test_the_tombstone_of_a_payout_refuses_the_late_payout(self) -> None:
        late = decided(command(Kind.GAME_PAYOUT), movement=Movement(cancelled=True))
        assert refused(late, Reason.ROUND_CANCELLED)

    def test_the_tombstone_is_looked_at_before_the_funds(self) -> None:
        assert refused(decided(command(Kind.GAME_BET), movement=Movement(cancelled=True)), Reason.ROUND_CANCELLED)

    @pytest.mark.parametrize("kind", sorted(TAKES_BACK))
    def test_a_second_one_moves_nothing(self, kind: Kind) -> None:
        again = decided(command(kind), 5000, movement=posted_before(1000, returned_minor=1000, cancelled=True))
        assert (again.status, again.reason) == (Status.POSTED, Reason.ALREADY_ROLLED_BACK)
        assert again.amount_minor == 0
        assert balances(again) == (5000, 0)

    @pytest.mark.parametrize("kind", sorted(TAKES_BACK))
    def test_in_parts_it_takes_back_no_more_than_was_posted(self, kind: Kind) -> None:
        first = decided(command(kind, 400), 5000, movement=posted_before(1000))
        assert posted(first)
        assert first.movement == posted_before(1000, returned_minor=400, cancelled=True)
        too_much = decided(command(kind, 601), 5000, movement=first.movement)
        assert refused(too_much, Reason.ROLLBACK_EXCEEDS_ORIGINAL)
        assert too_much.facts == {"remaining_minor": 600}
        assert too_much.movement is None
        rest = decided(command(kind, 600), 5000, movement=first.movement)
        assert posted(rest)
        assert rest.movement == posted_before(1000, returned_minor=1000, cancelled=True)

    @pytest.mark.parametrize("kind", sorted(TAKES_BACK))
    def test_of_another_currency_it_is_refused(self, kind: Kind) -> None:
        decision = decided(command(kind, currency="EUR"), 5000, movement=posted_before(1000))
        assert refused(decision, Reason.CURRENCY_MISMATCH)
        assert decision.facts == {"posted_currency": "USD"}
        assert decision.movement is None

    @pytest.mark.parametrize("currency", ["EUR", "USD"])
    def test_where_two_currencies_were_posted_amounts_are_never_added(self, currency: str) -> None:
        decision = decided(
            command(Kind.BET_ROLLBACK, 1500, currency=currency), 5000, movement=posted_before(2000, USD | EUR)
        )
        assert refused(decision, Reason.CURRENCY_MISMATCH)
        assert decision.facts == {"posted_currency": "EUR,USD"}

    def test_of_a_win_that_was_spent_it_leaves_a_debt(self) -> None:
        decision = decided(command(Kind.PAYOUT_ROLLBACK), 300, movement=posted_before(1000))
        assert posted(decision)
        assert balances(decision) == (-700, 0)

    def test_bets_and_payouts_under_one_reference_add_up(self) -> None:
        for kind in (Kind.GAME_BET, Kind.GAME_PAYOUT):
            decision = decided(command(kind, 250), 5000, movement=posted_before(1000))
            assert decision.movement == posted_before(1250)


class TestOverflow:
    """A balance is never more than PostgreSQL's bigint holds."""

    @pytest.mark.parametrize("kind", [Kind.DEPOSIT, Kind.GAME_PAYOUT, Kind.ADJUSTMENT_CREDIT])
    def test_cash_stops_at_the_top(self, kind: Kind) -> None:
        assert decided(command(kind, 1), MAX_BALANCE_MINOR - 1).account.cash_minor == MAX_BALANCE_MINOR
        over = decided(command(kind, 1), MAX_BALANCE_MINOR)
        assert refused(over, Reason.BALANCE_OVERFLOW)
        assert balances(over) == (MAX_BALANCE_MINOR, 0)
        assert over.movement is None

    @pytest.mark.parametrize("kind", WHATEVER_THE_BALANCE)
    def test_a_debt_stops_at_the_bottom(self, kind: Kind) -> None:
        assert posted(decided(command(kind, 1), 1 - MAX_BALANCE_MINOR))
        assert refused(decided(command(kind, 1), -MAX_BALANCE_MINOR), Reason.BALANCE_OVERFLOW)

    def test_reserved_money_stops_at_the_top(self) -> None:
        over = decided(command(Kind.WITHDRAWAL_HOLD, MAX_AMOUNT_MINOR), MAX_AMOUNT_MINOR, MAX_BALANCE_MINOR - 1)
        assert refused(over, Reason.BALANCE_OVERFLOW)
        assert over.hold is None

    def test_a_rollback_that_would_overflow_leaves_the_round_as_it_was(self) -> None:
        over = decided(command(Kind.BET_ROLLBACK), MAX_BALANCE_MINOR, movement=posted_before(1000))
        assert refused(over, Reason.BALANCE_OVERFLOW)
        assert over.movement is None

    def test_a_release_that_would_overflow_leaves_the_hold_open(self) -> None:
        over = decided(command(Kind.WITHDRAWAL_RELEASE), MAX_BALANCE_MINOR, 1000, hold=hold_of(1000))
        assert refused(over, Reason.BALANCE_OVERFLOW)
        assert over.hold is None
