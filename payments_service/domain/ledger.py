"""What a payment's state means for the player's wallet: which command is due, in one table.

A payment remembers what the wallet has decided for it. What is due follows from that and from its state alone, so it
does not matter how a state was reached, or how often somebody looks.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID, uuid5

from payments_service.domain.ports import Direction
from payments_service.domain.states import State
from shared.contracts import actors
from shared.contracts.commands import Command
from shared.contracts.kinds import Kind

# An unknown outcome keeps its hold for as long as somebody may find out.
HOLD_FOR = timedelta(days=365)


class Posted(StrEnum):
    """What the wallet has decided for a payment last. BLOCKED: something that it must not refuse, for staff."""

    NOTHING = "nothing"
    HELD = "held"
    CREDITED = "credited"
    CAPTURED = "captured"
    RELEASED = "released"
    REFUSED = "refused"
    TAKEN_BACK = "taken_back"
    BLOCKED = "blocked"


class Step(StrEnum):
    """A command that is due, by its purpose. A payment has each at most once."""

    CREDIT = "credit"
    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"
    PAID_LATE = "paid_late"
    REFUND = "refund"
    CHARGEBACK = "chargeback"
    RETURNED = "returned"
    REINSTATE = "reinstate"
    NOT_REFUNDED = "not_refunded"


_D, _W, _R = Direction.DEPOSIT, Direction.WITHDRAWAL, Direction.REFUND

DUE: dict[tuple[Direction, State, Posted], Step] = {
    (_D, State.COMPLETED, Posted.NOTHING): Step.CREDIT,
    # What went back of a deposit is booked by its refunds, each by itself.
    (_D, State.REFUNDED, Posted.NOTHING): Step.CREDIT,
    (_D, State.CHARGED_BACK, Posted.CREDITED): Step.CHARGEBACK,
    (_D, State.REINSTATED, Posted.NOTHING): Step.CREDIT,
    (_D, State.REINSTATED, Posted.TAKEN_BACK): Step.REINSTATE,
    (_W, State.CREATED, Posted.NOTHING): Step.HOLD,
    (_W, State.COMPLETED, Posted.HELD): Step.CAPTURE,
    (_W, State.FAILED, Posted.HELD): Step.RELEASE,
    (_W, State.CANCELLED, Posted.HELD): Step.RELEASE,
    # Its hold may have been asked for, by another part too: that is decided first, or it would stay when it comes.
    (_W, State.CANCELLED, Posted.NOTHING): Step.HOLD,
    # It went out and came back, and nobody saw it in between.
    (_W, State.REFUNDED, Posted.HELD): Step.RELEASE,
    (_W, State.CHARGED_BACK, Posted.HELD): Step.RELEASE,
    # It was given back to the player, and then it turns out to have been paid.
    (_W, State.COMPLETED, Posted.RELEASED): Step.PAID_LATE,
    (_W, State.REFUNDED, Posted.CAPTURED): Step.RETURNED,
    (_W, State.CHARGED_BACK, Posted.CAPTURED): Step.RETURNED,
    # Taken before it goes out: nobody plays with what goes back. One that its provider began is taken once it is done.
    (_R, State.CREATED, Posted.NOTHING): Step.REFUND,
    (_R, State.COMPLETED, Posted.NOTHING): Step.REFUND,
    (_R, State.FAILED, Posted.TAKEN_BACK): Step.NOT_REFUNDED,
    (_R, State.CANCELLED, Posted.TAKEN_BACK): Step.NOT_REFUNDED,
    (_R, State.COMPLETED, Posted.RELEASED): Step.PAID_LATE,
    (_R, State.REFUNDED, Posted.TAKEN_BACK): Step.RETURNED,
    (_R, State.REFUNDED, Posted.CAPTURED): Step.RETURNED,
}

AFTER: dict[Step, Posted] = {
    Step.CREDIT: Posted.CREDITED,
    Step.HOLD: Posted.HELD,
    Step.CAPTURE: Posted.CAPTURED,
    Step.RELEASE: Posted.RELEASED,
    Step.PAID_LATE: Posted.CAPTURED,
    Step.REFUND: Posted.TAKEN_BACK,
    Step.CHARGEBACK: Posted.TAKEN_BACK,
    Step.RETURNED: Posted.RELEASED,
    Step.REINSTATE: Posted.CREDITED,
    Step.NOT_REFUNDED: Posted.RELEASED,
}
# Of what is past its beginning. A hold that is no longer there was released by the wallet: its time was over.
AFTER_REFUSAL: dict[Step, Posted] = {
    Step.CREDIT: Posted.REFUSED,
    Step.HOLD: Posted.REFUSED,
    Step.CAPTURE: Posted.RELEASED,
    Step.RELEASE: Posted.RELEASED,
}

_KINDS: dict[Step, Kind] = {
    Step.CREDIT: Kind.DEPOSIT,
    Step.HOLD: Kind.WITHDRAWAL_HOLD,
    Step.CAPTURE: Kind.WITHDRAWAL_CAPTURE,
    Step.RELEASE: Kind.WITHDRAWAL_RELEASE,
    Step.PAID_LATE: Kind.REFUND,
    Step.REFUND: Kind.REFUND,
    Step.CHARGEBACK: Kind.CHARGEBACK,
    Step.RETURNED: Kind.REVERSAL,
    Step.REINSTATE: Kind.REVERSAL,
    Step.NOT_REFUNDED: Kind.REVERSAL,
}
_REASONS: dict[Step, str] = {
    Step.PAID_LATE: "the provider paid out what it had reported as failed",
    Step.RETURNED: "the payout came back",
    Step.REINSTATE: "the dispute was won",
    Step.NOT_REFUNDED: "the refund did not go out",
}
# The command that took the money from the player, and what takes that back.
TAKES = frozenset({Step.CAPTURE, Step.PAID_LATE, Step.REFUND, Step.CHARGEBACK})
_TAKES_BACK = frozenset({Step.RETURNED, Step.REINSTATE, Step.NOT_REFUNDED})
# Those of one withdrawal that is split stand under one hold.
_OF_THE_HOLD = frozenset({Step.HOLD, Step.CAPTURE, Step.RELEASE})
_DISPUTED = frozenset({Step.CHARGEBACK, Step.REINSTATE})
_WITHOUT_PROVIDER = frozenset({Step.HOLD, Step.RELEASE})


class Booked(NamedTuple):
    """A payment as the wallet's commands need it. `taken_by` is the command that took the money from the player.

    `charged_back_minor` is what of it was charged back.
    """

    payment_id: UUID
    group_id: UUID
    group_minor: int
    user_id: int
    provider: str
    amount_minor: int
    currency: str
    created_at: datetime
    taken_by: UUID | None
    charged_back_minor: int | None = None


def command_id(payment: Booked, step: Step) -> UUID:
    """The id of a step's command, whoever asks and however often."""
    return uuid5(payment.group_id if step is Step.HOLD else payment.payment_id, step.value)


def command(payment: Booked, step: Step) -> Command:
    """The command of a step: the same each time."""
    reference = payment.group_id if step in _OF_THE_HOLD else payment.payment_id
    amount_minor = payment.group_minor if step is Step.HOLD else payment.amount_minor
    if step in _TAKES_BACK:
        # What took a refund was not always kept: there is one command that can have been it.
        reference = payment.taken_by or command_id(payment, Step.REFUND)
    if step in _DISPUTED and payment.charged_back_minor is not None:
        amount_minor = payment.charged_back_minor
    return Command(
        command_id=command_id(payment, step),
        kind=_KINDS[step],
        user_id=payment.user_id,
        amount_minor=amount_minor,
        currency=payment.currency,
        reference_id=str(reference),
        provider=None if step in _WITHOUT_PROVIDER else payment.provider,
        reason=_REASONS.get(step),
        actor=actors.PAYMENTS,
        occurred_at=payment.created_at,
        until=payment.created_at + HOLD_FOR if step is Step.HOLD else None,
    )
