"""Before a batch: lock its lanes, and read what it needs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.dialects.postgresql import BYTEA, TIMESTAMP
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts.exclusions import ExclusionType
from shared.contracts.kinds import Kind
from shared.contracts.limits import LimitName
from shared.signing import GENESIS
from wallet_service.domain.limits import PlayerLimit, Totals, Window, Windows
from wallet_service.domain.needs import (
    AccountKey,
    DecisionKey,
    HeldKey,
    HoldKey,
    LaneState,
    LimitKey,
    Loaded,
    MovementKey,
    Needs,
)
from wallet_service.domain.restrictions import Block, Restrictions
from wallet_service.domain.state import DisputeState, Hold, Movement, PlayerAccount
from wallet_service.repository.sql import (
    BIGINTS,
    ROW,
    SMALLINTS,
    TEXTS,
    UUIDS,
    held_arrays,
    journal_row,
    movement_arrays,
    sql,
)

_MAKE_LANES = sql(
    """INSERT INTO lanes (lane, position, head, next_offset, published, decided_at)
    SELECT lane, 0, :genesis, 0, 0, 'epoch' FROM unnest(:lanes) AS lane ON CONFLICT DO NOTHING""",
    lanes=SMALLINTS,
    genesis=BYTEA(),
)
_LANES = """SELECT lane, position, head, decided_at, clock_timestamp() AS now
    FROM lanes WHERE lane = ANY(:lanes) ORDER BY lane"""
_LOCK_LANES = sql(f"{_LANES} FOR UPDATE", lanes=SMALLINTS)
_LOOK_AT_LANES = sql(_LANES, lanes=SMALLINTS)
_DECISIONS = sql(
    f"""SELECT {ROW} FROM unnest(:lanes, :ids) AS k(lane, id)
    JOIN transactions t ON t.lane = k.lane AND t.id = k.id""",  # noqa: S608
    lanes=SMALLINTS,
    ids=UUIDS,
)
_ACCOUNTS = sql(
    """SELECT a.lane, a.user_id, a.currency, a.cash, a.reserved, a.deposits, a.bets, a.payouts, a.deposited_at,
        a.opened_at
    FROM unnest(:lanes, :users) AS k(lane, user_id) JOIN accounts a ON a.lane = k.lane AND a.user_id = k.user_id""",
    lanes=SMALLINTS,
    users=BIGINTS,
)
# The first opening in a window has the totals with which the window began.
_FIRST_OPENING = """LEFT JOIN LATERAL (
        SELECT deposits, bets, payouts FROM account_openings o
        WHERE o.lane = k.lane AND o.user_id = k.user_id AND o.currency = k.currency AND o.opened_at >= :{window}
        ORDER BY o.opened_at LIMIT 1
    ) {window} ON true"""
_OPENINGS = sql(
    f"""SELECT k.lane, k.user_id, k.currency,
        {", ".join(f"{window}.deposits, {window}.bets, {window}.payouts" for window in Window)}
    FROM unnest(:lanes, :users, :currencies) AS k(lane, user_id, currency)
    {" ".join(_FIRST_OPENING.format(window=window) for window in Window)}""",  # noqa: S608
    lanes=SMALLINTS,
    users=BIGINTS,
    currencies=TEXTS,
    day=TIMESTAMP(timezone=True),
    week=TIMESTAMP(timezone=True),
    month=TIMESTAMP(timezone=True),
)
_LIMITS = sql(
    """SELECT l.lane, l.user_id, l.name, l.currency, l.override, l.own, l.pending, l.pending_from
    FROM unnest(:lanes, :users) AS k(lane, user_id)
    JOIN player_limits l ON l.lane = k.lane AND l.user_id = k.user_id""",
    lanes=SMALLINTS,
    users=BIGINTS,
)
_RESTRICTIONS = sql(
    """SELECT r.lane, r.user_id, r.exclusion, r.excluded_until, r.tier, r.blocked_since, r.blocked_until, r.block_reason
    FROM unnest(:lanes, :users) AS k(lane, user_id)
    JOIN player_restrictions r ON r.lane = k.lane AND r.user_id = k.user_id""",
    lanes=SMALLINTS,
    users=BIGINTS,
)
_HOLDS = sql(
    """SELECT h.lane, h.user_id, h.reference_id, h.currency, h.remaining, h.hold_until
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
        sum(t.amount)::bigint AS posted, max(t.created_at) AS posted_at
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
_HELD_PAYOUTS = sql(
    """SELECT h.lane, h.user_id, h.currency, h.reference_id, h.round_id, h.held
    FROM unnest(:lanes, :users, :currencies, :references, :rounds)
        AS k(lane, user_id, currency, reference_id, round_id)
    JOIN held_payouts h ON h.lane = k.lane AND h.user_id = k.user_id AND h.currency = k.currency
        AND h.reference_id = k.reference_id AND h.round_id = k.round_id""",
    lanes=SMALLINTS,
    users=BIGINTS,
    currencies=TEXTS,
    references=TEXTS,
    rounds=TEXTS,
)
_DISPUTES = sql(
    """SELECT d.lane, d.id, d.state::text FROM unnest(:lanes, :ids) AS k(lane, id)
    JOIN disputes d ON d.lane = k.lane AND d.id = k.id""",
    lanes=SMALLINTS,
    ids=UUIDS,
)


async def load(connection: AsyncConnection, needs: Needs, windows: Windows) -> Loaded:
    """Lock the lanes, in ascending order, then read what the batch needs."""
    await connection.execute(_MAKE_LANES, {"lanes": needs.lanes, "genesis": GENESIS})
    lanes = (await connection.execute(_LOCK_LANES, {"lanes": needs.lanes})).all()
    return await _loaded(connection, needs, windows, lanes)


async def look(connection: AsyncConnection, needs: Needs, windows: Windows) -> Loaded:
    """Read what a batch would need now, and lock nothing."""
    lanes = (await connection.execute(_LOOK_AT_LANES, {"lanes": needs.lanes})).all()
    if not lanes:
        now = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
        return Loaded.nothing(now)
    return await _loaded(connection, needs, windows, lanes)


async def _loaded(connection: AsyncConnection, needs: Needs, windows: Windows, lanes: Sequence[Row[Any]]) -> Loaded:
    # A clock that steps back, or a wait for the lock, must not date a row before the one in front of it.
    now: datetime = max(max(row.now, row.decided_at) for row in lanes)
    decisions = await connection.execute(
        _DECISIONS, {"lanes": [key.lane for key in needs.decisions], "ids": [key.command_id for key in needs.decisions]}
    )
    players = {"lanes": [lane for lane, _ in needs.players], "users": [user for _, user in needs.players]}
    accounts = await connection.execute(_ACCOUNTS, players)
    limits = await connection.execute(_LIMITS, players)
    restrictions = await connection.execute(_RESTRICTIONS, players)
    return Loaded(
        now=now,
        lanes={row.lane: LaneState(row.position, row.head) for row in lanes},
        decisions={DecisionKey(row[0], row[2]): journal_row(row) for row in decisions},
        accounts={AccountKey(*row[:3]): PlayerAccount(row[3], row[4], Totals(*row[5:8]), *row[8:]) for row in accounts},
        openings=await _openings(connection, needs.counted, windows, now),
        limits={LimitKey(row[0], row[1], LimitName(row[2]), row[3]): PlayerLimit(*row[4:]) for row in limits},
        restrictions={(row.lane, row.user_id): _restrictions(row) for row in restrictions},
        holds=await _holds(connection, needs.holds),
        movements=await _movements(connection, needs.cancellations, needs.movements),
        held_minor=await _held(connection, needs.held),
        reversed_minor=await _reversed(connection, needs.originals),
        disputes=await _disputes(connection, list(needs.originals.values())),
    )


def _restrictions(row: Row[Any]) -> Restrictions:
    exclusion = None if row.exclusion is None else ExclusionType(row.exclusion)
    blocked = None if row.blocked_since is None else Block(row.blocked_since, row.blocked_until, row.block_reason)
    return Restrictions(exclusion, row.excluded_until, row.tier, blocked)


async def _openings(
    connection: AsyncConnection, keys: Sequence[AccountKey], windows: Windows, now: datetime
) -> dict[AccountKey, dict[Window, Totals]]:
    if not keys:
        return {}
    lanes, users, currencies = zip(*keys, strict=True)
    asked = {"lanes": list(lanes), "users": list(users), "currencies": list(currencies)}
    starts = {window.value: windows.start(window, now) for window in Window}
    found: dict[AccountKey, dict[Window, Totals]] = {}
    for row in await connection.execute(_OPENINGS, asked | starts):
        opened = {}
        if row[3] is not None:
            opened[Window.DAY] = Totals(row[3], row[4], row[5])
        if row[6] is not None:
            opened[Window.WEEK] = Totals(row[6], row[7], row[8])
        if row[9] is not None:
            opened[Window.MONTH] = Totals(row[9], row[10], row[11])
        if opened:
            found[AccountKey(row[0], row[1], row[2])] = opened
    return found


async def _reversed(
    connection: AsyncConnection, originals: Mapping[MovementKey, DecisionKey]
) -> dict[DecisionKey, int]:
    found = await _movements(connection, list(originals), ())
    return {originals[key]: movement.returned_minor for key, movement in found.items()}


async def _disputes(connection: AsyncConnection, keys: Sequence[DecisionKey]) -> dict[DecisionKey, DisputeState]:
    if not keys:
        return {}
    lanes, ids = zip(*keys, strict=True)
    rows = await connection.execute(_DISPUTES, {"lanes": list(lanes), "ids": list(ids)})
    return {DecisionKey(row.lane, row.id): DisputeState(row.state) for row in rows}


async def _holds(connection: AsyncConnection, keys: Sequence[HoldKey]) -> dict[HoldKey, Hold]:
    if not keys:
        return {}
    lanes, users, references = zip(*keys, strict=True)
    rows = await connection.execute(
        _HOLDS, {"lanes": list(lanes), "users": list(users), "references": list(references)}
    )
    return {HoldKey(*row[:3]): Hold(*row[3:]) for row in rows}


async def _held(connection: AsyncConnection, keys: Sequence[HeldKey]) -> dict[HeldKey, int]:
    if not keys:
        return {}
    rows = await connection.execute(_HELD_PAYOUTS, held_arrays(keys))
    return {HeldKey(*row[:5]): row.held for row in rows}


async def _movements(
    connection: AsyncConnection, cancellations: Sequence[MovementKey], movements: Sequence[MovementKey]
) -> dict[MovementKey, Movement]:
    found: dict[MovementKey, Movement] = {}
    if movements:
        for row in await connection.execute(_MOVEMENTS, movement_arrays(movements)):
            key = MovementKey(row.lane, row.user_id, Kind(row.kind), row.reference_id, row.round_id)
            found[key] = Movement(frozenset(row.currencies), row.posted, posted_at=row.posted_at)
    if cancellations:
        for row in await connection.execute(_CANCELLATIONS, movement_arrays(cancellations)):
            key = MovementKey(row.lane, row.user_id, Kind(row.kind), row.reference_id, row.round_id)
            found[key] = found.get(key, Movement())._replace(returned_minor=row.returned, cancelled=True)
    return found
