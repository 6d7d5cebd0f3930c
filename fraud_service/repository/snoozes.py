"""Snoozes of rules, by player. None is deleted: scores that are read again from the start need them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from fraud_service.domain.observations import milliseconds
from fraud_service.domain.snoozes import Snooze
from fraud_service.tables import fraud_rules, rule_snoozes
from shared.contracts.fraud import NewRuleSnooze
from shared.errors import FieldError, InvalidInput, NotFound

_c = rule_snoozes.c
MOST_LISTED = 200
_LOCK = text("SELECT pg_advisory_xact_lock(:user_id)")


async def of_players(connection: AsyncConnection, user_ids: Iterable[int]) -> Mapping[int, Sequence[Snooze]]:
    """These players' snoozes, whenever they hold."""
    query = select(_c.user_id, _c.rule_id, _c.since, _c.until).where(_c.user_id.in_(list(user_ids)))
    found: dict[int, list[Snooze]] = defaultdict(list)
    for user_id, rule, since, until in await connection.execute(query):
        found[user_id].append(Snooze(rule, milliseconds(since), milliseconds(until)))
    return found


async def all_of(connection: AsyncConnection, since: datetime) -> Mapping[int, Sequence[Snooze]]:
    """Every player's snoozes that hold after a moment."""
    users = (await connection.execute(select(_c.user_id).where(_c.until > since).distinct())).scalars().all()
    return await of_players(connection, users)


async def put(connection: AsyncConnection, user_id: int, asked: NewRuleSnooze) -> Row[Any]:
    """Snooze a rule; asked for twice, it is one. Raises InvalidInput where there is no such rule."""
    known = await connection.execute(select(fraud_rules.c.version).where(fraud_rules.c.rule_id == asked.rule_id))
    if known.first() is None:
        raise InvalidInput([FieldError("rule_id", f"there is no rule {asked.rule_id}")])
    await connection.execute(_LOCK, {"user_id": user_id})
    values = {"rule_id": asked.rule_id, "until": asked.until, "made_by": asked.by, "note": asked.note}
    same = [_c[name] == value for name, value in values.items()]
    row = (await connection.execute(select(rule_snoozes).where(_c.user_id == user_id, *same))).first()
    if row is None:
        made = insert(rule_snoozes).values(id=uuid4(), user_id=user_id, **values)
        row = (await connection.execute(made.returning(rule_snoozes))).one()
    return row


async def end(connection: AsyncConnection, user_id: int, snooze_id: UUID, by: str) -> Row[Any]:
    """Wake a rule now; one that is awake stays so. Raises NotFound."""
    mine = (_c.id == snooze_id, _c.user_id == user_id)
    ended = update(rule_snoozes).where(*mine, _c.until > func.clock_timestamp())
    await connection.execute(ended.values(until=func.clock_timestamp(), ended_by=by))
    row = (await connection.execute(select(rule_snoozes).where(*mine))).first()
    if row is None:
        raise NotFound(f"player {user_id} has no snooze {snooze_id}")
    return row


async def listed(connection: AsyncConnection, user_id: int) -> Sequence[Row[Any]]:
    """A player's snoozes, the newest first; at most MOST_LISTED."""
    query = select(rule_snoozes).where(_c.user_id == user_id).order_by(_c.since.desc(), _c.id).limit(MOST_LISTED)
    return (await connection.execute(query)).all()
