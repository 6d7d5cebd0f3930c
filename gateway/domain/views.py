"""How the ledger reads outside: money as decimal strings, one shape for a transaction wherever it stands.

The functions make what is sent, and the models describe it in the API's document; a test holds them together.
A view of a decision is made from its journal row alone, so that every repetition of an answer is the same bytes.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from gateway.domain.blocks import BlockChange
from gateway.domain.limits import LimitChange
from shared import clock
from shared.contracts.commands import Command
from shared.contracts.events import LedgerEvent
from shared.contracts.fields import MAX_INT64
from shared.contracts.kinds import MOVES_NOTHING, Account, Kind, Status
from shared.contracts.readings import Dispute, DisputeStatus
from shared.errors import FieldError, InvalidInput
from shared.figures.figures import in_decimals
from shared.money import to_decimal

PENDING = "pending"
DISPUTED = "disputed"


@dataclass(frozen=True, slots=True)
class Balance:
    """One currency of a player, in minor units."""

    currency: str
    cash_minor: int
    reserved_minor: int


class _View(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DisputeView(_View):
    """A dispute, by the transaction that opened or resolved it."""

    state: DisputeStatus
    reason: str | None
    actor: str | None
    since: datetime
    transaction_id: UUID


class TransactionView(_View):
    """A transaction. `amount` is what moved; on a refused one, what was asked, and nothing moved.

    A posted rollback with a `reason` found nothing to take back, and moved `0.00`, as did what changes a limit or a
    dispute. What `held` says was credited to reserved, and waits there for its release. `dispute` is there when the
    transaction is read back after it was disputed; the answer to a posting stays what it was.
    """

    id: UUID
    user_id: int
    type: Kind | str
    amount: str
    currency: str
    status: str = Field(description="posted or refused; disputed while its dispute is open")
    reason: str | None
    reference_id: str | None
    round_id: str | None
    provider: str | None
    stated_reason: str | None
    held: bool
    dispute: DisputeView | None
    lane: int
    position: int = Field(description="With the lane: the place in the journal.")
    checksum: str
    created_at: datetime


class PendingTransaction(_View):
    """A transaction that was accepted and is not decided yet."""

    id: UUID
    user_id: int
    type: Kind
    amount: str
    currency: str
    status: str
    reference_id: str | None
    round_id: str | None
    provider: str | None


class BalanceView(_View):
    """One currency of a player: `cash` is free, `reserved` is set aside by holds."""

    currency: str
    cash: str
    reserved: str


class WalletView(_View):
    """A player's balances, by currency."""

    user_id: int
    balances: list[BalanceView]


class PastWalletView(WalletView):
    """With `as_of`: the balances as they were then, and the position of the player's last row that counts."""

    as_of: str | None = None
    position: int | None = None


class DecisionView(_View):
    """A decision: the transaction, and the balances of its currency right after it."""

    transaction: TransactionView
    wallet: WalletView


class PendingView(_View):
    """What is known of a transaction that is not decided yet."""

    transaction: PendingTransaction


class TransactionPage(_View):
    """Transactions, newest first. `next_cursor` is null on the last page."""

    transactions: list[TransactionView]
    next_cursor: str | None


class BatchView(_View):
    """One result for each transaction, in order: `status`, and what a request of its own would have been answered."""

    results: list[dict[str, Any]]


class Problem(BaseModel):
    """A problem document (RFC 9457). `code` is stable and machine-readable; `detail` says what to do."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[dict[str, str]] | None = Field(default=None, description="Of wrong input: each field and its bounds.")
    transaction: TransactionView | None = Field(default=None, description="Of a refused transaction.")
    wallet: WalletView | None = Field(default=None, description="Of a refused transaction.")
    limit_change: LimitChange | None = Field(default=None, description="Of a refused change of a limit.")
    block_change: BlockChange | None = Field(default=None, description="Of a refused change of a block.")


def transaction(event: LedgerEvent, marked: Dispute | None = None, *, why: bool = True) -> dict[str, Any]:
    """A journal row as a TransactionView, with its dispute where it is read back. `why`: with what staff states."""
    disputed = marked is not None and marked.state is DisputeStatus.OPEN
    return {
        "id": str(event.command_id),
        "user_id": event.user_id,
        "type": str(event.kind),
        "amount": to_decimal(_amount_minor(event), event.currency),
        "currency": event.currency,
        "status": DISPUTED if disputed else event.status.value,
        "reason": event.reason,
        "reference_id": event.reference_id if why else None,
        "round_id": event.round_id,
        "provider": event.provider,
        "stated_reason": event.stated_reason if why else None,
        "held": event.kind == Kind.GAME_PAYOUT and event.credit == Account.RESERVED,
        "dispute": None if marked is None else dispute(marked),
        "lane": event.lane,
        "position": event.position,
        "checksum": event.checksum,
        "created_at": clock.to_text(event.created_at),
    }


def _amount_minor(event: LedgerEvent) -> int:
    # A reversal that was refused has no accounts, so what was asked for is among its facts.
    asked = (event.facts or {}).get("asked_minor")
    if event.kind == Kind.REVERSAL and event.status is Status.REFUSED and isinstance(asked, int):
        return asked
    return event.amount_minor


def dispute(found: Dispute) -> dict[str, Any]:
    """A dispute as a DisputeView."""
    return found.model_dump(mode="json") | {"since": clock.to_text(found.since)}


def decision(event: LedgerEvent, marked: Dispute | None = None, *, why: bool = True) -> dict[str, Any]:
    """A journal row as a DecisionView, with its dispute where it is read back. `why`: with what staff states."""
    balance = Balance(event.currency, event.cash_minor, event.reserved_minor)
    return {"transaction": transaction(event, marked, why=why), "wallet": wallet(event.user_id, [balance])}


def pending(command: Command) -> dict[str, Any]:
    """A command that is not decided yet as a PendingView."""
    return {
        "transaction": {
            "id": str(command.command_id),
            "user_id": command.user_id,
            "type": command.kind.value,
            # The amount of what changes a limit is the limit's, and moves nothing.
            "amount": to_decimal(0 if command.kind in MOVES_NOTHING else command.amount_minor, command.currency),
            "currency": command.currency,
            "status": PENDING,
            "reference_id": command.reference_id,
            "round_id": command.round_id,
            "provider": command.provider,
        }
    }


def wallet(user_id: int, balances: Sequence[Balance]) -> dict[str, Any]:
    """Balances as a WalletView."""
    return {
        "user_id": user_id,
        "balances": [
            {
                "currency": balance.currency,
                "cash": to_decimal(balance.cash_minor, balance.currency),
                "reserved": to_decimal(balance.reserved_minor, balance.currency),
            }
            for balance in balances
        ],
    }


def audit(found: Mapping[str, Any]) -> dict[str, Any]:
    """A balance audit, with its accounts' amounts as decimal strings."""
    accounts = [in_decimals(account, account["currency"]) for account in found["accounts"]]
    return {**found, "accounts": accounts}


def figures(currencies: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Figures by currency, with every `…_minor` in them as a decimal string under its name without that ending."""
    return {currency: in_decimals(found, currency) for currency, found in currencies.items()}


def cursor_of(position: int) -> str:
    """The opaque text that stands for a place in a player's transactions."""
    return base64.urlsafe_b64encode(str(position).encode()).rstrip(b"=").decode()


def position_of(cursor: str) -> int:
    """The inverse of `cursor_of`. Raises InvalidInput for a text that did not come from it."""
    try:
        position = int(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        position = 0
    if not 1 <= position <= MAX_INT64 or cursor_of(position) != cursor:
        raise InvalidInput([FieldError("cursor", "must be the next_cursor of a page before")])
    return position


def day_of(text: str) -> date:
    """A day from a path. Raises InvalidInput."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise InvalidInput([FieldError("date", "must be a day such as 2026-11-24")])
    return day
