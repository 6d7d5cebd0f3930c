"""The fixed table of transaction kinds: which account each debits, which it credits.

A balance is credits minus debits, on every account. A player's cash is what the operator owes the player,
so it is positive; clearing accounts mirror it and are negative. The sum over all accounts is zero.
"""

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a command asks for, and what a journal row records."""

    DEPOSIT = "DEPOSIT"
    GAME_BET = "GAME_BET"
    GAME_PAYOUT = "GAME_PAYOUT"
    BET_ROLLBACK = "BET_ROLLBACK"
    PAYOUT_ROLLBACK = "PAYOUT_ROLLBACK"
    WITHDRAWAL_HOLD = "WITHDRAWAL_HOLD"
    WITHDRAWAL_CAPTURE = "WITHDRAWAL_CAPTURE"
    WITHDRAWAL_RELEASE = "WITHDRAWAL_RELEASE"
    WITHDRAWAL = "WITHDRAWAL"
    CHARGEBACK = "CHARGEBACK"
    REFUND = "REFUND"
    ADJUSTMENT_CREDIT = "ADJUSTMENT_CREDIT"
    ADJUSTMENT_DEBIT = "ADJUSTMENT_DEBIT"


class Account(StrEnum):
    """A class of accounts. CASH and RESERVED are per player; CLEARING is per payment provider."""

    CASH = "cash"
    RESERVED = "reserved"
    REVENUE = "revenue"
    CLEARING = "clearing"
    ADJUSTMENTS = "adjustments"


class Status(StrEnum):
    """How a command was decided."""

    POSTED = "posted"
    REFUSED = "refused"


class Reason(StrEnum):
    """Why a row is refused, or why a posted rollback moved nothing. Stable: part of the contract."""

    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    EXPIRED = "EXPIRED"
    ROUND_CANCELLED = "ROUND_CANCELLED"
    CURRENCY_MISMATCH = "CURRENCY_MISMATCH"
    ROLLBACK_EXCEEDS_ORIGINAL = "ROLLBACK_EXCEEDS_ORIGINAL"
    HOLD_EXISTS = "HOLD_EXISTS"
    HOLD_NOT_FOUND = "HOLD_NOT_FOUND"
    HOLD_CLOSED = "HOLD_CLOSED"
    HOLD_EXCEEDED = "HOLD_EXCEEDED"
    BALANCE_OVERFLOW = "BALANCE_OVERFLOW"
    # The two below stand on posted rollbacks of amount zero.
    ORIGINAL_NOT_SEEN = "ORIGINAL_NOT_SEEN"
    ALREADY_ROLLED_BACK = "ALREADY_ROLLED_BACK"


class Entry(NamedTuple):
    """One double entry: what is debited, what is credited."""

    debit: Account
    credit: Account


ENTRIES: dict[Kind, Entry] = {
    Kind.DEPOSIT: Entry(Account.CLEARING, Account.CASH),
    Kind.GAME_BET: Entry(Account.CASH, Account.REVENUE),
    Kind.GAME_PAYOUT: Entry(Account.REVENUE, Account.CASH),
    Kind.BET_ROLLBACK: Entry(Account.REVENUE, Account.CASH),
    Kind.PAYOUT_ROLLBACK: Entry(Account.CASH, Account.REVENUE),
    Kind.WITHDRAWAL_HOLD: Entry(Account.CASH, Account.RESERVED),
    Kind.WITHDRAWAL_CAPTURE: Entry(Account.RESERVED, Account.CLEARING),
    Kind.WITHDRAWAL_RELEASE: Entry(Account.RESERVED, Account.CASH),
    Kind.WITHDRAWAL: Entry(Account.CASH, Account.CLEARING),
    Kind.CHARGEBACK: Entry(Account.CASH, Account.CLEARING),
    Kind.REFUND: Entry(Account.CASH, Account.CLEARING),
    Kind.ADJUSTMENT_CREDIT: Entry(Account.ADJUSTMENTS, Account.CASH),
    Kind.ADJUSTMENT_DEBIT: Entry(Account.CASH, Account.ADJUSTMENTS),
}

GAME_KINDS = frozenset({Kind.GAME_BET, Kind.GAME_PAYOUT, Kind.BET_ROLLBACK, Kind.PAYOUT_ROLLBACK})
ADJUSTMENT_KINDS = frozenset({Kind.ADJUSTMENT_CREDIT, Kind.ADJUSTMENT_DEBIT})
HOLD_KINDS = frozenset({Kind.WITHDRAWAL_HOLD, Kind.WITHDRAWAL_CAPTURE, Kind.WITHDRAWAL_RELEASE})
# Each rollback, and the kind that it takes back.
ROLLBACKS = {Kind.BET_ROLLBACK: Kind.GAME_BET, Kind.PAYOUT_ROLLBACK: Kind.GAME_PAYOUT}

NEEDS_PROVIDER = frozenset(kind for kind, entry in ENTRIES.items() if Account.CLEARING in entry)
NEEDS_REFERENCE = GAME_KINDS | HOLD_KINDS
NEEDS_REASON = ADJUSTMENT_KINDS
