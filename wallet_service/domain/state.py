"""What decisions are made on, and what they come to. Plain values; amounts in minor units."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from shared.contracts.commands import Command
from shared.contracts.kinds import ENTRIES, NO_ENTRY, Account, Entry, Kind, Reason, Status
from shared.money import MAX_BALANCE_MINOR
from wallet_service.domain.limits import NO_PLAYER_LIMIT, PlayerLimit, Rules, Standing, Totals
from wallet_service.domain.restrictions import UNRESTRICTED, Restrictions

Facts = dict[str, int | str]


class PlayerAccount(NamedTuple):
    """A player's money in one currency: what is free, and what is set aside by holds and held payouts.

    `totals` are what limits count. `deposited_at` is when the last deposit was posted, `opened_at` the start of the
    last period in which something was counted.
    """

    cash_minor: int = 0
    reserved_minor: int = 0
    totals: Totals = Totals()
    deposited_at: datetime | None = None
    opened_at: datetime | None = None


class HoldState(StrEnum):
    """The states of a hold. `NONE`: there is no such hold."""

    NONE = "none"
    OPEN = "open"
    CLOSED = "closed"


class Hold(NamedTuple):
    """Money set aside for a withdrawal: what of it is still to be captured or released, and until when."""

    currency: str
    remaining_minor: int
    until: datetime

    @property
    def state(self) -> HoldState:
        """Open while something remains."""
        return HoldState.OPEN if self.remaining_minor else HoldState.CLOSED


class Movement(NamedTuple):
    """What was posted under one reference and kind, and what of it was taken back.

    `currencies`: in which it was posted; more than one cannot be taken back as one amount. `posted_at`: when, the last
    of it. `cancelled`: a rollback was decided, so nothing more is posted under this reference, and what comes late is
    refused.
    """

    currencies: frozenset[str] = frozenset()
    posted_minor: int = 0
    returned_minor: int = 0
    cancelled: bool = False
    posted_at: datetime | None = None


class DisputeState(StrEnum):
    """The states of a dispute. `NONE`: the transaction was never disputed."""

    NONE = "none"
    OPEN = "open"
    RESOLVED = "resolved"


class Original(NamedTuple):
    """The transaction that a reversal or a dispute is about, what of it was reversed, and how its dispute stands."""

    kind: Kind
    status: Status
    user_id: int
    amount_minor: int
    currency: str
    entry: Entry
    provider: str | None
    posted_at: datetime
    reversed_minor: int = 0
    dispute: DisputeState = DisputeState.NONE


class Concerned(NamedTuple):
    """What one command concerns, as it stands before the decision."""

    account: PlayerAccount
    rules: Rules
    standing: Standing
    hold: Hold | None = None
    # Of a bet or payout: the movement under its own reference. Of a rollback: the one that it takes back.
    movement: Movement = Movement()
    # Of a payout: whether the bet of its reference was cancelled.
    bet_cancelled: bool = False
    # Of what is about a payout: what of the payouts under its reference waits in reserved, in its currency.
    held_minor: int = 0
    original: Original | None = None
    # Of a limit's command: what is set for the player.
    limit: PlayerLimit = NO_PLAYER_LIMIT
    restrictions: Restrictions = UNRESTRICTED


class CountedBack(NamedTuple):
    """What is no longer counted, in the windows in which its original was."""

    posted_at: datetime
    totals: Totals


class Decision(NamedTuple):
    """What the journal row says, and the state after it. A refusal leaves every state as it was."""

    status: Status
    reason: Reason | None
    amount_minor: int
    entry: Entry
    account: PlayerAccount
    hold: Hold | None = None
    movement: Movement | None = None
    held_minor: int | None = None
    original: Original | None = None
    limit: PlayerLimit | None = None
    counted_back: CountedBack | None = None
    restrictions: Restrictions | None = None
    facts: Facts | None = None


def refused(command: Command, concerned: Concerned, reason: Reason, **facts: int | str) -> Decision:
    """Nothing moves. The facts are the numbers that it was decided on."""
    if ENTRIES[command.kind] == NO_ENTRY and command.amount_minor:
        # The row's amount is money on its way between two accounts, and here there are none.
        return Decision(
            Status.REFUSED, reason, 0, NO_ENTRY, concerned.account, facts={"asked_minor": command.amount_minor, **facts}
        )
    return Decision(
        Status.REFUSED, reason, command.amount_minor, ENTRIES[command.kind], concerned.account, facts=facts or None
    )


def posted(
    command: Command,
    concerned: Concerned,
    now: datetime,
    *,
    entry: Entry | None = None,
    hold: Hold | None = None,
    movement: Movement | None = None,
    held_minor: int | None = None,
    original: Original | None = None,
    facts: Facts | None = None,
) -> Decision:
    """The amount moves, by the kind's entry unless another is given, and is counted for the limits.

    Where the balance could not hold it, it is refused, and the states after it do not come to be.
    """
    entry = ENTRIES[command.kind] if entry is None else entry
    before = concerned.account
    cash, reserved = _moved(before, entry, command.amount_minor)
    if not (-MAX_BALANCE_MINOR <= cash <= MAX_BALANCE_MINOR and -MAX_BALANCE_MINOR <= reserved <= MAX_BALANCE_MINOR):
        return refused(command, concerned, Reason.BALANCE_OVERFLOW)
    counted = counts(command.kind, command.amount_minor)
    if counted is None:
        account = before._replace(cash_minor=cash, reserved_minor=reserved)
    else:
        # Windows that were made longer must not move what is open already back in time.
        opened_at = concerned.rules.windows.period(now)
        if before.opened_at is not None and before.opened_at > opened_at:
            opened_at = before.opened_at
        deposited_at = now if command.kind is Kind.DEPOSIT else before.deposited_at
        account = PlayerAccount(cash, reserved, before.totals.plus(counted), deposited_at, opened_at)
    return Decision(
        Status.POSTED, None, command.amount_minor, entry, account, hold, movement, held_minor, original, facts=facts
    )


def noted(command: Command, concerned: Concerned, **facts: int | str) -> Decision:
    """A row that moves nothing and says what changed."""
    if command.amount_minor:
        facts["asked_minor"] = command.amount_minor
    return Decision(Status.POSTED, None, 0, NO_ENTRY, concerned.account, facts=facts or None)


def counted_back(decision: Decision, kind: Kind, posted_at: datetime) -> Decision:
    """The decision with what it takes back of a row of this kind no longer counted. A refusal takes nothing back."""
    counted = counts(kind, decision.amount_minor)
    if decision.status is not Status.POSTED or counted is None:
        return decision
    account = decision.account._replace(totals=decision.account.totals.plus(counted, times=-1))
    return decision._replace(account=account, counted_back=CountedBack(posted_at, counted))


def counts(kind: Kind, amount_minor: int) -> Totals | None:
    """What a posted row of this kind adds to its account's totals; None where it adds nothing."""
    if kind is Kind.GAME_BET:
        return Totals(0, amount_minor, 0)
    if kind is Kind.GAME_PAYOUT:
        return Totals(0, 0, amount_minor)
    return Totals(amount_minor, 0, 0) if kind is Kind.DEPOSIT else None


def _moved(account: PlayerAccount, entry: Entry, amount_minor: int) -> tuple[int, int]:
    cash, reserved = account.cash_minor, account.reserved_minor
    if entry.debit is Account.CASH:
        cash -= amount_minor
    elif entry.debit is Account.RESERVED:
        reserved -= amount_minor
    if entry.credit is Account.CASH:
        cash += amount_minor
    elif entry.credit is Account.RESERVED:
        reserved += amount_minor
    return cash, reserved
