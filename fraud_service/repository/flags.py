"""Flags: raised in the transaction that scores, moved by people, woken by time."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import Row, func, insert, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fraud_service.domain.flags import RESOLVED, UNRESOLVED, Standing, may_become, seen_at
from fraud_service.repository.players import Scored, reasons_json
from fraud_service.tables import fraud_flags
from shared import database
from shared.contracts.fraud import FlagStatus
from shared.errors import FieldError, InvalidInput, NotFound

_c = fraud_flags.c
MAX_NOTES = 200


class FlagPage(NamedTuple):
    """What of the flags is asked for: those below a score and id in the queue's order."""

    statuses: Sequence[FlagStatus]
    min_score: int
    user_id: int | None
    after: tuple[int, datetime, UUID] | None
    limit: int


async def standings(connection: AsyncConnection, user_ids: Iterable[int]) -> Mapping[int, Standing]:
    """The latest flag of each of these players that has one."""
    query = (
        select(_c.user_id, _c.status, _c.seen_at)
        .where(_c.user_id.in_(list(user_ids)))
        .order_by(_c.user_id, _c.created_at.desc(), _c.seen_at.desc())
        .ext(distinct_on(_c.user_id))
    )
    rows = await connection.execute(query)
    return {row.user_id: Standing(FlagStatus(row.status), row.seen_at) for row in rows}


async def raise_new(connection: AsyncConnection, scored: Sequence[Scored]) -> Sequence[UUID]:
    """Raise a flag for each of these players; returns their ids, in order."""
    made = [uuid4() for _ in scored]
    if scored:
        rows = [
            {
                "id": flag_id,
                "user_id": s.user_id,
                "seen_at": seen_at(s.score),
                "score": s.score.score,
                "level": s.score.level.value,
                "status": FlagStatus.OPEN.value,
                "reasons": reasons_json(s.score.reasons),
            }
            for flag_id, s in zip(made, scored, strict=True)
        ]
        now = func.clock_timestamp()
        await connection.execute(insert(fraud_flags).values(created_at=now, changed_at=now), rows)
    return made


async def keep_up(connection: AsyncConnection, scored: Sequence[Scored]) -> None:
    """Let these players' unresolved flags say what their scores are for now."""
    for s in scored:
        mine = update(fraud_flags).where(_c.user_id == s.user_id, _c.status.in_(_values(UNRESOLVED)))
        await connection.execute(
            mine.values(
                score=func.greatest(_c.score, s.score.score),
                seen_at=seen_at(s.score),
                reasons=reasons_json(s.score.reasons),
                changed_at=func.clock_timestamp(),
            )
        )


async def move(
    connection: AsyncConnection, flag_id: UUID, to: FlagStatus, by: str, note: str | None, until: datetime | None = None
) -> Row[Any]:
    """Move a flag; said twice, it is moved once. Raises NotFound, and InvalidInput where it may not become that."""
    flag = await _lock(connection, flag_id)
    if flag.status == to and flag.snoozed_until == until and _said_last(flag, by, note):
        return flag
    if not may_become(FlagStatus(flag.status), to):
        raise InvalidInput([FieldError("status", f"is {flag.status} and cannot become {to}")])
    values: dict[str, Any] = {"status": to.value, "snoozed_until": until}
    if to in RESOLVED:
        values |= {"resolved_at": func.clock_timestamp(), "resolved_by": by, "resolution": note}
    return await _change(connection, flag, by, note, values)


async def assign(connection: AsyncConnection, flag_id: UUID, assignee: str | None, by: str) -> Row[Any]:
    """Give a flag to somebody, who then reviews it; or to nobody. Raises NotFound and InvalidInput."""
    flag = await _lock(connection, flag_id)
    if FlagStatus(flag.status) in RESOLVED:
        raise InvalidInput([FieldError("status", f"is {flag.status}; it is nobody's any more")])
    if flag.assignee == assignee:
        return flag
    values: dict[str, Any] = {"assignee": assignee}
    if flag.status == FlagStatus.OPEN and assignee is not None:
        values["status"] = FlagStatus.IN_REVIEW.value
    return await _change(connection, flag, by, None, values)


async def add_note(connection: AsyncConnection, flag_id: UUID, by: str, note: str) -> Row[Any]:
    """Write to a flag; said twice in a row, it is written once. Raises NotFound."""
    flag = await _lock(connection, flag_id)
    return flag if _said_last(flag, by, note) else await _change(connection, flag, by, note, {})


async def wake(connection: AsyncConnection, now: datetime, limit: int) -> Sequence[Row[Any]]:
    """Open at most so many flags whose snooze is over; returns them."""
    due = select(_c.id).where(_c.status == FlagStatus.SNOOZED.value, _c.snoozed_until <= now)
    mine = due.order_by(_c.snoozed_until).limit(limit).with_for_update(skip_locked=True)
    woken = (
        update(fraud_flags)
        .where(_c.id.in_(mine))
        .values(status=FlagStatus.OPEN.value, snoozed_until=None, changed_at=func.clock_timestamp())
    )
    rows: Sequence[Row[Any]] = (await connection.execute(woken.returning(fraud_flags))).all()
    return rows


async def _lock(connection: AsyncConnection, flag_id: UUID) -> Row[Any]:
    flag = (await connection.execute(select(fraud_flags).where(_c.id == flag_id).with_for_update())).first()
    if flag is None:
        raise NotFound(f"there is no flag {flag_id}")
    return flag


def _said_last(flag: Row[Any], by: str, note: str | None) -> bool:
    last = flag.notes[-1] if flag.notes else {"by": None, "note": None}
    return (last["by"], last["note"]) == (by, note)


async def _change(
    connection: AsyncConnection, flag: Row[Any], by: str, note: str | None, values: dict[str, Any]
) -> Row[Any]:
    if note is not None:
        if len(flag.notes) >= MAX_NOTES:
            raise InvalidInput([FieldError("note", f"a flag has at most {MAX_NOTES} notes")])
        at: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
        values["notes"] = [*flag.notes, {"at": at.isoformat(), "by": by, "note": note}]
    changed = update(fraud_flags).where(_c.id == flag.id).values(changed_at=func.clock_timestamp(), **values)
    row: Row[Any] = (await connection.execute(changed.returning(fraud_flags))).one()
    return row


class Flags:
    """What is read of flags. Raises DatabaseUnavailable."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def page(self, asked: FlagPage) -> Sequence[Row[Any]]:
        """Flags by score, the highest first, and then by age, the oldest first."""
        query = select(fraud_flags).where(_c.status.in_(_values(asked.statuses)), _c.score >= asked.min_score)
        if asked.user_id is not None:
            query = query.where(_c.user_id == asked.user_id)
        if asked.after is not None:
            score, created_at, flag_id = asked.after
            query = query.where(
                or_(_c.score < score, (_c.score == score) & (tuple_(_c.created_at, _c.id) > (created_at, flag_id)))
            )
        query = query.order_by(_c.score.desc(), _c.created_at, _c.id).limit(asked.limit)
        async with database.reading(self._engine) as connection:
            return (await connection.execute(query)).all()

    async def get(self, flag_id: UUID) -> Row[Any]:
        """A flag. Raises NotFound."""
        async with database.reading(self._engine) as connection:
            flag = (await connection.execute(select(fraud_flags).where(_c.id == flag_id))).first()
        if flag is None:
            raise NotFound(f"there is no flag {flag_id}")
        return flag


def _values(statuses: Iterable[FlagStatus]) -> list[str]:
    return sorted(status.value for status in statuses)
