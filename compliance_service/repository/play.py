"""What is kept of how long players play: each one's last session, and what it set."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_service.domain.audit import AuditEntry
from compliance_service.domain.play import Session
from compliance_service.repository import audit
from compliance_service.tables import play_sessions, play_settings
from shared.contracts.play import PlaySetting, PlaySettingName

_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('play/' || :user_id, 0))")


async def sessions(connection: AsyncConnection, user_ids: Iterable[int], *, lock: bool = False) -> dict[int, Session]:
    """The last session of each of these players that has one."""
    query = select(play_sessions).where(play_sessions.c.user_id.in_(sorted(set(user_ids))))
    query = query.order_by(play_sessions.c.user_id)
    rows = await connection.execute(query.with_for_update() if lock else query)
    return {row.user_id: Session(**row._mapping) for row in rows}


async def save_sessions(connection: AsyncConnection, made: Sequence[Session]) -> None:
    """Keep sessions in the place of these players' last ones."""
    if made:
        new = insert(play_sessions).values([asdict(session) for session in made])
        fresh = {column.name: new.excluded[column.name] for column in play_sessions.c if not column.primary_key}
        await connection.execute(new.on_conflict_do_update(index_elements=["user_id"], set_=fresh))


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
    for row in await connection.execute(select(play_settings).where(play_settings.c.user_id.in_(users))):
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
