"""Decisions: one pure function per command over plain values. No I/O, no clock, no exception for a refusal.

`decide` looks at a command and at what it concerns, and returns a `Decision`: what the journal row says, and the state
after it. `domain.batch` applies decisions one after another, so that two commands of one batch cannot both
spend the same money.
"""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from shared.contracts.commands import Command
from shared.contracts.kinds import ENTRIES, Account, Entry, Kind, Reason, Status
from shared.money import MAX_BALANCE_MINOR


class PlayerAccount(NamedTuple):
    """A player's money in one currency: what is free, and what holds have set aside. Minor units."""

    cash_minor: int = 0
    reserved_minor: int = 0


class HoldState(StrEnum):
    """The states of a hold. `NONE`: there is no such hold."""

    NONE = "none"
    OPEN = "open"
    CLOSED = "closed"


class Hold(NamedTuple):
    """Money set aside for a withdrawal: what of it is still to be captured or released. Minor units."""

    currency: str
    remaining_minor: int

    @property
    def state(self) -> HoldState:
        """Open while something remains."""
        return HoldState.OPEN if self.remaining_minor else HoldState.CLOSED


class Movement(NamedTuple):
    """What was posted under one reference and kind, and what of it was taken back. Minor units.

    `currencies`: in which it was posted; more than one cannot be taken back as one amount.
    `cancelled`: a rollback was decided, so nothing more is posted under this reference, and what comes late is refused.
    """

    currencies: frozenset[str] = frozenset()
    posted_minor: int = 0
    returned_minor: int = 0
    cancelled: bool = False


class Concerned(NamedTuple):
    """What one command concerns, as it stands before the decision."""

    account: PlayerAccount
    hold: Hold | None = None
    # Of a bet or payout: the movement under its own reference. Of a rollback: the one that it takes back.
    movement: Movement = Movement()
    # Of a payout: whether the bet of its reference was cancelled.
    bet_cancelled: bool = False


class Decision(NamedTuple):
    """What the journal row says, and the state after it. A refusal leaves every state as it was."""

    status: Status
    reason: Reason | None
    amount_minor: int
    entry: Entry
    account: PlayerAccount
    hold: Hold | None = None
    movement: Movement | None = None
    facts: dict[str, int | str] | None = None


def decide(command: Command, concerned: Concerned, now: datetime) -> Decision:
    """The decision on one command. `now` is the batch's time, by the database's clock."""
    if command.expires_at is not None and command.expires_at <= now:
        return _refused(command, concerned, Reason.EXPIRED)
    return _DECIDE[command.kind](command, concerned)


def _refused(command: Command, concerned: Concerned, reason: Reason, **facts: int | str) -> Decision:
    return Decision(
        Status.REFUSED, reason, command.amount_minor, ENTRIES[command.kind], concerned.account, facts=facts or None
    )


def _posted(
    command: Command, concerned: Concerned, *, hold: Hold | None = None, movement: Movement | None = None
) -> Decision:
    entry = ENTRIES[command.kind]
    account = _moved(concerned.account, entry, command.amount_minor)
    if max(account) > MAX_BALANCE_MINOR or min(account) < -MAX_BALANCE_MINOR:
        return _refused(command, concerned, Reason.BALANCE_OVERFLOW)
    return Decision(Status.POSTED, None, command.amount_minor, entry, account, hold, movement)


def _moved(account: PlayerAccount, entry: Entry, amount_minor: int) -> PlayerAccount:
    cash, reserved = account
    if entry.debit is Account.CASH:
        cash -= amount_minor
    elif entry.debit is Account.RESERVED:
        reserved -= amount_minor
    if entry.credit is Account.CASH:
        cash += amount_minor
    elif entry.credit is Account.RESERVED:
        reserved += amount_minor
    return PlayerAccount(cash, reserved)


def _lacks_funds(command: Command, concerned: Concerned) -> Decision | None:
    cash = concerned.account.cash_minor
    if cash < command.amount_minor:
        return _refused(command, concerned, Reason.INSUFFICIENT_FUNDS, available_minor=cash)
    return None


def _unconditional(command: Command, concerned: Concerned) -> Decision:
    # What the provider has already moved is recorded, even where it leaves the player owing.
    return _posted(command, concerned)


def _funded(command: Command, concerned: Concerned) -> Decision:
    return _lacks_funds(command, concerned) or _posted(command, concerned)


def _bet(command: Command, concerned: Concerned) -> Decision:
    movement = concerned.movement
    if movement.cancelled:
        return _refused(command, concerned, Reason.ROUND_CANCELLED)
    return _lacks_funds(command, concerned) or _posted(command, concerned, movement=_more(command, movement))


def _payout(command: Command, concerned: Concerned) -> Decision:
    movement = concerned.movement
    if movement.cancelled or concerned.bet_cancelled:
        return _refused(command, concerned, Reason.ROUND_CANCELLED)
    return _posted(command, concerned, movement=_more(command, movement))


def _more(command: Command, movement: Movement) -> Movement:
    posted_minor = movement.posted_minor + command.amount_minor
    currencies = movement.currencies | {command.currency}
    return Movement(currencies, posted_minor, movement.returned_minor, movement.cancelled)


def _rollback(command: Command, concerned: Concerned) -> Decision:
    movement = concerned.movement
    if movement.posted_minor == 0:
        return _nothing_moved(command, concerned, Reason.ORIGINAL_NOT_SEEN)
    if movement.currencies != {command.currency}:
        posted = ",".join(sorted(movement.currencies))
        return _refused(command, concerned, Reason.CURRENCY_MISMATCH, posted_currency=posted)
    remaining = movement.posted_minor - movement.returned_minor
    if remaining == 0:
        return _nothing_moved(command, concerned, Reason.ALREADY_ROLLED_BACK)
    if command.amount_minor > remaining:
        return _refused(command, concerned, Reason.ROLLBACK_EXCEEDS_ORIGINAL, remaining_minor=remaining)
    # A player who spent a win before it was taken back owes it: cash may become negative.
    returned = movement.returned_minor + command.amount_minor
    return _posted(command, concerned, movement=movement._replace(returned_minor=returned, cancelled=True))


def _nothing_moved(command: Command, concerned: Concerned, reason: Reason) -> Decision:
    # To the game server a rollback that finds nothing is done: were it refused, it would be sent again for ever.
    return Decision(
        Status.POSTED,
        reason,
        0,
        ENTRIES[command.kind],
        concerned.account,
        movement=concerned.movement._replace(cancelled=True),
        facts={"asked_minor": command.amount_minor},
    )


def _hold(command: Command, concerned: Concerned) -> Decision:
    if (refusal := _HOLD_REFUSALS[Kind.WITHDRAWAL_HOLD, _state(concerned.hold)]) is not None:
        return _refused(command, concerned, refusal)
    hold = Hold(command.currency, command.amount_minor)
    return _lacks_funds(command, concerned) or _posted(command, concerned, hold=hold)


def _end_hold(command: Command, concerned: Concerned) -> Decision:
    hold = concerned.hold
    if (refusal := _HOLD_REFUSALS[command.kind, _state(hold)]) is not None:
        return _refused(command, concerned, refusal)
    assert hold is not None
    if hold.currency != command.currency:
        return _refused(command, concerned, Reason.CURRENCY_MISMATCH, held_currency=hold.currency)
    if command.amount_minor > hold.remaining_minor:
        return _refused(command, concerned, Reason.HOLD_EXCEEDED, remaining_minor=hold.remaining_minor)
    rest = hold._replace(remaining_minor=hold.remaining_minor - command.amount_minor)
    return _posted(command, concerned, hold=rest)


def _state(hold: Hold | None) -> HoldState:
    return HoldState.NONE if hold is None else hold.state


# The life of a hold: each command against each state; None where it may go on.
_HOLD_REFUSALS: dict[tuple[Kind, HoldState], Reason | None] = {
    (Kind.WITHDRAWAL_HOLD, HoldState.NONE): None,
    (Kind.WITHDRAWAL_HOLD, HoldState.OPEN): Reason.HOLD_EXISTS,
    (Kind.WITHDRAWAL_HOLD, HoldState.CLOSED): Reason.HOLD_EXISTS,
    (Kind.WITHDRAWAL_CAPTURE, HoldState.NONE): Reason.HOLD_NOT_FOUND,
    (Kind.WITHDRAWAL_CAPTURE, HoldState.OPEN): None,
    (Kind.WITHDRAWAL_CAPTURE, HoldState.CLOSED): Reason.HOLD_CLOSED,
    (Kind.WITHDRAWAL_RELEASE, HoldState.NONE): Reason.HOLD_NOT_FOUND,
    (Kind.WITHDRAWAL_RELEASE, HoldState.OPEN): None,
    (Kind.WITHDRAWAL_RELEASE, HoldState.CLOSED): Reason.HOLD_CLOSED,
}

_DECIDE: dict[Kind, Callable[[Command, Concerned], Decision]] = {
    Kind.DEPOSIT: _unconditional,
    Kind.GAME_BET: _bet,
    Kind.GAME_PAYOUT: _payout,
    Kind.BET_ROLLBACK: _rollback,
    Kind.PAYOUT_ROLLBACK: _rollback,
    Kind.WITHDRAWAL_HOLD: _hold,
    Kind.WITHDRAWAL_CAPTURE: _end_hold,
    Kind.WITHDRAWAL_RELEASE: _end_hold,
    Kind.WITHDRAWAL: _funded,
    Kind.CHARGEBACK: _unconditional,
    Kind.REFUND: _unconditional,
    Kind.ADJUSTMENT_CREDIT: _unconditional,
    Kind.ADJUSTMENT_DEBIT: _funded,
}
