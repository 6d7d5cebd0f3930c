"""What providers ask for: a payment's newest event with a fee counts."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from metrics_service.tables import provider_fees
from shared.contracts.fees import PaymentFee

_c = provider_fees.c


class ToldFee(NamedTuple):
    """A fee, the event that told it, and its day."""

    fee: PaymentFee
    event_id: str
    day: date


async def days_of(connection: AsyncConnection, payments: Sequence[UUID]) -> Mapping[UUID, date]:
    """The days on which these payments' fees count so far."""
    query = select(_c.payment_id, _c.day).where(_c.payment_id.in_(payments))
    return {row.payment_id: row.day for row in await connection.execute(query)}


async def save(connection: AsyncConnection, told: Sequence[ToldFee]) -> None:
    """Keep fees. What a newer event has told of a payment stays."""
    rows = [
        {
            "payment_id": each.fee.payment_id,
            "event_id": each.event_id,
            "occurred_at": each.fee.occurred_at,
            "fee": each.fee.fee_minor,
            "day": each.day,
            "currency": each.fee.currency,
            "provider": each.fee.provider,
        }
        for each in told
    ]
    new = insert(provider_fees)
    put = {column.name: new.excluded[column.name] for column in provider_fees.columns if column.name != "payment_id"}
    newer = tuple_(new.excluded.occurred_at, new.excluded.event_id) > tuple_(_c.occurred_at, _c.event_id)
    await connection.execute(new.on_conflict_do_update(index_elements=[_c.payment_id], set_=put, where=newer), rows)
