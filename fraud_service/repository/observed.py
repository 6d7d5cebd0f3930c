"""What comes from topics without positions: rounds, signals, and what players share. Each is taken once."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from fraud_service.domain.observations import MOST_ACCOUNTS, Link, What, bounded
from fraud_service.tables import games, links, signals
from shared import database
from shared.contracts.rounds import GameRound
from shared.contracts.signals import PlayerSignal

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


async def take_signals(connection: AsyncConnection, found: Mapping[Named, tuple[PlayerSignal, int]]) -> set[Named]:
    """Keep what events said, by their names, each with when its record was taken (ms); returns those that are new."""
    rows = [_told(name, *found[name]) for name in sorted(found)]
    if not rows:
        return set()
    fresh = upsert(signals).values(rows).on_conflict_do_nothing().returning(signals.c.source, signals.c.event_id)
    return {Named(row.source, row.event_id) for row in await connection.execute(fresh)}


def _told(name: Named, signal: PlayerSignal, recorded_ms: int) -> dict[str, Any]:
    kept = signal.model_dump(exclude={"occurred_at"})
    return {**name._asdict(), **kept, "kind": signal.kind.value, "at": bounded(signal.occurred_at, recorded_ms)}


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
