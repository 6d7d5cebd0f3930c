"""Records of reconciliations: requested by whoever may, carried out by whichever instance takes them up."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, select, text, update
from sqlalchemy.dialects.postgresql import INTERVAL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared import database
from shared.contracts.integrity import Period, Reconciliation, ReconciliationSummary
from wallet_service import tables
from wallet_service.domain.reconciling import Cause, Outcome, State
from wallet_service.repository.sql import sql

# One that is begun so often without an end is given up.
MAX_ATTEMPTS = 5
# Whoever takes a record has this long to lock it for its work; one that is not locked then is taken up again.
TAKEN_FOR = timedelta(seconds=5)

_c = tables.reconciliations.c
_SUMMARY = (
    *(_c.id, _c.number, _c.period_from.label("from"), _c.period_to.label("to"), _c.cause, _c.requested_by),
    *(_c.requested_at, _c.status, _c.started_at, _c.finished_at, _c.rows, _c.discrepancy_count),
)
_REQUEST = text(
    """INSERT INTO reconciliations (id, period_from, period_to, cause, requested_by, requested_at, status, attempts)
    VALUES (gen_random_uuid(), :start, :end, :cause, :requested_by, clock_timestamp(), 'requested', 0)
    ON CONFLICT (period_from) WHERE cause = 'monthly' DO NOTHING RETURNING id"""
)
_STANDING = text(
    """SELECT clock_timestamp() AS now,
        (SELECT count(*) FROM reconciliations WHERE status IN ('requested', 'running')) AS open,
        (SELECT discrepancy_count FROM reconciliations WHERE status = 'finished' ORDER BY finished_at DESC LIMIT 1)
            AS discrepancies"""
)
# Two who take at once would look at the same record: PostgreSQL locks it for the second as well, until its transaction
# ends, though it turns out to be taken, and the first finds it locked when it goes to work.
_TAKING = text("SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.reconciliations', 0))")
_TAKE = sql(
    f"""UPDATE reconciliations r SET started_at = clock_timestamp(), attempts = r.attempts + 1,
        status = CASE WHEN r.attempts < {MAX_ATTEMPTS} THEN 'running' ELSE 'failed' END,
        finished_at = CASE WHEN r.attempts < {MAX_ATTEMPTS} THEN NULL ELSE clock_timestamp() END
    FROM (
        SELECT id FROM reconciliations
        WHERE status IN ('requested', 'running')
            AND (status = 'requested' OR started_at < clock_timestamp() - :taken_for)
        ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED
    ) next WHERE r.id = next.id RETURNING r.id, r.status, r.cause""",  # noqa: S608
    taken_for=INTERVAL(),
)


class Standing(NamedTuple):
    """The database's clock, how many records wait for their end, and what the last one that ended well counted."""

    now: datetime
    open: int
    discrepancies: int | None


class Reconciliations:
    """The records, outside the transaction that carries one out."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def request(self, period: Period, cause: Cause, requested_by: str | None) -> UUID | None:
        """Make a record for the workers; None where that month's is there already."""
        asked = {"start": period.start, "end": period.end, "cause": cause, "requested_by": requested_by}
        async with database.transaction(self._engine) as connection:
            found: UUID | None = (await connection.execute(_REQUEST, asked)).scalar_one_or_none()
            return found

    async def standing(self) -> Standing:
        """How the records stand."""
        async with database.reading(self._engine) as connection:
            return Standing(*(await connection.execute(_STANDING)).one())

    async def get(self, record_id: UUID) -> Reconciliation | None:
        """A record, with its discrepancies once it is finished."""
        query = select(*_SUMMARY, _c.discrepancies).where(_c.id == record_id)
        async with database.reading(self._engine) as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            return None
        kept = row.discrepancies or []
        truncated = (row.discrepancy_count or 0) > len(kept)
        return Reconciliation.model_validate({**row._mapping, "discrepancies": kept, "truncated": truncated})

    async def newest(self, before: int | None, limit: int) -> Sequence[ReconciliationSummary]:
        """At most `limit` records whose numbers are below one, the newest first."""
        query = select(*_SUMMARY).order_by(_c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(_c.number < before)
        async with database.reading(self._engine) as connection:
            return [ReconciliationSummary.model_validate(row._mapping) for row in await connection.execute(query)]

    async def take(self) -> Row[Any] | None:
        """The next record that nobody has in hand, marked as running, or as failed where it was begun too often.

        Before it returns, the batches that were under way are committed: their rows are dated before that, and a
        period may have ended meanwhile.
        """
        async with database.transaction(self._engine) as connection:
            await connection.execute(_TAKING)
            taken = (await connection.execute(_TAKE, {"taken_for": TAKEN_FOR})).first()
            if taken is not None:
                await connection.execute(text("SELECT lane FROM lanes ORDER BY lane FOR SHARE"))
            return taken


async def lock_taken(connection: AsyncConnection, record_id: UUID) -> Period | None:
    """Lock a record that was taken until this transaction ends; None where another instance has it, or has ended it."""
    query = select(_c.period_from, _c.period_to).where(_c.id == record_id, _c.status == State.RUNNING)
    row = (await connection.execute(query.with_for_update(skip_locked=True))).first()
    return None if row is None else Period(start=row.period_from, end=row.period_to)


async def save_outcome(connection: AsyncConnection, record_id: UUID, outcome: Outcome) -> None:
    """Write what a reconciliation found."""
    found = [discrepancy.model_dump() for discrepancy in outcome.discrepancies]
    await connection.execute(
        update(tables.reconciliations)
        .where(_c.id == record_id)
        .values(
            status=State.FINISHED,
            finished_at=text("clock_timestamp()"),
            rows=outcome.rows,
            discrepancy_count=outcome.discrepancy_count,
            discrepancies=found,
        )
    )
