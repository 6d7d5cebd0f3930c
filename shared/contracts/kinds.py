"""The fixed table of transaction kinds: which account each debits, which it credits.

A balance is credits minus debits, on every account. A player's cash is what the operator owes the player,
so it is positive; clearing accounts mirror it and are negative. The sum over all accounts is zero.
"""

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a command asks for, and what a journal row records."""

    # As its text's. An enum's own is a function in Python, and a kind is looked up a dozen times a command.
    __hash__ = str.__hash__

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
    REVERSAL = "REVERSAL"
    PAYOUT_RELEASE = "PAYOUT_RELEASE"
    DISPUTE = "DISPUTE"
    DISPUTE_RESOLUTION = "DISPUTE_RESOLUTION"
    LIMIT_OVERRIDE = "LIMIT_OVERRIDE"
    LIMIT_OVERRIDE_REMOVAL = "LIMIT_OVERRIDE_REMOVAL"
    LIMIT_REQUEST = "LIMIT_REQUEST"
    LIMIT_CONFIRMATION = "LIMIT_CONFIRMATION"
    LIMIT_REVOCATION = "LIMIT_REVOCATION"
    EXCLUSION = "EXCLUSION"
    EXCLUSION_END = "EXCLUSION_END"
    KYC_TIER = "KYC_TIER"
    FRAUD_BLOCK = "FRAUD_BLOCK"
    FRAUD_UNBLOCK = "FRAUD_UNBLOCK"


class Account(StrEnum):
    """A class of accounts. CASH and RESERVED are per player; CLEARING is per payment provider.

    NONE stands on rows that move nothing: what changes a limit, what marks a transaction as disputed.
    """

    CASH = "cash"
    RESERVED = "reserved"
    REVENUE = "revenue"
    CLEARING = "clearing"
    ADJUSTMENTS = "adjustments"
    NONE = "none"


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
    CURRENCY_NOT_ALLOWED = "CURRENCY_NOT_ALLOWED"
    MAX_BET_EXCEEDED = "MAX_BET_EXCEEDED"
    DAILY_DEPOSIT_LIMIT = "DAILY_DEPOSIT_LIMIT"
    WEEKLY_DEPOSIT_LIMIT = "WEEKLY_DEPOSIT_LIMIT"
    MONTHLY_DEPOSIT_LIMIT = "MONTHLY_DEPOSIT_LIMIT"
    DAILY_LOSS_LIMIT = "DAILY_LOSS_LIMIT"
    WEEKLY_LOSS_LIMIT = "WEEKLY_LOSS_LIMIT"
    MONTHLY_LOSS_LIMIT = "MONTHLY_LOSS_LIMIT"
    DAILY_WAGER_LIMIT = "DAILY_WAGER_LIMIT"
    WEEKLY_WAGER_LIMIT = "WEEKLY_WAGER_LIMIT"
    MONTHLY_WAGER_LIMIT = "MONTHLY_WAGER_LIMIT"
    WITHDRAWAL_COOLDOWN = "WITHDRAWAL_COOLDOWN"
    PAYOUT_HELD = "PAYOUT_HELD"
    PAYOUT_NOT_HELD = "PAYOUT_NOT_HELD"
    RELEASE_EXCEEDS_HELD = "RELEASE_EXCEEDS_HELD"
    ORIGINAL_NOT_FOUND = "ORIGINAL_NOT_FOUND"
    NOT_REVERSIBLE = "NOT_REVERSIBLE"
    PROVIDER_MISMATCH = "PROVIDER_MISMATCH"
    ALREADY_REVERSED = "ALREADY_REVERSED"
    REVERSAL_EXCEEDS_ORIGINAL = "REVERSAL_EXCEEDS_ORIGINAL"
    ALREADY_DISPUTED = "ALREADY_DISPUTED"
    NOT_DISPUTED = "NOT_DISPUTED"
    NO_OVERRIDE = "NO_OVERRIDE"
    NO_PENDING_RAISE = "NO_PENDING_RAISE"
    RAISE_WAITS = "RAISE_WAITS"
    SELF_EXCLUDED = "SELF_EXCLUDED"
    NOT_EXCLUDED = "NOT_EXCLUDED"
    EXCLUSION_SHORTENED = "EXCLUSION_SHORTENED"
    EXCLUSION_PERMANENT = "EXCLUSION_PERMANENT"
    KYC_REQUIRED = "KYC_REQUIRED"
    TIER_UNKNOWN = "TIER_UNKNOWN"
    FRAUD_BLOCKED = "FRAUD_BLOCKED"
    NOT_BLOCKED = "NOT_BLOCKED"
    BLOCK_SHORTENED = "BLOCK_SHORTENED"
    # The two below stand on posted rollbacks of amount zero.
    ORIGINAL_NOT_SEEN = "ORIGINAL_NOT_SEEN"
    ALREADY_ROLLED_BACK = "ALREADY_ROLLED_BACK"


class Entry(NamedTuple):
    """One double entry: what is debited, what is credited."""

    debit: Account
    credit: Account


NO_ENTRY = Entry(Account.NONE, Account.NONE)

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
    # A reversal posts the reverse of its original's entry; where it is refused, it has none.
    Kind.REVERSAL: NO_ENTRY,
    Kind.PAYOUT_RELEASE: Entry(Account.RESERVED, Account.CASH),
    Kind.DISPUTE: NO_ENTRY,
    Kind.DISPUTE_RESOLUTION: NO_ENTRY,
    Kind.LIMIT_OVERRIDE: NO_ENTRY,
    Kind.LIMIT_OVERRIDE_REMOVAL: NO_ENTRY,
    Kind.LIMIT_REQUEST: NO_ENTRY,
    Kind.LIMIT_CONFIRMATION: NO_ENTRY,
    Kind.LIMIT_REVOCATION: NO_ENTRY,
    Kind.EXCLUSION: NO_ENTRY,
    Kind.EXCLUSION_END: NO_ENTRY,
    Kind.KYC_TIER: NO_ENTRY,
    Kind.FRAUD_BLOCK: NO_ENTRY,
    Kind.FRAUD_UNBLOCK: NO_ENTRY,
}

GAME_KINDS = frozenset({Kind.GAME_BET, Kind.GAME_PAYOUT, Kind.BET_ROLLBACK, Kind.PAYOUT_ROLLBACK})
ADJUSTMENT_KINDS = frozenset({Kind.ADJUSTMENT_CREDIT, Kind.ADJUSTMENT_DEBIT})
HOLD_KINDS = frozenset({Kind.WITHDRAWAL_HOLD, Kind.WITHDRAWAL_CAPTURE, Kind.WITHDRAWAL_RELEASE})
DISPUTE_KINDS = frozenset({Kind.DISPUTE, Kind.DISPUTE_RESOLUTION})
OVERRIDE_KINDS = frozenset({Kind.LIMIT_OVERRIDE, Kind.LIMIT_OVERRIDE_REMOVAL})
# A player's own limits.
REQUEST_KINDS = frozenset({Kind.LIMIT_REQUEST, Kind.LIMIT_CONFIRMATION, Kind.LIMIT_REVOCATION})
LIMIT_KINDS = OVERRIDE_KINDS | REQUEST_KINDS
EXCLUSION_KINDS = frozenset({Kind.EXCLUSION, Kind.EXCLUSION_END})
BLOCK_KINDS = frozenset({Kind.FRAUD_BLOCK, Kind.FRAUD_UNBLOCK})
# About the player, in no currency.
PLAYER_KINDS = EXCLUSION_KINDS | BLOCK_KINDS | {Kind.KYC_TIER}
# Each rollback, and the kind that it takes back.
ROLLBACKS = {Kind.BET_ROLLBACK: Kind.GAME_BET, Kind.PAYOUT_ROLLBACK: Kind.GAME_PAYOUT}
# A bet or payout is taken back by a rollback, and a hold by its release.
REVERSIBLE = frozenset(
    {Kind.DEPOSIT, Kind.WITHDRAWAL, Kind.WITHDRAWAL_CAPTURE, Kind.CHARGEBACK, Kind.REFUND} | ADJUSTMENT_KINDS
)
MOVES_NOTHING = DISPUTE_KINDS | LIMIT_KINDS | PLAYER_KINDS

NEEDS_PROVIDER = frozenset(kind for kind, entry in ENTRIES.items() if Account.CLEARING in entry)
# Its `reference_id` is the id of another transaction.
NEEDS_ORIGINAL = DISPUTE_KINDS | {Kind.REVERSAL}
NEEDS_REFERENCE = (
    GAME_KINDS | HOLD_KINDS | NEEDS_ORIGINAL | LIMIT_KINDS | EXCLUSION_KINDS | {Kind.KYC_TIER, Kind.PAYOUT_RELEASE}
)
NEEDS_REASON = ADJUSTMENT_KINDS | NEEDS_ORIGINAL | OVERRIDE_KINDS | PLAYER_KINDS | {Kind.PAYOUT_RELEASE}
