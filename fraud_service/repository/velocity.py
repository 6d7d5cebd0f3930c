"""Bets per player and minute."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, DateTime, Integer, SmallInteger, bindparam, delete, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fraud_service.domain.velocity import Bucket, Increments
from fraud_service.tables import bet_minutes, inbox, players
from shared import database
from shared.contracts.events import LanePosition

# Rows past their time that one batch deletes at most: more than a batch adds, so that they never pile up.
EXPIRED_PER_BATCH = 2000


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept of a player: bets per minute in time order, and the ledger position that they are true for."""

    buckets: Sequence[Bucket]
    applied: LanePosition


class Reads:
    """What the endpoints read, each from one snapshot. Raises DatabaseUnavailable."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def player(self, user_id: int, since: datetime) -> Known | None:
        """A player's bets per minute from `since` on, or None for a player that no ledger row has named."""
        async with database.reading(self._engine) as connection:
            found = await connection.execute(
                select(inbox.c.lane, inbox.c.position)
                .join(players, players.c.lane == inbox.c.lane)
                .where(players.c.user_id == user_id)
            )
            row = found.one_or_none()
            if row is None:
                return None
            buckets = await connection.execute(
                select(bet_minutes.c.minute, bet_minutes.c.bets)
                .where(bet_minutes.c.user_id == user_id, bet_minutes.c.minute >= since)
                .order_by(bet_minutes.c.minute)
            )
            return Known([Bucket(*bucket) for bucket in buckets], LanePosition(*row))


async def save(connection: AsyncConnection, increments: Increments, *, keep_since: datetime) -> None:
    """Add a batch's increments, and delete some of what is older than `keep_since`."""
    await connection.execute(
        _add_players, {"user_ids": list(increments.lanes), "lanes": list(increments.lanes.values())}
    )
    if increments.bets:
        await connection.execute(
            _add_bets,
            {
                "user_ids": [key.user_id for key in increments.bets],
                "minutes": [key.minute for key in increments.bets],
                "bets": list(increments.bets.values()),
            },
        )
    await connection.execute(_expire, {"keep_since": keep_since})


_new_players = (
    func.unnest(bindparam("user_ids", type_=ARRAY(BigInteger)), bindparam("lanes", type_=ARRAY(SmallInteger)))
    .table_valued("user_id", "lane")
    .render_derived()
)
_add_players = (
    insert(players)
    .from_select(["user_id", "lane"], select(_new_players.c.user_id, _new_players.c.lane))
    .on_conflict_do_nothing()
)

_new_bets = (
    func.unnest(
        bindparam("user_ids", type_=ARRAY(BigInteger)),
        bindparam("minutes", type_=ARRAY(DateTime(timezone=True))),
        bindparam("bets", type_=ARRAY(Integer)),
    )
    .table_valued("user_id", "minute", "bets")
    .render_derived()
)
_insert_bets = insert(bet_minutes).from_select(
    ["user_id", "minute", "bets"], select(_new_bets.c.user_id, _new_bets.c.minute, _new_bets.c.bets)
)
_add_bets = _insert_bets.on_conflict_do_update(
    constraint=bet_minutes.primary_key, set_={"bets": bet_minutes.c.bets + _insert_bets.excluded.bets}
)

# What another instance holds is left to it.
_expired = (
    select(bet_minutes.c.user_id, bet_minutes.c.minute)
    .where(bet_minutes.c.minute < bindparam("keep_since", type_=DateTime(timezone=True)))
    .order_by(bet_minutes.c.minute)
    .limit(EXPIRED_PER_BATCH)
    .with_for_update(skip_locked=True)
)
_expire = delete(bet_minutes).where(tuple_(bet_minutes.c.user_id, bet_minutes.c.minute).in_(_expired))
