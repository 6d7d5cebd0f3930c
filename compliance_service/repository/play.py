"""What is kept of how long players play: each one's last session, and what it set."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from operator import attrgetter

from sqlalchemy import any_, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, BIGINT, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_service.domain.audit import AuditEntry
from compliance_service.domain.play import Session
from compliance_service.repository import audit
from compliance_service.tables import play_sessions, play_settings
from shared import database
from shared.contracts.play import PlaySetting, PlaySettingName

_OF_USERS = bindparam("users", type_=ARRAY(BIGINT))
# As a session has them; `astuple` would copy each value.
_COLUMNS = attrgetter(*(field.name for field in fields(Session)))
_SAVE = """INSERT INTO play_sessions (user_id, started_at, last_bet_at, day, day_s, session_told, day_told, checks_told,
        checked_at)
    SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::date[], $5::integer[], $6::boolean[],
        $7::boolean[], $8::integer[], $9::timestamptz[])
    ON CONFLICT (user_id) DO UPDATE SET started_at = excluded.started_at, last_bet_at = excluded.last_bet_at,
        day = excluded.day, day_s = excluded.day_s, session_told = excluded.session_told,
        day_told = excluded.day_told, checks_told = excluded.checks_told, checked_at = excluded.checked_at"""
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('play/' || :user_id, 0))")


async def sessions(connection: AsyncConnection, user_ids: Iterable[int], *, lock: bool = False) -> dict[int, Session]:
    """The last session of each of these players that has one."""
    query = select(play_sessions).where(play_sessions.c.user_id == any_(_OF_USERS)).order_by(play_sessions.c.user_id)
    rows = await connection.execute(query.with_for_update() if lock else query, {"users": sorted(set(user_ids))})
    return {row.user_id: Session(**row._mapping) for row in rows}


async def save_sessions(connection: AsyncConnection, made: Sequence[Session]) -> None:
    """Keep sessions in the place of these players' last ones."""
    if made:
        raw = await database.driver(connection)
        await raw.execute(_SAVE, *(list(column) for column in zip(*map(_COLUMNS, made), strict=True)))


async def acknowledge(connection: AsyncConnection, user_id: int, now: datetime) -> None:
    """The player has seen its reality check."""
    seen = update(play_sessions).where(play_sessions.c.user_id == user_id)
    await connection.execute(seen.values(checked_at=now))


async def settings(
    connection: AsyncConnection, user_ids: Iterable[int]
) -> dict[int, dict[PlaySettingName, PlaySetting]]:
    """What each of these players set, by name."""
    users = sorted(set(user_ids))
    found: dict[int, dict[PlaySettingName, PlaySetting]] = {user_id: {} for user_id in users}
    query = select(play_settings).where(play_settings.c.user_id == any_(_OF_USERS))
    for row in await connection.execute(query, {"users": users}):
        setting = PlaySetting(value=row.value, pending=row.pending, pending_from=row.pending_from)
        found[row.user_id][PlaySettingName(row.name)] = setting
    return found


async def lock_settings(connection: AsyncConnection, user_id: int) -> dict[PlaySettingName, PlaySetting]:
    """What a player set, which nobody else changes until the transaction ends."""
    await connection.execute(_LOCK, {"user_id": str(user_id)})
    return (await settings(connection, [user_id]))[user_id]


async def save_settings(
    connection: AsyncConnection,
    user_id: int,
    made: Mapping[PlaySettingName, PlaySetting],
    entries: Sequence[AuditEntry],
) -> None:
    """Keep what a player set. The audit log's head is locked in here, so do this last."""
    if made:
        rows = [{"user_id": user_id, "name": name.value, **dict(setting)} for name, setting in made.items()]
        new = insert(play_settings).values(rows)
        fresh = {name: new.excluded[name] for name in ("value", "pending", "pending_from")}
        await connection.execute(new.on_conflict_do_update(index_elements=["user_id", "name"], set_=fresh))
        await audit.record(connection, *entries)
