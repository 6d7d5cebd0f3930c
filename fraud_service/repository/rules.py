"""Versions of rules. Every change moves one number, by which the instances see that there is one."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import RowMapping, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fraud_service.domain.rules import MOVES, RuleBody
from fraud_service.tables import fraud_rules, rule_days, rules_revision
from shared import database
from shared.contracts.fraud import RuleState
from shared.errors import FieldError, InvalidInput, NotFound

_c = fraud_rules.c
_MOVE_REVISION = text("UPDATE rules_revision SET revision = revision + 1")
_COUNT = """INSERT INTO rule_days AS d (version, day, asked, fired)
    SELECT version, $2::date, asked, fired
    FROM unnest($1::bigint[], $3::bigint[], $4::bigint[]) AS n (version, asked, fired) ORDER BY version
    ON CONFLICT (version, day) DO UPDATE SET asked = d.asked + excluded.asked, fired = d.fired + excluded.fired"""

_IN_FORCE = (RuleState.ACTIVE.value, RuleState.SHADOW.value)


class RuleVersion(NamedTuple):
    """A version of a rule: who drafted it and why, and who moved it last."""

    version: int
    rule_id: str
    state: RuleState
    body: RuleBody
    author: str
    reason: str
    created_at: datetime
    changed_at: datetime
    changed_by: str
    error: str | None


_COLUMNS = tuple(_c[name] for name in RuleVersion._fields)


async def revision(connection: AsyncConnection) -> int:
    """Counts the changes of the rules."""
    found: int = (await connection.execute(select(rules_revision.c.revision))).scalar_one()
    return found


async def in_force(connection: AsyncConnection) -> Sequence[RuleVersion]:
    """The active and the shadow versions, by rule and version."""
    query = select(*_COLUMNS).where(_c.state.in_(_IN_FORCE)).order_by(_c.rule_id, _c.version)
    return [_version(row._mapping) for row in await connection.execute(query)]


async def seed(connection: AsyncConnection, bodies: Iterable[RuleBody], author: str, reason: str) -> int:
    """Make rules that have no version at all active; returns how many."""
    await connection.execute(select(rules_revision).with_for_update())
    known = set((await connection.execute(select(_c.rule_id).distinct())).scalars())
    fresh = [body for body in bodies if body.id not in known]
    if fresh:
        who = {"author": author, "changed_by": author, "reason": reason, "state": RuleState.ACTIVE.value}
        rows = [{"rule_id": body.id, "body": body.model_dump(mode="json"), **who} for body in fresh]
        await connection.execute(insert(fraud_rules), rows)
        await connection.execute(_MOVE_REVISION)
    return len(fresh)


async def put_draft(connection: AsyncConnection, body: RuleBody, author: str, reason: str) -> RuleVersion:
    """Keep a draft that was checked."""
    made = insert(fraud_rules).values(
        rule_id=body.id,
        state=RuleState.DRAFT.value,
        author=author,
        changed_by=author,
        reason=reason,
        body=body.model_dump(mode="json"),
    )
    return _version((await connection.execute(made.returning(*_COLUMNS))).one()._mapping)


async def get(connection: AsyncConnection, version: int) -> RuleVersion:
    """A version. Raises NotFound."""
    row = (await connection.execute(select(*_COLUMNS).where(_c.version == version))).first()
    if row is None:
        raise NotFound(f"there is no version {version} of a rule")
    return _version(row._mapping)


async def move(
    connection: AsyncConnection, version: int, to: RuleState, by: str, *, error: str | None = None
) -> RuleVersion:
    """Move a version to another state. A version that becomes active retires the one that was.

    Raises NotFound, and InvalidInput where it may not become that.
    """
    # Whoever changes rules does it one after the other.
    await connection.execute(select(rules_revision).with_for_update())
    known = await get(connection, version)
    if known.state is to:
        return known
    if to not in MOVES[known.state]:
        raise InvalidInput([FieldError("version", f"is {known.state} and cannot become {to}")])
    changed = {"changed_at": func.clock_timestamp(), "changed_by": by}
    if to is RuleState.ACTIVE:
        before = update(fraud_rules).where(_c.rule_id == known.rule_id, _c.state == RuleState.ACTIVE.value)
        await connection.execute(before.values(state=RuleState.RETIRED.value, **changed))
    moved = update(fraud_rules).where(_c.version == version)
    await connection.execute(moved.values(state=to.value, error=error, **changed))
    await connection.execute(_MOVE_REVISION)
    return await get(connection, version)


async def disable(connection: AsyncConnection, version: int, by: str, error: str) -> bool:
    """Take a version that failed out of force. False where it was already."""
    await connection.execute(select(rules_revision).with_for_update())
    failed = update(fraud_rules).where(_c.version == version, _c.state.in_(_IN_FORCE))
    values = {"state": RuleState.DISABLED.value, "error": error[:500], "changed_by": by}
    moved = await connection.execute(failed.values(changed_at=func.clock_timestamp(), **values).returning(_c.version))
    if moved.first() is None:
        return False
    await connection.execute(_MOVE_REVISION)
    return True


async def count(connection: AsyncConnection, day: date, asked: int, fired: Mapping[int, int]) -> None:
    """Count that versions were asked of so many players, and of how many each held."""
    if not fired:
        return
    raw = await database.driver(connection)
    versions = sorted(fired)
    await raw.execute(_COUNT, versions, day, [asked] * len(versions), [fired[version] for version in versions])


class RuleReads:
    """What is read of rules. Raises DatabaseUnavailable."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def versions(self, states: Sequence[RuleState], rule_id: str | None = None) -> Sequence[RuleVersion]:
        """The versions in these states, by rule, the newest first."""
        query = select(*_COLUMNS).where(_c.state.in_([state.value for state in states]))
        if rule_id is not None:
            query = query.where(_c.rule_id == rule_id)
        async with database.reading(self._engine) as connection:
            rows = await connection.execute(query.order_by(_c.rule_id, _c.version.desc()).limit(1000))
            return [_version(row._mapping) for row in rows]

    async def fired_since(self, day: date) -> Mapping[int, tuple[int, int]]:
        """Per version since a day: how often it was asked, and how often it held."""
        d = rule_days.c
        query = select(d.version, func.sum(d.asked), func.sum(d.fired)).where(d.day >= day).group_by(d.version)
        async with database.reading(self._engine) as connection:
            rows = await connection.execute(query)
            return {version: (int(asked), int(fired)) for version, asked, fired in rows}


def _version(row: RowMapping) -> RuleVersion:
    values: dict[str, Any] = dict(row)
    return RuleVersion(**values | {"state": RuleState(row["state"]), "body": RuleBody.model_validate(row["body"])})
