"""What compliance audits count: kept from the ledger's rows, added up for a period."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Row, bindparam, select, text
from sqlalchemy.dialects.postgresql import INTERVAL, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_service.domain.watching import Thresholds, Watched
from compliance_service.tables import compliance_audits, exclusion_rows, limit_changes, watched_deposits
from shared import database
from shared.contracts.audit import AmlDeposits, ComplianceAudit, ComplianceAuditHead, Figures

# Findings of one sort in an audit at most; their count is of all.
MAX_LISTED = 100

_ADD_TIERS = """INSERT INTO tiers AS t (user_id, since, tier)
    SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::text[])
    ON CONFLICT (user_id) DO UPDATE SET since = excluded.since, tier = excluded.tier
    WHERE excluded.tier IS NOT NULL"""
# What was accepted while an exclusion was in force: the player's last exclusion row before it had not ended by then.
# A player's rows are all of one lane, so positions tell which came first.
_ADD_BREACHES = """INSERT INTO breaches (user_id, position, excluded_at, at, lane, kind)
    SELECT p.user_id, p.position, e.position, p.at, p.lane, p.kind
    FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::smallint[], $5::text[])
        AS p(user_id, position, at, lane, kind)
    CROSS JOIN LATERAL (
        SELECT position, until, type FROM exclusion_rows x
        WHERE x.user_id = p.user_id AND x.position < p.position ORDER BY x.position DESC LIMIT 1
    ) e WHERE e.type IS NOT NULL AND (e.until IS NULL OR p.at < e.until)"""

_PLAYERS = text("SELECT coalesce(tier, '') AS tier, count(*) AS players FROM tiers GROUP BY 1 ORDER BY 1")
_IN_FORCE = text(
    """SELECT type, count(*) AS players FROM (
        SELECT DISTINCT ON (user_id) type, until FROM exclusion_rows WHERE at < :end ORDER BY user_id, position DESC
    ) last WHERE type IS NOT NULL AND (until IS NULL OR until >= :end) GROUP BY type ORDER BY type"""
)
_BREACHES = text(
    f"""SELECT user_id, lane, position, excluded_at, at, kind, count(*) OVER () AS total FROM breaches
    WHERE at >= :start AND at < :end ORDER BY at, lane, position LIMIT {MAX_LISTED}"""  # noqa: S608
)
_LIMITS = text(
    """SELECT kind, count(*) AS changes, count(waits_until) FILTER (WHERE kind = 'LIMIT_REQUEST') AS waiting
    FROM limit_changes WHERE at >= :start AND at < :end GROUP BY kind ORDER BY kind"""
)
# How long the raises waited that were confirmed, and whether one was before its time.
_WAITS = text(
    """SELECT count(*) AS confirmed, extract(epoch FROM min(c.at - r.at))::bigint AS shortest_s,
        extract(epoch FROM max(c.at - r.at))::bigint AS longest_s, count(*) FILTER (WHERE c.at < r.waits_until) AS early
    FROM limit_changes c CROSS JOIN LATERAL (
        SELECT at, waits_until FROM limit_changes x WHERE x.user_id = c.user_id AND x.name = c.name
            AND x.currency = c.currency AND x.position < c.position AND x.kind = 'LIMIT_REQUEST'
        ORDER BY x.position DESC LIMIT 1
    ) r WHERE c.kind = 'LIMIT_CONFIRMATION' AND c.at >= :start AND c.at < :end"""
)
_LARGE = text(
    f"""SELECT user_id, currency, amount, at, lane, position, count(*) OVER () AS total FROM watched_deposits
    WHERE large AND at >= :start AND at < :end ORDER BY at, lane, position LIMIT {MAX_LISTED}"""  # noqa: S608
)
# A window that began before the period belongs to it where it ends in it.
_STRUCTURED = text(
    f"""SELECT user_id, currency, max(deposits) AS deposits, max(amount)::bigint AS amount, min(at) AS at,
        count(*) OVER () AS total
    FROM (
        SELECT user_id, currency, at, count(*) OVER w AS deposits, sum(amount) OVER w AS amount
        FROM watched_deposits WHERE NOT large AND at >= :start - :within AND at < :end
        WINDOW w AS (PARTITION BY user_id, currency ORDER BY at RANGE BETWEEN :within PRECEDING AND CURRENT ROW)
    ) each WHERE deposits >= :count AND at >= :start
    GROUP BY user_id, currency ORDER BY 5, 1, 2 LIMIT {MAX_LISTED}"""  # noqa: S608
).bindparams(bindparam("start", type_=DateTime(timezone=True)), bindparam("within", type_=INTERVAL()))
# By their month alone: the day is encrypted.
_DOCUMENTS = text(
    """SELECT to_char(expiry_month, 'YYYY-MM') AS month, count(*) AS players FROM kyc
    WHERE state = 'verified' AND expiry_month < date_trunc('month', now()) + interval '4 months'
    GROUP BY 1 ORDER BY 1"""
)
_REVIEWS = text(
    """SELECT age, count(*) AS players FROM (
        SELECT CASE WHEN waited < interval '1 day' THEN 'under 1 day' WHEN waited < interval '7 days' THEN '1 to 7 days'
            WHEN waited < interval '30 days' THEN '7 to 30 days' ELSE 'over 30 days' END AS age, waited
        FROM (SELECT now() - changed_at AS waited FROM kyc WHERE state = 'review') each
    ) named GROUP BY age ORDER BY min(waited)"""
)
_POSITIONS = text("SELECT lane, position FROM inbox ORDER BY lane")


async def save(connection: AsyncConnection, kept: Watched) -> None:
    """Keep what a batch of ledger rows has for later audits."""
    raw = await database.driver(connection)
    await raw.execute(_ADD_TIERS, *_columns([kept.tiers[user_id] for user_id in sorted(kept.tiers)]))
    for table, rows in (
        (exclusion_rows, kept.exclusions),
        (limit_changes, kept.limits),
        (watched_deposits, kept.deposits),
    ):
        if rows:
            await connection.execute(insert(table), [row._asdict() for row in rows])
    if kept.play:
        await raw.execute(_ADD_BREACHES, *_columns(kept.play))


class ComplianceAudits:
    """Compliance audits: made in one snapshot, kept, and read again. Raises DatabaseUnavailable."""

    def __init__(self, engine: AsyncEngine, thresholds: Thresholds, initial_tier: str) -> None:
        self._engine = engine
        self._thresholds = thresholds
        self._initial_tier = initial_tier

    async def figures(self, start: datetime, end: datetime) -> Figures:
        """A period's figures. Tiers are as they are now, exclusions in force as at its end."""
        period = {"start": start, "end": end}
        structuring = {"within": timedelta(hours=self._thresholds.within_h), "count": self._thresholds.count}
        async with database.reading(self._engine) as connection:
            tiers = {row.tier or self._initial_tier: row.players for row in await connection.execute(_PLAYERS)}
            in_force = (await connection.execute(_IN_FORCE, {"end": end})).all()
            breaches = (await connection.execute(_BREACHES, period)).all()
            limits = (await connection.execute(_LIMITS, period)).all()
            waits = (await connection.execute(_WAITS, period)).one()
            large = (await connection.execute(_LARGE, period)).all()
            structured = (await connection.execute(_STRUCTURED, period | structuring)).all()
            documents = (await connection.execute(_DOCUMENTS)).all()
            reviews = (await connection.execute(_REVIEWS)).all()
            positions = (await connection.execute(_POSITIONS)).all()
        players = sum(tiers.values())
        return Figures.model_validate(
            {
                "players": players,
                "verified": players - tiers.get(self._initial_tier, 0),
                "tiers": tiers,
                "exclusions_in_force": {row.type: row.players for row in in_force},
                "breach_count": _total(breaches),
                "breaches": [row._mapping for row in breaches],
                "limit_changes": {row.kind: row.changes for row in limits},
                "raises_requested": sum(row.waiting for row in limits),
                "waits": waits._mapping,
                "large_deposits": _deposits(large),
                "structured_deposits": _deposits(structured),
                "positions": {str(row.lane): row.position for row in positions},
                "documents_expiring": {row.month: row.players for row in documents},
                "reviews_open": {row.age: row.players for row in reviews},
            }
        )

    async def latest(self, limit: int) -> Sequence[ComplianceAuditHead]:
        """The audits that were made last, the newest first."""
        query = select(compliance_audits).order_by(compliance_audits.c.requested_at.desc()).limit(limit)
        async with database.reading(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [
            ComplianceAuditHead(
                id=row.id,
                start=row.period_from,
                end=row.period_to,
                requested_at=row.requested_at,
                requested_by=row.requested_by,
                breach_count=row.figures["breach_count"],
            )
            for row in rows
        ]

    async def get(self, audit_id: UUID) -> ComplianceAudit | None:
        """A compliance audit, or None where there is none."""
        query = select(compliance_audits).where(compliance_audits.c.id == audit_id)
        async with database.reading(self._engine) as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            return None
        return ComplianceAudit(
            id=row.id,
            start=row.period_from,
            end=row.period_to,
            requested_at=row.requested_at,
            requested_by=row.requested_by,
            figures=Figures.model_validate(row.figures),
        )


async def save_audit(connection: AsyncConnection, made: ComplianceAudit) -> bool:
    """Keep a compliance audit; False where there is one of its id."""
    kept = insert(compliance_audits).values(
        id=made.id,
        period_from=made.start,
        period_to=made.end,
        requested_at=made.requested_at,
        requested_by=made.requested_by,
        figures=made.figures.model_dump(mode="json"),
    )
    unless_there = kept.on_conflict_do_nothing().returning(compliance_audits.c.id)
    return (await connection.execute(unless_there)).first() is not None


def _deposits(rows: Sequence[Row[Any]]) -> AmlDeposits:
    return AmlDeposits.model_validate({"count": _total(rows), "listed": [row._mapping for row in rows]})


def _total(rows: Sequence[Row[Any]]) -> int:
    return rows[0].total if rows else 0


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
