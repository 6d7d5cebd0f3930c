"""Before a batch: lock its lanes, and read what it needs."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.dialects.postgresql import BYTEA
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts.kinds import Kind
from shared.signing import GENESIS
from wallet_service.domain.batch import (
    AccountKey,
    DecisionKey,
    HoldKey,
    LaneState,
    Loaded,
    MovementKey,
    Needs,
)
from wallet_service.domain.decisions import Hold, Movement, PlayerAccount
from wallet_service.repository.sql import BIGINTS, ROW, SMALLINTS, TEXTS, UUIDS, journal_row, movement_arrays, sql

_MAKE_LANES = sql(
    """INSERT INTO lanes (lane, position, head, next_offset, published, decided_at)
    SELECT lane, 0, :genesis, 0, 0, 'epoch' FROM unnest(:lanes) AS lane ON CONFLICT DO NOTHING""",
    lanes=SMALLINTS,
    genesis=BYTEA(),
)
_LOCK_LANES = sql(
    """SELECT lane, position, head, decided_at, clock_timestamp() AS now
    FROM lanes WHERE lane = ANY(:lanes) ORDER BY lane FOR UPDATE""",
    lanes=SMALLINTS,
)
_DECISIONS = sql(
    f"""SELECT {ROW} FROM unnest(:lanes, :ids) AS k(lane, id)
    JOIN transactions t ON t.lane = k.lane AND t.id = k.id""",  # noqa: S608
    lanes=SMALLINTS,
    ids=UUIDS,
)
_ACCOUNTS = sql(
    """SELECT a.lane, a.user_id, a.currency, a.cash, a.reserved FROM unnest(:lanes, :users) AS k(lane, user_id)
    JOIN accounts a ON a.lane = k.lane AND a.user_id = k.user_id""",
    lanes=SMALLINTS,
    users=BIGINTS,
)
_HOLDS = sql(
    """SELECT h.lane, h.user_id, h.reference_id, h.currency, h.remaining
    FROM unnest(:lanes, :users, :references) AS k(lane, user_id, reference_id)
    JOIN holds h ON h.lane = k.lane AND h.user_id = k.user_id AND h.reference_id = k.reference_id""",
    lanes=SMALLINTS,
    users=BIGINTS,
    references=TEXTS,
)
_CANCELLATIONS = sql(
    """SELECT c.lane, c.user_id, c.kind::text, c.reference_id, c.round_id, c.returned
    FROM unnest(:lanes, :users, :kinds, :references, :rounds) AS k(lane, user_id, kind, reference_id, round_id)
    JOIN cancellations c ON c.lane = k.lane AND c.user_id = k.user_id AND c.kind = k.kind::transaction_kind
        AND c.reference_id = k.reference_id AND c.round_id = k.round_id""",
    lanes=SMALLINTS,
    users=BIGINTS,
    kinds=TEXTS,
    references=TEXTS,
    rounds=TEXTS,
)
_MOVEMENTS = sql(
    """SELECT t.lane, t.user_id, t.kind::text, t.reference_id, k.round_id, array_agg(DISTINCT t.currency) AS currencies,
        sum(t.amount)::bigint AS posted
    FROM unnest(:lanes, :users, :kinds, :references, :rounds) AS k(lane, user_id, kind, reference_id, round_id)
    JOIN transactions t ON t.lane = k.lane
        AND hashtextextended(t.reference_id || '/' || coalesce(t.round_id, ''), t.user_id)
            = hashtextextended(k.reference_id || '/' || k.round_id, k.user_id)
        AND t.kind IN ('GAME_BET', 'GAME_PAYOUT') AND t.status = 'posted'
        AND t.user_id = k.user_id AND t.kind = k.kind::transaction_kind
        AND t.reference_id = k.reference_id AND coalesce(t.round_id, '') = k.round_id
    GROUP BY t.lane, t.user_id, t.kind, t.reference_id, k.round_id""",
    lanes=SMALLINTS,
    users=BIGINTS,
    kinds=TEXTS,
    references=TEXTS,
    rounds=TEXTS,
)


async def load(connection: AsyncConnection, needs: Needs) -> Loaded:
    """Lock the lanes, in ascending order, then read what the batch needs."""
    await connection.execute(_MAKE_LANES, {"lanes": needs.lanes, "genesis": GENESIS})
    lanes = (await connection.execute(_LOCK_LANES, {"lanes": needs.lanes})).all()
    # A clock that steps back, or a wait for the lock, must not date a row before the one in front of it.
    now: datetime = max(max(row.now, row.decided_at) for row in lanes)
    decisions = await connection.execute(
        _DECISIONS, {"lanes": [key.lane for key in needs.decisions], "ids": [key.command_id for key in needs.decisions]}
    )
    accounts = await connection.execute(
        _ACCOUNTS, {"lanes": [lane for lane, _ in needs.players], "users": [user for _, user in needs.players]}
    )
    return Loaded(
        now=now,
        lanes={row.lane: LaneState(row.position, row.head) for row in lanes},
        decisions={DecisionKey(row[0], row[2]): journal_row(row) for row in decisions},
        accounts={AccountKey(*row[:3]): PlayerAccount(*row[3:]) for row in accounts},
        holds=await _holds(connection, needs.holds),
        movements=await _movements(connection, needs.cancellations, needs.movements),
    )


async def _holds(connection: AsyncConnection, keys: Sequence[HoldKey]) -> dict[HoldKey, Hold]:
    if not keys:
        return {}
    lanes, users, references = zip(*keys, strict=True)
    rows = await connection.execute(
        _HOLDS, {"lanes": list(lanes), "users": list(users), "references": list(references)}
    )
    return {HoldKey(*row[:3]): Hold(*row[3:]) for row in rows}


async def _movements(
    connection: AsyncConnection, cancellations: Sequence[MovementKey], movements: Sequence[MovementKey]
) -> dict[MovementKey, Movement]:
    found: dict[MovementKey, Movement] = {}
    if movements:
        for row in await connection.execute(_MOVEMENTS, movement_arrays(movements)):
            key = MovementKey(row.lane, row.user_id, Kind(row.kind), row.reference_id, row.round_id)
            found[key] = Movement(frozenset(row.currencies), row.posted)
    if cancellations:
        for row in await connection.execute(_CANCELLATIONS, movement_arrays(cancellations)):
            key = MovementKey(row.lane, row.user_id, Kind(row.kind), row.reference_id, row.round_id)
            found[key] = found.get(key, Movement())._replace(returned_minor=row.returned, cancelled=True)
    return found
