"""What is kept of exclusions: each change in one transaction with its event and its entry in the audit log."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, func, literal, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_service.domain import exclusion_records as records
from compliance_service.domain.exclusions import ACTIVE, Actor, Change, Exclusion
from compliance_service.repository import audit
from compliance_service.tables import exclusions, incidents
from shared import outbox
from shared.contracts.exclusions import ExclusionState, ExclusionType, Incident
from shared.outbox import OutboxEvent

_c = exclusions.c
_OPEN = (ExclusionState.REQUESTED, *sorted(ACTIVE))
# One who asks at the door asks the wallet at once; whoever looks for what was left comes after that.
FIRST_LOOK_AFTER = timedelta(seconds=3)
LONGEST_PAUSE_S = 60
# A new exclusion has no row yet that could be locked. In order, so that two batches do not wait for each other.
_LOCK = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('exclusions/' || user_id, 0)) FROM unnest(:users) AS t (user_id)"
).bindparams(bindparam("users", type_=ARRAY(BIGINT)))


async def lock(
    connection: AsyncConnection, user_ids: Iterable[int], also: Sequence[UUID] = ()
) -> dict[int, list[Exclusion]]:
    """These players' exclusions that are requested or in force, and those with these ids or command ids.

    Until the transaction ends, nobody else changes one of theirs.
    """
    users = sorted(set(user_ids))
    found: dict[int, list[Exclusion]] = {user_id: [] for user_id in users}
    await connection.execute(_LOCK, {"users": users})
    query = select(exclusions).where(_c.user_id.in_(users)).order_by(_c.number).with_for_update()
    wanted = or_(_c.state.in_(_OPEN), _c.id.in_(also), _c.command_id.in_(also))
    for row in await connection.execute(query.where(wanted)):
        found[row.user_id].append(_exclusion(row))
    return found


async def find(connection: AsyncConnection, exclusion_id: UUID) -> Exclusion | None:
    """An exclusion, whoever's it is."""
    row = (await connection.execute(select(exclusions).where(_c.id == exclusion_id))).first()
    return None if row is None else _exclusion(row)


async def opened(connection: AsyncConnection, user_id: int) -> Sequence[Exclusion]:
    """A player's exclusions that are requested or in force."""
    query = select(exclusions).where(_c.user_id == user_id, _c.state.in_(_OPEN)).order_by(_c.number)
    return [_exclusion(row) for row in await connection.execute(query)]


async def history(
    connection: AsyncConnection, user_id: int, *, before: int | None, limit: int
) -> Sequence[tuple[int, Exclusion]]:
    """At most so many of a player's exclusions below a number, with their numbers, the newest first."""
    query = select(exclusions).where(_c.user_id == user_id).order_by(_c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(_c.number < before)
    return [(row.number, _exclusion(row)) for row in await connection.execute(query)]


async def save(
    connection: AsyncConnection, changes: Sequence[Change], by: Actor | None, *, ask_after: timedelta = FIRST_LOOK_AFTER
) -> None:
    """Write changes with what tells of them, oldest first. `by` None: the ledger's row is in the audit log itself.

    The loop asks the wallet for what is requested after a while: who saves it asks before that. The audit log's head
    is locked in here, so do this last.
    """
    if not changes:
        return
    # One may change twice in a batch; its last state is what is kept.
    last = {change.after.id: change.after for change in changes}
    new = insert(exclusions).values([_values(exclusion, ask_after) for exclusion in last.values()])
    # What is asked for, and by whom, does not change.
    kept = ("number", "id", "user_id", "requested_at", "command_id", "type", "time_out", "reason", "actor", "by_staff")
    fresh = {column.name: new.excluded[column.name] for column in _c if column.name not in kept}
    await connection.execute(new.on_conflict_do_update(index_elements=[_c.id], set_=fresh))
    told = [(change.after.user_id, found) for change in changes if (found := records.told(change)) is not None]
    await outbox.put(connection, *(OutboxEvent(user_id, kind, body) for user_id, (kind, body) in told))
    if by is not None:
        await audit.record(connection, *(records.audited(change, by) for change in changes))


async def take_due(connection: AsyncConnection, now: datetime, limit: int) -> Sequence[Exclusion]:
    """At most so many exclusions that the wallet is to be asked for, or whose end it is to be asked for.

    Each is due again after a pause that grows, unless the wallet decides: whoever takes one has that long.
    """
    due = select(_c.id).where(_c.ask_after <= now).order_by(_c.ask_after).limit(limit)
    pause_s = func.least(func.power(2, func.least(_c.asked + 1, 10)), LONGEST_PAUSE_S)
    again = {
        "asked": func.least(_c.asked + 1, 10_000),
        "ask_after": literal(now, _c.ask_after.type) + pause_s * timedelta(seconds=1),
    }
    taken = update(exclusions).where(_c.id.in_(due.with_for_update(skip_locked=True))).values(again)
    return [_exclusion(row) for row in await connection.execute(taken.returning(exclusions))]


async def over(connection: AsyncConnection, now: datetime, limit: int) -> Sequence[Exclusion]:
    """At most so many exclusions in force whose time is over, locked."""
    query = select(exclusions).where(_c.state.in_(sorted(ACTIVE)), _c.until <= now).order_by(_c.until).limit(limit)
    return [_exclusion(row) for row in await connection.execute(query.with_for_update(skip_locked=True))]


async def find_incident(connection: AsyncConnection, incident_id: UUID) -> Incident | None:
    """An incident."""
    row = (await connection.execute(select(incidents).where(incidents.c.id == incident_id))).first()
    return None if row is None else Incident.model_validate(dict(row._mapping))


async def open_incident(connection: AsyncConnection, incident: Incident, request_id: str | None) -> None:
    """Keep an incident, with what tells of it. The audit log's head is locked in here, so do this last."""
    await connection.execute(insert(incidents).values(incident.model_dump()))
    entry, body = records.suspended(incident, request_id)
    await outbox.put(connection, OutboxEvent(incident.user_id, records.SUSPENDED, body))
    await audit.record(connection, entry)


def _exclusion(row: Row[*tuple[Any, ...]]) -> Exclusion:
    kept = {name: value for name, value in row._mapping.items() if name not in {"number", "ask_after", "asked"}}
    return Exclusion(**kept | {"type": ExclusionType(row.type), "state": ExclusionState(row.state)})


def _values(exclusion: Exclusion, ask_after: timedelta) -> dict[str, Any]:
    due = None
    if exclusion.state is ExclusionState.REQUESTED:
        due = exclusion.requested_at + ask_after
    elif exclusion.state is ExclusionState.END_REQUESTED:
        due = exclusion.ends_at
    return {**asdict(exclusion), "ask_after": due, "asked": 0}
