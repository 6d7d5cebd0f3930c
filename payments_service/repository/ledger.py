"""The ledger's rows that moved a provider's clearing account: one of the three sides of a settlement."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payments_service.domain.settlement import Movement
from payments_service.tables import ledger_movements
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Account, Kind, Status


async def apply(connection: AsyncConnection, events: Sequence[LedgerEvent]) -> None:
    """Keep what moved a clearing account."""
    rows = [
        {
            "lane": event.lane,
            "position": event.position,
            "command_id": event.command_id,
            "about": _about(event),
            "user_id": event.user_id,
            "movement": _movement(event),
            "provider": event.provider,
            "currency": event.currency,
            "amount_minor": event.amount_minor,
            "at": event.created_at,
        }
        for event in events
        if event.status is Status.POSTED and event.provider and Account.CLEARING in (event.debit, event.credit)
    ]
    if rows:
        await connection.execute(insert(ledger_movements).on_conflict_do_nothing(), rows)


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
