"""Blocks that flags ask for, with when the wallet is to be asked next."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, exists, func, insert, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from fraud_service.domain.blocks import DUE, BlockState, FlagBlock, Unblock
from fraud_service.tables import fraud_blocks, inbox, unblocks
from shared.contracts.events import LanePosition

_c = fraud_blocks.c
LONGEST_PAUSE_S = 60


async def add(connection: AsyncConnection, blocks: Sequence[FlagBlock]) -> None:
    """Keep blocks that are requested; each is due at once."""
    if blocks:
        await connection.execute(insert(fraud_blocks), [_values(block) for block in blocks])


async def lock(connection: AsyncConnection, flag_id: UUID) -> FlagBlock | None:
    """A flag's block, if it has one, locked until the transaction ends."""
    row = (await connection.execute(select(fraud_blocks).where(_c.flag_id == flag_id).with_for_update())).first()
    return None if row is None else _block(row)


async def lock_standing(connection: AsyncConnection, user_ids: Iterable[int]) -> Mapping[int, Sequence[FlagBlock]]:
    """These players' blocks that block or are to, locked until the transaction ends."""
    standing = (BlockState.REQUESTED.value, BlockState.IN_FORCE.value, BlockState.COVERED.value)
    query = select(fraud_blocks).where(_c.user_id.in_(sorted(set(user_ids))), _c.state.in_(standing))
    found: dict[int, list[FlagBlock]] = {}
    for row in await connection.execute(query.order_by(_c.flag_id).with_for_update()):
        found.setdefault(row.user_id, []).append(_block(row))
    return found


async def save(connection: AsyncConnection, block: FlagBlock, now: datetime) -> None:
    """Write a block that is locked. What is due in its new state is due at once."""
    kept = {"flag_id", "user_id", "requested_at", "reason", "seen_at"}
    values = {name: value for name, value in _values(block).items() if name not in kept}
    due = now if block.state in DUE else None
    await connection.execute(
        update(fraud_blocks).where(_c.flag_id == block.flag_id).values(values | {"ask_after": due})
    )


async def unplaced(connection: AsyncConnection, limit: int) -> Sequence[FlagBlock]:
    """At most so many blocks of which it is not known yet how far the ledger has to be read before."""
    query = select(fraud_blocks).where(_c.ask_after.is_not(None), _c.read_to.is_(None))
    query = query.where(_c.state == BlockState.REQUESTED.value).order_by(_c.ask_after).limit(limit)
    return [_block(row) for row in await connection.execute(query)]


async def place(connection: AsyncConnection, places: Mapping[UUID, LanePosition]) -> None:
    """Say up to where each flag's player's lane has to be read before the wallet is asked."""
    for flag_id, (lane, position) in places.items():
        # Nobody waits for what another instance has in hand.
        mine = select(_c.flag_id).where(_c.flag_id == flag_id, _c.read_to.is_(None)).with_for_update(skip_locked=True)
        placed = update(fraud_blocks).where(_c.flag_id == mine.scalar_subquery())
        await connection.execute(placed.values(lane=lane, read_to=position))


async def take_due(connection: AsyncConnection, now: datetime, limit: int) -> Sequence[FlagBlock]:
    """At most so many blocks that the wallet is to be asked for.

    Each is due again after a pause that grows, unless the wallet decides: whoever takes one has that long. While a
    player's block is being lifted no other is asked for: it would be lifted with it. Nor is any before the ledger is
    read up to where it stood: what is read on the way may answer it.
    """
    lifted = fraud_blocks.alias("lifted")
    waits = exists().where(
        lifted.c.user_id == _c.user_id,
        lifted.c.state == BlockState.LIFTING.value,
        _c.state == BlockState.REQUESTED.value,
    )
    read = exists().where(inbox.c.lane == _c.lane, inbox.c.position >= _c.read_to)
    ready = or_(_c.state == BlockState.LIFTING.value, _c.read_to == 0, read)
    due = select(_c.flag_id).where(_c.ask_after <= now, ~waits, ready).order_by(_c.ask_after).limit(limit)
    pause_s = func.least(func.power(2, func.least(_c.asked + 1, 10)), LONGEST_PAUSE_S)
    again = {
        "asked": func.least(_c.asked + 1, 10_000),
        "ask_after": literal(now, _c.ask_after.type) + pause_s * timedelta(seconds=1),
    }
    mine = due.with_for_update(skip_locked=True, of=fraud_blocks)
    taken = update(fraud_blocks).where(_c.flag_id.in_(mine)).values(again)
    return [_block(row) for row in await connection.execute(taken.returning(fraud_blocks))]


async def unblocked(connection: AsyncConnection, user_ids: Iterable[int]) -> Mapping[int, Unblock]:
    """The latest unblock of each of these players that has one."""
    query = select(unblocks).where(unblocks.c.user_id.in_(sorted(set(user_ids))))
    return {row.user_id: Unblock(row.position, row.at) for row in await connection.execute(query)}


async def note_unblocks(connection: AsyncConnection, latest: Mapping[int, Unblock]) -> None:
    """Keep players' unblocks, where they are later than those that are known."""
    if latest:
        rows = [{"user_id": user_id, **found._asdict()} for user_id, found in sorted(latest.items())]
        new = upsert(unblocks).values(rows)
        values = {"position": new.excluded.position, "at": func.greatest(unblocks.c.at, new.excluded.at)}
        later = unblocks.c.position < new.excluded.position
        await connection.execute(new.on_conflict_do_update(constraint=unblocks.primary_key, set_=values, where=later))


def _block(row: Row[Any]) -> FlagBlock:
    kept = {name: value for name, value in row._mapping.items() if name not in ("ask_after", "lane", "read_to")}
    return FlagBlock(**kept | {"state": BlockState(row.state)})


def _values(block: FlagBlock) -> dict[str, Any]:
    return asdict(block) | {"state": block.state.value, "ask_after": block.requested_at}
