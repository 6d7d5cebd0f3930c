"""What is read to see how well fraud detection does. Each statement looks at a bounded number of rows."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import exists, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.domain.flags import UNRESOLVED
from fraud_service.domain.monitoring import Counted, Precision
from fraud_service.domain.scoring import Level
from fraud_service.tables import features, fraud_flags, fraud_rules, rule_days
from shared import database
from shared.contracts.fraud import RuleState

# The flags that are looked at: the unresolved with the highest scores, the resolved that are newest.
MOST_FLAGS = 1000
MOST_RESOLVED = 10_000
MOST_RULES = 1000

_UNRESOLVED = sorted(status.value for status in UNRESOLVED)
# A minute is named by its first moment, so what was bet in the flag's own minute does not count.
_PLAYING = text("""
    SELECT f.id, f.user_id, f.score, f.status, f.created_at, b.minute AS last_bet_minute
    FROM (
        SELECT id, user_id, score, status, created_at FROM fraud_flags
        WHERE status IN ('open', 'in_review', 'snoozed') ORDER BY score DESC, created_at, id LIMIT :flags
    ) AS f
    CROSS JOIN LATERAL (
        SELECT minute FROM bet_minutes WHERE user_id = f.user_id AND minute >= f.created_at
        ORDER BY minute DESC LIMIT 1
    ) AS b
    ORDER BY f.score DESC, f.created_at, f.id
""")
_PRECISION = text("""
    SELECT reason.rule, count(*) FILTER (WHERE f.status = 'confirmed') AS confirmed,
        count(*) FILTER (WHERE f.status = 'dismissed') AS dismissed
    FROM (
        SELECT status, reasons FROM fraud_flags WHERE resolved_at >= :since
        ORDER BY resolved_at DESC LIMIT :flags
    ) AS f
    CROSS JOIN LATERAL (SELECT DISTINCT r ->> 'rule' AS rule FROM json_array_elements(f.reasons) AS r) AS reason
    GROUP BY reason.rule ORDER BY reason.rule LIMIT :rules
""")


class Playing(NamedTuple):
    """An unresolved flag whose player has bet after it was raised."""

    id: UUID
    user_id: int
    score: int
    status: str
    created_at: datetime
    last_bet_minute: datetime


class Watched:
    """Raises DatabaseUnavailable."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def unresolved(self) -> int:
        """How many flags are not resolved."""
        query = select(func.count()).where(fraud_flags.c.status.in_(_UNRESOLVED))
        async with database.reading(self._engine) as connection:
            found: int = (await connection.execute(query)).scalar_one()
        return found

    async def raised(self, since: datetime) -> int:
        """How many flags were raised since."""
        query = select(func.count()).where(fraud_flags.c.created_at >= since)
        async with database.reading(self._engine) as connection:
            found: int = (await connection.execute(query)).scalar_one()
        return found

    async def players(self, since: datetime) -> Mapping[str, int]:
        """How many players are of each level but SAFE, as of their last event, which was since."""
        f = features.c
        query = select(f.level, func.count()).where(f.score > 0, f.latest >= since).group_by(f.level)
        async with database.reading(self._engine) as connection:
            rows = await connection.execute(query)
            found = {row[0]: row[1] for row in rows}
        return {level.value: found.get(level.value, 0) for level in Level if level is not Level.SAFE}

    async def playing(self) -> Sequence[Playing]:
        """Of the MOST_FLAGS unresolved flags with the highest scores, those whose player still plays."""
        async with database.reading(self._engine) as connection:
            return [Playing(*row) for row in await connection.execute(_PLAYING, {"flags": MOST_FLAGS})]

    async def failed_rules(self) -> int:
        """Of how many rules a version failed, and no version is active."""
        c, other = fraud_rules.c, fraud_rules.alias("other")
        is_active = exists().where(other.c.rule_id == c.rule_id, other.c.state == RuleState.ACTIVE.value)
        query = select(func.count(c.rule_id.distinct())).where(c.state == RuleState.DISABLED.value, ~is_active)
        async with database.reading(self._engine) as connection:
            found: int = (await connection.execute(query)).scalar_one()
        return found

    async def counted(self, since: date) -> Sequence[Counted]:
        """The versions in force, with how often each was asked and held since a day."""
        c, d = fraud_rules.c, rule_days.c
        query = (
            select(
                *(c.rule_id, c.version, c.state, c.changed_at),
                func.coalesce(func.sum(d.asked), 0),
                func.coalesce(func.sum(d.fired), 0),
            )
            .outerjoin(rule_days, (d.version == c.version) & (d.day >= since))
            .where(c.state.in_([RuleState.ACTIVE.value, RuleState.SHADOW.value]))
            .group_by(c.version)
            .order_by(c.rule_id, c.version)
            .limit(MOST_RULES)
        )
        async with database.reading(self._engine) as connection:
            rows = await connection.execute(query)
            return [Counted(*row[:4], int(row[4]), int(row[5])) for row in rows]

    async def precision(self, since: datetime) -> Sequence[Precision]:
        """Per rule, over at most the MOST_RESOLVED newest flags that were resolved since."""
        asked = {"since": since, "flags": MOST_RESOLVED, "rules": MOST_RULES}
        async with database.reading(self._engine) as connection:
            return [Precision(*row) for row in await connection.execute(_PRECISION, asked)]
