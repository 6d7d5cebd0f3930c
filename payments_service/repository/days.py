"""Which settlement batches there are: one a provider, currency and day on which something moves."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payments_service.domain.settlement import BatchStatus, report_due
from payments_service.tables import settlement_batches

_b = settlement_batches.c
_NAMESPACE = UUID("c2c0a9de-6a0c-5a3e-9a55-7a1f6d0d2b41")


class Day(NamedTuple):
    """A UTC day of one provider and currency."""

    provider: str
    currency: str
    day: date

    @property
    def batch_id(self) -> UUID:
        """The id of its batch."""
        return uuid5(_NAMESPACE, f"{self.provider}/{self.currency}/{self.day.isoformat()}")


def ends_at(day: date) -> datetime:
    """The end of a UTC day."""
    return datetime.combine(day, time(), UTC) + timedelta(days=1)


async def batch_of(connection: AsyncConnection, day: Day, now: datetime) -> UUID:
    """The batch of a day; a new one where there is none."""
    await _add(connection, [day], now)
    return day.batch_id


async def of_ledger(connection: AsyncConnection, days: Iterable[Day], now: datetime) -> None:
    """Have batches for days on which the ledger moved something at a provider that payments go through.

    What moved at others is no payment's, and has nothing to be settled with.
    """
    by_provider: dict[str, list[Day]] = {}
    for day in sorted(set(days)):
        by_provider.setdefault(day.provider, []).append(day)
    for provider, moved in by_provider.items():
        settled = select(_b.id).where(_b.provider == provider).limit(1)
        if (await connection.execute(settled)).first() is not None:
            await _add(connection, moved, now)


async def _add(connection: AsyncConnection, days: Iterable[Day], now: datetime) -> None:
    # Two that make a day's first batch at once conflict in its id or in its day, whichever is looked at first.
    await connection.execute(insert(settlement_batches).on_conflict_do_nothing(), [_row(day, now) for day in days])


def _row(day: Day, now: datetime) -> dict[str, Any]:
    return {
        **day._asdict(),
        "id": day.batch_id,
        "created_at": now,
        "due_at": report_due(ends_at(day.day), 0),
        "attempts": 0,
        "status": BatchStatus.OPEN,
        "reported": False,
    }
