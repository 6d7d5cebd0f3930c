"""Players' features and scores: a batch's loaded in one statement, and saved in one."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fraud_service.domain.features import Features, decode, encode
from fraud_service.domain.scoring import Level, Reason, Score
from fraud_service.domain.snoozes import Snooze
from fraud_service.repository import snoozes
from fraud_service.tables import score_history
from shared import database

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A score that moves by less, for the same rules and at the same level, is no new line of the history.
HISTORY_STEP = 5
_NO_RULES: frozenset[str] = frozenset()

_MAKE = """INSERT INTO features (user_id, reasons, shadow)
    SELECT user_id, '[]', '[]' FROM unnest($1::bigint[]) AS n (user_id) ON CONFLICT DO NOTHING"""
_LOCK = """SELECT user_id, state::text, score, level, reasons::text FROM features WHERE user_id = ANY($1::bigint[])
    ORDER BY user_id FOR UPDATE"""
_SAVE = """UPDATE features AS f
    SET latest = n.latest, revision = n.revision, score = n.score, level = n.level, reasons = n.reasons::json,
        shadow = n.shadow::json, state = n.state::json
    FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::smallint[], $5::text[], $6::text[], $7::text[],
        $8::text[]) AS n (user_id, latest, revision, score, level, reasons, shadow, state)
    WHERE f.user_id = n.user_id"""
_REMEMBER = """INSERT INTO score_history (user_id, at, revision, score, level, reasons)
    SELECT user_id, at, revision, score, level, reasons::json
    FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::smallint[], $5::text[], $6::text[])
        AS n (user_id, at, revision, score, level, reasons)"""


class Known(NamedTuple):
    """A player as it was before a batch. `rules`: those that its score was by."""

    features: Features
    score: int
    level: Level
    rules: frozenset[str]


class Scored(NamedTuple):
    """A player as it is after a batch. `revision`: of the rules."""

    user_id: int
    features: Features
    score: Score
    revision: int


def moment(milliseconds: int) -> datetime:
    """A time of the domain as a datetime, exactly."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


async def lock(connection: AsyncConnection, user_ids: Iterable[int]) -> Mapping[int, Known]:
    """The players, locked until the transaction ends. Those that are new have empty features."""
    raw = await database.driver(connection)
    # In one order, whoever asks: two batches never wait for each other in a ring.
    wanted = sorted(set(user_ids))
    rows = await raw.fetch(_LOCK, wanted)
    if len(rows) < len(wanted):
        found = {row["user_id"] for row in rows}
        fresh = [user_id for user_id in wanted if user_id not in found]
        await raw.execute(_MAKE, fresh)
        rows += await raw.fetch(_LOCK, fresh)
    return {row["user_id"]: _known(row) for row in rows}


def _known(row: Any) -> Known:
    state, reasons = row["state"], row["reasons"]
    return Known(
        Features() if state is None else decode(state),
        row["score"],
        Level(row["level"]),
        _NO_RULES if reasons == "[]" else frozenset(reason["rule"] for reason in orjson.loads(reasons)),
    )


async def save(connection: AsyncConnection, scored: Sequence[Scored]) -> None:
    """Write players that are locked."""
    if not scored:
        return
    raw = await database.driver(connection)
    await raw.execute(
        _SAVE,
        [s.user_id for s in scored],
        [moment(s.features.latest) for s in scored],
        [s.revision for s in scored],
        [s.score.score for s in scored],
        [s.score.level.value for s in scored],
        [reasons_text(s.score.reasons) for s in scored],
        [reasons_text(s.score.shadow) for s in scored],
        [encode(s.features) for s in scored],
    )


async def remember(connection: AsyncConnection, scored: Sequence[Scored]) -> None:
    """Add lines to the history of scores."""
    if not scored:
        return
    raw = await database.driver(connection)
    await raw.execute(
        _REMEMBER,
        [s.user_id for s in scored],
        [moment(s.score.at) for s in scored],
        [s.revision for s in scored],
        [s.score.score for s in scored],
        [s.score.level.value for s in scored],
        [reasons_text(s.score.reasons) for s in scored],
    )


def differs(before: Known, now: Score) -> bool:
    """Whether a score is a new line of the history."""
    return (
        before.level is not now.level
        or before.rules != {reason.rule for reason in now.reasons}
        or abs(before.score - now.score) >= HISTORY_STEP
    )


def reasons_json(reasons: Iterable[Reason]) -> list[dict[str, Any]]:
    """Reasons as rows and events have them."""
    return [reason._asdict() | {"severity": reason.severity.value} for reason in reasons]


def reasons_text(reasons: Iterable[Reason]) -> str:
    """Reasons as JSON."""
    return orjson.dumps(reasons_json(reasons)).decode()


class Players:
    """What is read of players. Raises DatabaseUnavailable."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def features(self, user_id: int) -> tuple[Features | None, Sequence[Snooze]]:
        """A player's features, or None for one that nothing has named; and the snoozes of rules."""
        async with database.reading(self._engine) as connection:
            raw = await database.driver(connection)
            state = await raw.fetchval("SELECT state::text FROM features WHERE user_id = $1", user_id)
            slept = await snoozes.of_players(connection, [user_id])
            return None if state is None else decode(state), slept.get(user_id, ())

    async def history(self, user_id: int, before: int | None, limit: int) -> Sequence[Any]:
        """At most so many lines of a player's scores, the newest first, below a number."""
        c = score_history.c
        query = select(score_history).where(c.user_id == user_id).order_by(c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(c.number < before)
        async with database.reading(self._engine) as connection:
            return (await connection.execute(query)).all()
