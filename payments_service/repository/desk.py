"""What payments stand on: one player at a time, the kill switch, and what staff said."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payments_service.domain.availability import Switch
from payments_service.tables import approvals, availability


async def lock_player(connection: AsyncConnection, user_id: int) -> None:
    """Put one player's requests in order: two withdrawals must not both count on what came from one instrument."""
    await connection.execute(select(func.pg_advisory_xact_lock(user_id)))


async def takes_turn(connection: AsyncConnection) -> bool:
    """Whether no other instance releases what is queued, until the transaction ends."""
    key = func.hashtextextended(func.current_schema() + ".queue", 0)
    taken: bool = (await connection.execute(select(func.pg_try_advisory_xact_lock(key)))).scalar_one()
    return taken


async def switches(connection: AsyncConnection) -> Sequence[Switch]:
    """What was said of which payments."""
    a = availability.c
    rows = await connection.execute(select(a.provider, a.direction, a.method, a.available))
    return [Switch(*row) for row in rows]


async def all_switches(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """The same with who said it, when and why."""
    return (await connection.execute(select(availability).order_by(*availability.primary_key.columns))).all()


async def switch(connection: AsyncConnection, said: Switch, reason: str, actor: str, now: datetime) -> None:
    """Say whether some payments are available."""
    values = {**said._asdict(), "reason": reason, "actor": actor, "changed_at": now}
    new = insert(availability).values(values)
    changed = {name: new.excluded[name] for name in ("available", "reason", "actor", "changed_at")}
    await connection.execute(new.on_conflict_do_update(constraint="availability_pkey", set_=changed))


async def approve(
    connection: AsyncConnection,
    payment_id: UUID,
    act: str,
    *,
    verdict: str,
    actor: str,
    reason: str,
    evidence: str | None,
    now: datetime,
) -> None:
    """Keep what somebody of staff said of a payment, beside what they said of it before."""
    values = {"payment_id": payment_id, "act": act, "verdict": verdict, "actor": actor, "reason": reason}
    await connection.execute(insert(approvals).values(values | {"evidence": evidence, "at": now}))


async def said(connection: AsyncConnection, payment_id: UUID) -> Sequence[Row[*tuple[Any, ...]]]:
    """What staff said of a payment, in order."""
    a = approvals.c
    query = select(a.act, a.verdict, a.actor, a.reason, a.evidence, a.at).where(a.payment_id == payment_id)
    return (await connection.execute(query.order_by(a.number))).all()
