"""Corrections: what was posted is reversed by a row of its own, and what is doubted is marked by one; never edited."""

from datetime import datetime

from shared.contracts.commands import Command
from shared.contracts.kinds import REVERSIBLE, Account, Entry, Kind, Reason, Status
from wallet_service.domain.state import (
    Concerned,
    Decision,
    DisputeState,
    Facts,
    Original,
    counted_back,
    noted,
    posted,
    refused,
)


def reverse(command: Command, concerned: Concerned, now: datetime) -> Decision:
    """Take back another transaction, in part or in full; never more than it moved, nor more than the player has."""
    original = concerned.original
    if original is None or original.user_id != command.user_id:
        return refused(command, concerned, Reason.ORIGINAL_NOT_FOUND)
    if (refusal := _not_reversible(command, original)) is not None:
        return refused(command, concerned, refusal)
    if original.currency != command.currency:
        return refused(command, concerned, Reason.CURRENCY_MISMATCH, posted_currency=original.currency)
    remaining = original.amount_minor - original.reversed_minor
    if remaining == 0:
        return refused(command, concerned, Reason.ALREADY_REVERSED)
    if command.amount_minor > remaining:
        return refused(command, concerned, Reason.REVERSAL_EXCEEDS_ORIGINAL, remaining_minor=remaining)
    entry = _reversed(original.entry)
    cash = concerned.account.cash_minor
    if entry.debit is Account.CASH and cash < command.amount_minor:
        return refused(command, concerned, Reason.INSUFFICIENT_FUNDS, available_minor=cash)
    after = original._replace(reversed_minor=original.reversed_minor + command.amount_minor)
    # For whoever adds up the journal: the row alone then says what it takes back.
    facts: Facts = {"reversed_kind": original.kind.value}
    decision = posted(command, concerned, now, entry=entry, original=after, facts=facts)
    return counted_back(decision, original.kind, original.posted_at)


def _not_reversible(command: Command, original: Original) -> Reason | None:
    if original.status is not Status.POSTED or original.kind not in REVERSIBLE:
        return Reason.NOT_REVERSIBLE
    return Reason.PROVIDER_MISMATCH if original.provider != command.provider else None


def _reversed(entry: Entry) -> Entry:
    # What a capture took from reserved comes back as cash: its hold is over.
    credit = Account.CASH if entry.debit is Account.RESERVED else entry.debit
    return Entry(entry.credit, credit)


def dispute(command: Command, concerned: Concerned, now: datetime) -> Decision:
    """Mark another transaction as disputed, or its dispute as resolved."""
    original = concerned.original
    if original is None or original.user_id != command.user_id:
        return refused(command, concerned, Reason.ORIGINAL_NOT_FOUND)
    after = _DISPUTES[command.kind, original.dispute]
    if isinstance(after, Reason):
        return refused(command, concerned, after)
    return noted(command, concerned)._replace(original=original._replace(dispute=after))


# The life of a dispute: each command against each state; the state after it, or why not.
_DISPUTES: dict[tuple[Kind, DisputeState], DisputeState | Reason] = {
    (Kind.DISPUTE, DisputeState.NONE): DisputeState.OPEN,
    (Kind.DISPUTE, DisputeState.OPEN): Reason.ALREADY_DISPUTED,
    (Kind.DISPUTE, DisputeState.RESOLVED): DisputeState.OPEN,
    (Kind.DISPUTE_RESOLUTION, DisputeState.NONE): Reason.NOT_DISPUTED,
    (Kind.DISPUTE_RESOLUTION, DisputeState.OPEN): DisputeState.RESOLVED,
    (Kind.DISPUTE_RESOLUTION, DisputeState.RESOLVED): Reason.NOT_DISPUTED,
}
