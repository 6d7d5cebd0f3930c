"""The table of kinds: every movement is one double entry."""

import pytest

from shared.contracts.kinds import ENTRIES, MOVES_NOTHING, NEEDS_PROVIDER, NO_ENTRY, ROLLBACKS, Account, Entry, Kind


def test_every_kind_has_its_entry() -> None:
    assert set(ENTRIES) == set(Kind)


@pytest.mark.parametrize("kind", [kind for kind in Kind if ENTRIES[kind] != NO_ENTRY])
def test_an_entry_moves_between_two_accounts(kind: Kind) -> None:
    assert ENTRIES[kind].debit is not ENTRIES[kind].credit


def test_what_has_no_entry_moves_nothing_or_has_its_originals() -> None:
    assert {kind for kind in Kind if ENTRIES[kind] == NO_ENTRY} == MOVES_NOTHING | {Kind.REVERSAL}


@pytest.mark.parametrize("kind", [kind for kind in Kind if ENTRIES[kind] != NO_ENTRY])
def test_every_entry_touches_the_player(kind: Kind) -> None:
    assert {Account.CASH, Account.RESERVED} & set(ENTRIES[kind])


@pytest.mark.parametrize(("rollback", "original"), ROLLBACKS.items())
def test_a_rollback_is_the_reverse_of_what_it_takes_back(rollback: Kind, original: Kind) -> None:
    assert ENTRIES[rollback] == Entry(ENTRIES[original].credit, ENTRIES[original].debit)


def test_what_moves_money_in_or_out_names_its_provider() -> None:
    assert {
        Kind.DEPOSIT,
        Kind.WITHDRAWAL,
        Kind.WITHDRAWAL_CAPTURE,
        Kind.CHARGEBACK,
        Kind.REFUND,
    } == NEEDS_PROVIDER
