"""The ledger's rows that moved a provider's clearing account: one side of a settlement, and the closed loop's."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, FromClause, and_, func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payments_service.domain.settlement import Movement
from payments_service.repository import days
from payments_service.repository.days import Day
from payments_service.tables import ledger_movements, payments
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Account, Kind, Status


async def apply(connection: AsyncConnection, events: Sequence[LedgerEvent]) -> None:
    """Keep what moved a clearing account, as the journal has it."""
    if rows := [_row(event, in_journal=True) for event in events if _moved(event)]:
        new = insert(ledger_movements)
        kept = {name: new.excluded[name] for name in rows[0]}
        await connection.execute(new.on_conflict_do_update(constraint="ledger_movements_pkey", set_=kept), rows)
        moved = [Day(row["provider"], row["currency"], row["at"].date()) for row in rows]
        await days.of_ledger(connection, moved, max(row["at"] for row in rows))


async def answered(connection: AsyncConnection, event: LedgerEvent) -> None:
    """Keep a decision that the wallet answered with, before the journal brings it: it counts at once."""
    if _moved(event):
        new = insert(ledger_movements).values(_row(event, in_journal=False))
        await connection.execute(new.on_conflict_do_nothing())


def attributed() -> tuple[FromClause, Callable[[str], ColumnElement[Any]]]:
    """The movements, each beside the payment that it is of, where there is one; and that payment's columns by name.

    A reversal is of the payment that it takes back some of.
    """
    moved, reversed_ = ledger_movements, ledger_movements.alias("reversed")
    taken, named = payments.alias("taken"), payments.alias("named")
    command_id, about, movement = (
        func.coalesce(reversed_.c[name], moved.c[name]) for name in ("command_id", "about", "movement")
    )
    # A capture names the hold, which the parts of a withdrawal share; what else moves money names its payment.
    names_its_payment = and_(movement != Movement.OUT, named.c.id == about, named.c.user_id == moved.c.user_id)
    beside = (
        moved.outerjoin(
            reversed_, and_(reversed_.c.command_id == moved.c.about, reversed_.c.user_id == moved.c.user_id)
        )
        .outerjoin(taken, and_(taken.c.taken_by == command_id, taken.c.user_id == moved.c.user_id))
        .outerjoin(named, names_its_payment)
    )

    def column(name: str) -> ColumnElement[Any]:
        return func.coalesce(taken.c[name], named.c[name]).label(name)

    return beside, column


def _moved(event: LedgerEvent) -> bool:
    clearing = Account.CLEARING in (event.debit, event.credit)
    return event.status is Status.POSTED and event.provider is not None and clearing


def _row(event: LedgerEvent, *, in_journal: bool) -> dict[str, Any]:
    return {
        "lane": event.lane,
        "position": event.position,
        "command_id": event.command_id,
        "about": _about(event),
        "user_id": event.user_id,
        "movement": _movement(event),
        "provider": event.provider,
        "currency": event.currency,
        "amount_minor": event.amount_minor,
        "net_minor": event.amount_minor if event.debit == Account.CLEARING else -event.amount_minor,
        "at": event.created_at,
        "in_journal": in_journal,
    }


def _movement(event: LedgerEvent) -> Movement:
    if event.debit == Account.CLEARING:
        return Movement.BACK if event.kind is Kind.REVERSAL else Movement.IN
    return Movement.BACK if event.kind in (Kind.REFUND, Kind.CHARGEBACK) else Movement.OUT


def _about(event: LedgerEvent) -> UUID | None:
    # A payment, the hold of a capture, or the command that a reversal takes back.
    try:
        return UUID(event.reference_id or "")
    except ValueError:
        return None
