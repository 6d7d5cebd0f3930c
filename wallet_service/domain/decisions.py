"""Decisions: one pure function per command over plain values. No I/O, no clock, no exception for a refusal.

`decide` looks at a command and at what it concerns, and returns a `Decision`: what the journal row says, and the state
after it. `domain.batch` applies decisions one after another, so that two commands of one batch cannot both
spend the same money, or the last of a limit.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from shared import clock
from shared.contracts.commands import Command
from shared.contracts.kinds import ENTRIES, ROLLBACKS, Account, Entry, Kind, Reason, Status
from shared.contracts.limits import LimitName
from wallet_service.domain import corrections, limit_changes, restricting
from wallet_service.domain.limits import Measure, first_excess
from wallet_service.domain.state import (
    Concerned,
    Decision,
    Facts,
    Hold,
    HoldState,
    Movement,
    counted_back,
    posted,
    refused,
)

Decide = Callable[[Command, Concerned, datetime], Decision]

_HELD_PAYOUT = Entry(Account.REVENUE, Account.RESERVED)
_HELD_PAYOUT_BACK = Entry(Account.RESERVED, Account.REVENUE)


def decide(command: Command, concerned: Concerned, now: datetime) -> Decision:
    """The decision on one command. `now` is the batch's time, by the database's clock."""
    if command.expires_at is not None and command.expires_at <= now:
        return refused(command, concerned, Reason.EXPIRED)
    return _DECIDE[command.kind](command, concerned, now)


def _lacks_funds(command: Command, concerned: Concerned) -> Decision | None:
    cash = concerned.account.cash_minor
    if cash < command.amount_minor:
        return refused(command, concerned, Reason.INSUFFICIENT_FUNDS, available_minor=cash)
    return None


def _past_a_limit(command: Command, concerned: Concerned, measure: Measure) -> Decision | None:
    standing = concerned.standing
    if standing.limits is None:
        # Without limits in its currency nothing can be checked, and what cannot be checked is refused.
        return refused(command, concerned, Reason.CURRENCY_NOT_ALLOWED)
    excess = first_excess(standing, measure, command.amount_minor)
    if excess is None:
        return None
    facts: Facts = {
        "limit_minor": excess.limit_minor,
        "used_minor": excess.used_minor,
        "remaining_minor": excess.remaining_minor,
    }
    return refused(command, concerned, Reason(excess.name), **facts)


def _in_cooldown(command: Command, concerned: Concerned, now: datetime) -> Decision | None:
    deposited_at = concerned.standing.deposited_at
    cooldown_s = concerned.standing.limit(LimitName.WITHDRAWAL_COOLDOWN_SECONDS)
    if deposited_at is None or cooldown_s is None:
        return None
    ends_at = deposited_at + timedelta(seconds=cooldown_s)
    if ends_at <= now:
        return None
    return refused(command, concerned, Reason.WITHDRAWAL_COOLDOWN, ends_at=clock.to_text(ends_at))


def _excluded(command: Command, concerned: Concerned, now: datetime) -> Decision | None:
    restrictions = concerned.restrictions
    if not restrictions.excluded(now):
        return None
    until = restrictions.excluded_until
    return refused(command, concerned, Reason.SELF_EXCLUDED, **({"until": clock.to_text(until)} if until else {}))


def _blocked(command: Command, concerned: Concerned, now: datetime) -> Decision | None:
    block = concerned.restrictions.block
    if block is None or not block.in_force(now):
        return None
    # The reason of a block is for staff, and not told to whoever plays.
    return refused(
        command, concerned, Reason.FRAUD_BLOCKED, **({"until": clock.to_text(block.until)} if block.until else {})
    )


def _not_verified(command: Command, concerned: Concerned) -> Decision | None:
    """What the player's tier does not allow: a withdrawal, or more deposits in all."""
    tier = concerned.restrictions.tier_of(concerned.rules.tiers)
    if command.kind is not Kind.DEPOSIT:
        return None if tier.withdrawals else refused(command, concerned, Reason.KYC_REQUIRED)
    most, used = tier.deposits.get(command.currency), concerned.account.totals.deposits_minor
    if most is None or used + command.amount_minor <= most:
        return None
    facts: Facts = {"limit_minor": most, "used_minor": used, "remaining_minor": max(most - used, 0)}
    return refused(command, concerned, Reason.KYC_REQUIRED, **facts)


def _unconditional(command: Command, concerned: Concerned, now: datetime) -> Decision:
    # What the provider has already moved is recorded, even where it leaves the player owing.
    return posted(command, concerned, now)


def _funded(command: Command, concerned: Concerned, now: datetime) -> Decision:
    return _lacks_funds(command, concerned) or posted(command, concerned, now)


def _deposit(command: Command, concerned: Concerned, now: datetime) -> Decision:
    refusal = (
        _excluded(command, concerned, now)
        or _blocked(command, concerned, now)
        or _past_a_limit(command, concerned, Measure.DEPOSITS)
        or _not_verified(command, concerned)
    )
    return refusal or posted(command, concerned, now)


def _withdrawal(command: Command, concerned: Concerned, now: datetime) -> Decision:
    return _may_not_withdraw(command, concerned, now) or posted(command, concerned, now)


def _may_not_withdraw(command: Command, concerned: Concerned, now: datetime) -> Decision | None:
    return (
        _blocked(command, concerned, now)
        or _not_verified(command, concerned)
        or _in_cooldown(command, concerned, now)
        or _lacks_funds(command, concerned)
    )


def _bet(command: Command, concerned: Concerned, now: datetime) -> Decision:
    movement = concerned.movement
    if movement.cancelled:
        return refused(command, concerned, Reason.ROUND_CANCELLED)
    if (refusal := _excluded(command, concerned, now) or _blocked(command, concerned, now)) is not None:
        return refusal
    largest = concerned.standing.limit(LimitName.MAX_BET_AMOUNT)
    if largest is not None and command.amount_minor > largest:
        return refused(command, concerned, Reason.MAX_BET_EXCEEDED, limit_minor=largest)
    refusal = (
        _lacks_funds(command, concerned)
        or _past_a_limit(command, concerned, Measure.LOSS)
        or _past_a_limit(command, concerned, Measure.WAGERS)
    )
    return refusal or posted(command, concerned, now, movement=_more(command, movement, now))


def _payout(command: Command, concerned: Concerned, now: datetime) -> Decision:
    movement = concerned.movement
    if movement.cancelled or concerned.bet_cancelled:
        return refused(command, concerned, Reason.ROUND_CANCELLED)
    movement = _more(command, movement, now)
    largest = concerned.standing.limit(LimitName.MAX_PAYOUT_AMOUNT)
    # A win is the player's even where its largest is not known; then somebody looks at it.
    if largest is not None and command.amount_minor <= largest:
        return posted(command, concerned, now, movement=movement)
    held_minor = concerned.held_minor + command.amount_minor
    return posted(command, concerned, now, entry=_HELD_PAYOUT, movement=movement, held_minor=held_minor)


def _more(command: Command, movement: Movement, now: datetime) -> Movement:
    return movement._replace(
        currencies=movement.currencies | {command.currency},
        posted_minor=movement.posted_minor + command.amount_minor,
        posted_at=now,
    )


def _rollback(command: Command, concerned: Concerned, now: datetime) -> Decision:
    movement = concerned.movement
    if movement.posted_at is None:
        return _nothing_moved(command, concerned, Reason.ORIGINAL_NOT_SEEN)
    if movement.currencies != {command.currency}:
        currencies = ",".join(sorted(movement.currencies))
        return refused(command, concerned, Reason.CURRENCY_MISMATCH, posted_currency=currencies)
    remaining = movement.posted_minor - movement.returned_minor
    if remaining == 0:
        return _nothing_moved(command, concerned, Reason.ALREADY_ROLLED_BACK)
    if command.amount_minor > remaining:
        return refused(command, concerned, Reason.ROLLBACK_EXCEEDS_ORIGINAL, remaining_minor=remaining)
    held = concerned.held_minor
    if 0 < held < command.amount_minor:
        # Part of it would come from reserved and part from cash, and a row has one debit.
        return refused(command, concerned, Reason.PAYOUT_HELD, held_minor=held)
    after = movement._replace(returned_minor=movement.returned_minor + command.amount_minor, cancelled=True)
    if held:
        held_minor = held - command.amount_minor
        decision = posted(command, concerned, now, entry=_HELD_PAYOUT_BACK, movement=after, held_minor=held_minor)
    else:
        # A player who spent a win before it was taken back owes it: cash may become negative.
        decision = posted(command, concerned, now, movement=after)
    return counted_back(decision, ROLLBACKS[command.kind], movement.posted_at)


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


def _release_payout(command: Command, concerned: Concerned, now: datetime) -> Decision:
    held = concerned.held_minor
    if held == 0:
        return refused(command, concerned, Reason.PAYOUT_NOT_HELD)
    if command.amount_minor > held:
        return refused(command, concerned, Reason.RELEASE_EXCEEDS_HELD, held_minor=held)
    return posted(command, concerned, now, held_minor=held - command.amount_minor)


def _hold(command: Command, concerned: Concerned, now: datetime) -> Decision:
    if (refusal := _HOLD_REFUSALS[Kind.WITHDRAWAL_HOLD, _state(concerned.hold)]) is not None:
        return refused(command, concerned, refusal)
    if (decision := _may_not_withdraw(command, concerned, now)) is not None:
        return decision
    until = command.until or now + concerned.rules.hold_for
    hold = Hold(command.currency, command.amount_minor, until)
    return posted(command, concerned, now, hold=hold, facts={"until": clock.to_text(until)})


def _end_hold(command: Command, concerned: Concerned, now: datetime) -> Decision:
    hold = concerned.hold
    if (refusal := _HOLD_REFUSALS[command.kind, _state(hold)]) is not None:
        return refused(command, concerned, refusal)
    assert hold is not None
    if hold.currency != command.currency:
        return refused(command, concerned, Reason.CURRENCY_MISMATCH, held_currency=hold.currency)
    if command.amount_minor > hold.remaining_minor:
        return refused(command, concerned, Reason.HOLD_EXCEEDED, remaining_minor=hold.remaining_minor)
    rest = hold._replace(remaining_minor=hold.remaining_minor - command.amount_minor)
    return posted(command, concerned, now, hold=rest)


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

_DECIDE: dict[Kind, Decide] = {
    Kind.DEPOSIT: _deposit,
    Kind.GAME_BET: _bet,
    Kind.GAME_PAYOUT: _payout,
    Kind.BET_ROLLBACK: _rollback,
    Kind.PAYOUT_ROLLBACK: _rollback,
    Kind.PAYOUT_RELEASE: _release_payout,
    Kind.WITHDRAWAL_HOLD: _hold,
    Kind.WITHDRAWAL_CAPTURE: _end_hold,
    Kind.WITHDRAWAL_RELEASE: _end_hold,
    Kind.WITHDRAWAL: _withdrawal,
    Kind.CHARGEBACK: _unconditional,
    Kind.REFUND: _unconditional,
    Kind.ADJUSTMENT_CREDIT: _unconditional,
    Kind.ADJUSTMENT_DEBIT: _funded,
    Kind.REVERSAL: corrections.reverse,
    Kind.DISPUTE: corrections.dispute,
    Kind.DISPUTE_RESOLUTION: corrections.dispute,
    Kind.LIMIT_OVERRIDE: limit_changes.override,
    Kind.LIMIT_OVERRIDE_REMOVAL: limit_changes.remove_override,
    Kind.LIMIT_REQUEST: limit_changes.request,
    Kind.LIMIT_CONFIRMATION: limit_changes.confirm,
    Kind.LIMIT_REVOCATION: limit_changes.revoke,
    Kind.EXCLUSION: restricting.exclude,
    Kind.EXCLUSION_END: restricting.end_exclusion,
    Kind.KYC_TIER: restricting.assign_tier,
    Kind.FRAUD_BLOCK: restricting.block,
    Kind.FRAUD_UNBLOCK: restricting.unblock,
}
