"""What comes from topics without positions: rounds, signals, and what players share. Each is taken once."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from hashlib import blake2b
from typing import NamedTuple

from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from fraud_service.domain.observations import MOST_ACCOUNTS, Link, What
from fraud_service.tables import games, links, signals
from shared import database
from shared.contracts.rounds import GameRound

# Kafka repeats what it keeps, and keeps it for 7 days.
SIGNALS_KEPT = timedelta(days=14)
EXPIRED_PER_BATCH = 2000

_EXPIRE = """DELETE FROM signals WHERE (source, event_id) IN (
    SELECT source, event_id FROM signals WHERE received_at < clock_timestamp() - $1::interval
    ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED)"""
_LOCK = "SELECT pg_advisory_xact_lock(key) FROM unnest($1::bigint[]) AS key"
_USERS = """SELECT asked.what, asked.key, users.user_id, users.at
    FROM unnest($1::text[], $2::text[]) AS asked (what, key)
    CROSS JOIN LATERAL (
        SELECT user_id, at FROM links WHERE links.what = asked.what AND links.key = asked.key
        ORDER BY user_id LIMIT $3) AS users"""


class Named(NamedTuple):
    """An event's source and its id there."""

    source: str
    event_id: str


async def take_rounds(connection: AsyncConnection, rounds: Sequence[GameRound]) -> set[tuple[str, int]]:
    """Keep rounds; returns the (round, player) of those that were not there yet."""
    if not rounds:
        return set()
    rows = [
        {
            "created_at": r.occurred_at,
            "user_id": r.user_id,
            "stake_minor": r.stake_minor,
            "payout_minor": r.payout_minor,
            "win_probability_ppm": r.win_probability_ppm,
            "opponent_user_id": r.opponent_user_id,
            "round_id": r.round_id,
            "game_id": r.game_id,
            "outcome": str(r.outcome),
            "currency": r.currency,
        }
        for r in sorted(rounds, key=lambda r: (r.round_id, r.user_id))
    ]
    fresh = upsert(games).values(rows).on_conflict_do_nothing().returning(games.c.round_id, games.c.user_id)
    return {(row.round_id, row.user_id) for row in await connection.execute(fresh)}


async def take_signals(connection: AsyncConnection, names: Iterable[Named]) -> set[Named]:
    """Mark events as taken; returns those that were not yet."""
    rows = [name._asdict() for name in sorted(set(names))]
    if not rows:
        return set()
    fresh = upsert(signals).values(rows).on_conflict_do_nothing().returning(signals.c.source, signals.c.event_id)
    taken = {Named(row.source, row.event_id) for row in await connection.execute(fresh)}
    raw = await database.driver(connection)
    await raw.execute(_EXPIRE, SIGNALS_KEPT, EXPIRED_PER_BATCH)
    return taken


async def link(connection: AsyncConnection, uses: Sequence[Link]) -> Mapping[tuple[What, str], Sequence[Link]]:
    """Keep what players used; returns, per instrument and device, who uses it: at most one more than are told apart."""
    if not uses:
        return {}
    raw = await database.driver(connection)
    keys = sorted({(use.what.value, use.key) for use in uses})
    # Two that add to one at the same time would each count without the other.
    await raw.execute(_LOCK, sorted(_number(f"{what}:{key}") for what, key in keys))
    latest = {(use.what.value, use.key, use.user_id): use.at for use in sorted(uses, key=lambda use: use.at)}
    rows = [{"what": w, "key": k, "user_id": u, "at": at} for (w, k, u), at in sorted(latest.items())]
    new = upsert(links).values(rows)
    later = new.excluded.at
    await connection.execute(
        new.on_conflict_do_update(constraint=links.primary_key, set_={"at": later}, where=links.c.at < later)
    )
    found: dict[tuple[What, str], list[Link]] = {}
    for row in await raw.fetch(_USERS, [what for what, _ in keys], [key for _, key in keys], MOST_ACCOUNTS + 1):
        what = What(row["what"])
        found.setdefault((what, row["key"]), []).append(Link(what, row["key"], row["user_id"], row["at"]))
    return found


def _number(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), signed=True)
