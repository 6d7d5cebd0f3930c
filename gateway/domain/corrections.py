"""What corrects a transaction, or marks it as disputed: a row of its own, never an edit."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from gateway.domain import views
from gateway.domain.callers import Caller
from gateway.domain.requests import CorrectionRequest
from gateway.domain.views import TransactionView
from shared import money
from shared.contracts.commands import Command
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import ROLLBACKS, Kind, Status
from shared.contracts.readings import HeldPayout
from shared.errors import FieldError, InvalidInput

# What was bet or paid out is taken back under its reference, as a game server takes it back.
_TAKEN_BACK_BY: dict[str, Kind] = {taken_back: by for by, taken_back in ROLLBACKS.items()}


class HeldPayoutView(BaseModel):
    """What waits in reserved under one reference, and the first of its payouts."""

    model_config = ConfigDict(extra="forbid")

    held: str
    transaction: TransactionView


class HeldPayoutsView(BaseModel):
    """Payouts that wait for their release, the oldest first. `more`: there are more than these."""

    model_config = ConfigDict(extra="forbid")

    held_payouts: list[HeldPayoutView]
    more: bool


def held_payouts(found: Sequence[HeldPayout], limit: int) -> dict[str, Any]:
    """At most `limit` held payouts as a HeldPayoutsView."""
    return {
        "held_payouts": [
            {
                "held": money.to_decimal(each.held_minor, each.transaction.currency),
                "transaction": views.transaction(each.transaction, each.transaction.dispute),
            }
            for each in found[:limit]
        ],
        "more": len(found) > limit,
    }


def reversal(original: LedgerEvent, request: CorrectionRequest, *, caller: Caller, key: str, now: datetime) -> Command:
    """The command that takes a transaction back. Raises InvalidInput."""
    amount_minor = _amount_minor(original, request)
    by = _TAKEN_BACK_BY.get(original.kind)
    # A rollback takes back what was posted under its reference, which a refused bet was not.
    rollback = by is not None and original.status is Status.POSTED
    return Command(
        command_id=caller.command_id(key),
        kind=by if by is not None and rollback else Kind.REVERSAL,
        user_id=original.user_id,
        amount_minor=amount_minor,
        currency=original.currency,
        reference_id=original.reference_id if rollback else str(original.command_id),
        round_id=original.round_id if rollback else None,
        provider=original.provider,
        reason=request.reason,
        actor=caller.subject,
        occurred_at=now,
    )


def release(original: LedgerEvent, request: CorrectionRequest, *, caller: Caller, key: str, now: datetime) -> Command:
    """The command that releases a held payout. Raises InvalidInput."""
    if original.kind != Kind.GAME_PAYOUT:
        raise InvalidInput([FieldError("transaction_id", "must be a payout's")])
    return Command(
        command_id=caller.command_id(key),
        kind=Kind.PAYOUT_RELEASE,
        user_id=original.user_id,
        amount_minor=_amount_minor(original, request),
        currency=original.currency,
        reference_id=original.reference_id,
        round_id=original.round_id,
        reason=request.reason,
        actor=caller.subject,
        occurred_at=now,
    )


def dispute(
    kind: Kind, original: LedgerEvent, reason: str, *, caller: Caller, key: str | None, now: datetime
) -> Command:
    """The command that marks a transaction as disputed, or its dispute as resolved."""
    return Command(
        command_id=caller.command_id(key),
        kind=kind,
        user_id=original.user_id,
        amount_minor=0,
        currency=original.currency,
        reference_id=str(original.command_id),
        reason=reason,
        actor=caller.subject,
        occurred_at=now,
    )


def _amount_minor(original: LedgerEvent, request: CorrectionRequest) -> int:
    # Not what is left of it: a retry after the decision has to be the same command.
    if request.amount is None:
        if original.amount_minor == 0:
            raise InvalidInput([FieldError("transaction_id", "must be of a transaction that moved something")])
        return original.amount_minor
    try:
        return money.to_minor(request.amount, original.currency)
    except ValueError as error:
        raise InvalidInput([FieldError("amount", str(error))]) from None
