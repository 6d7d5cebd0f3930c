"""What payments stand on: instruments by what came from them, the kill switch, and what staff said."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Row, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from payments_service.domain.availability import Switch
from payments_service.domain.closed_loop import Place, Source
from payments_service.domain.ledger import Posted
from payments_service.domain.payments import Payment
from payments_service.domain.ports import Direction
from payments_service.domain.states import OPEN, State
from payments_service.tables import approvals, availability, instruments, payments

_i = instruments.c


async def sources(connection: AsyncConnection, user_id: int, currency: str) -> Sequence[Source]:
    """Where a player's money came from, in one currency."""
    query = select(_i.provider, _i.method, _i.instrument, _i.deposited_minor - _i.returned_minor, _i.since)
    rows = await connection.execute(query.where(_i.user_id == user_id, _i.currency == currency))
    return [Source(Place(row[0], row[1], row[2] or None), row[3], row[4]) for row in rows]


async def on_their_way(connection: AsyncConnection, user_id: int, currency: str) -> Mapping[Place, int]:
    """What is on its way back to each place and has not been counted there, in minor units."""
    p = payments.c
    query = (
        select(p.provider, p.method, p.instrument, func.sum(p.amount_minor).cast(BigInteger))
        .where(p.user_id == user_id, p.currency == currency, p.direction == Direction.WITHDRAWAL)
        .where(p.status.in_((State.CREATED, State.COMPLETED, *OPEN)), p.posted.in_((Posted.NOTHING, Posted.HELD)))
        .group_by(p.provider, p.method, p.instrument)
    )
    return {Place(row[0], row[1], row[2]): row[3] for row in await connection.execute(query)}


async def lock_player(connection: AsyncConnection, user_id: int) -> None:
    """Put one player's requests in order: two withdrawals must not both count on what came from one instrument."""
    await connection.execute(select(func.pg_advisory_xact_lock(user_id)))


async def count(connection: AsyncConnection, payment: Payment, *, deposited: int, returned: int, now: datetime) -> None:
    """Count what came from a payment's instrument, or went back to it, in minor units."""
    new = insert(instruments).values(
        user_id=payment.user_id,
        currency=payment.currency,
        provider=payment.provider,
        method=payment.method,
        instrument=payment.instrument or "",
        last4=payment.last4,
        deposited_minor=deposited,
        returned_minor=returned,
        since=now,
    )
    more = new.on_conflict_do_update(
        constraint="instruments_pkey",
        set_={
            "deposited_minor": _i.deposited_minor + deposited,
            "returned_minor": _i.returned_minor + returned,
        },
    )
    await connection.execute(more)


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
    """Keep what somebody of staff said of a payment; its first word stands."""
    values = {"payment_id": payment_id, "act": act, "verdict": verdict, "actor": actor, "reason": reason}
    new = insert(approvals).values(values | {"evidence": evidence, "at": now})
    await connection.execute(new.on_conflict_do_nothing())


async def said(connection: AsyncConnection, payment_id: UUID) -> Sequence[Row[*tuple[Any, ...]]]:
    """What staff said of a payment, in order."""
    a = approvals.c
    query = select(a.act, a.verdict, a.actor, a.reason, a.evidence, a.at).where(a.payment_id == payment_id)
    return (await connection.execute(query.order_by(a.at, a.actor))).all()
