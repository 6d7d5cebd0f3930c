"""What a decision would be: in words, and with its numbers."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gateway.domain import views
from gateway.domain.refusals import explain
from gateway.domain.views import Balance, WalletView
from shared.contracts.commands import Command
from shared.contracts.kinds import Account, Kind, Status
from shared.contracts.readings import Check
from shared.figures.figures import in_decimals


class CheckView(BaseModel):
    """What would be decided now. `code` says why not, or why a rollback would move nothing.

    `facts` are the numbers that it rests on. `held`: a payout that would wait in reserved for its release. `wallet`
    has the balances after it.
    """

    model_config = ConfigDict(extra="forbid")

    allowed: bool
    code: str | None
    detail: str
    facts: dict[str, Any] = Field(examples=[{"limit": "500.00", "used": "450.00", "remaining": "50.00"}])
    held: bool
    wallet: WalletView


def view(command: Command, found: Check) -> dict[str, Any]:
    """A check as a CheckView."""
    allowed = found.status is Status.POSTED
    balance = Balance(found.currency, found.cash_minor, found.reserved_minor)
    return {
        "allowed": allowed,
        "code": found.reason,
        "detail": _detail(found) if allowed else explain(found),
        "facts": in_decimals(found.facts or {}, found.currency),
        "held": allowed and command.kind is Kind.GAME_PAYOUT and found.credit == Account.RESERVED,
        "wallet": views.wallet(command.user_id, [balance]),
    }


def _detail(found: Check) -> str:
    return "It would be posted." if found.reason is None else "It would be posted, and move nothing."
