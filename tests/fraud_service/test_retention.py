"""What is past its time goes, in bounded parts, and nothing else."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.domain.observations import milliseconds
from fraud_service.handlers import retention
from fraud_service.handlers.retention import Retention
from fraud_service.repository import jobs
from fraud_service.repository.jobs import JobKind
from fraud_service.settings import Settings
from fraud_service.tables import games, links, rule_days, score_history, signals
from fraud_service.tables import jobs as jobs_table
from shared import database
from shared.testing import MOMENT

pytestmark = pytest.mark.integration

TABLES = (games, signals, links, score_history, rule_days, jobs_table)


async def fill(engine: AsyncEngine, age: timedelta, number: int) -> None:
    """A row in each table, of an age."""
    at = MOMENT - age
    played = {"user_id": 1, "stake_minor": 1, "payout_minor": 0, "game_id": "g", "outcome": "loss", "currency": "USD"}
    scored = {"user_id": 1, "at": at, "revision": 1, "score": 1, "level": "SAFE", "reasons": []}
    async with database.transaction(engine) as connection:
        await connection.execute(insert(games).values(created_at=at, round_id=f"r-{number}", **played))
        await connection.execute(insert(signals).values(received_at=at, source="s", event_id=str(number)))
        await connection.execute(insert(links).values(what="device", key="d", user_id=number, at=milliseconds(at)))
        await connection.execute(insert(score_history).values(**scored))
        await connection.execute(insert(rule_days).values(version=number, day=at.date(), asked=1, fired=1))
        job = await jobs.put(connection, JobKind.BACKTEST, "ana", {"number": str(uuid4())})
        await connection.execute(update(jobs_table).where(jobs_table.c.id == job.id).values(finished_at=at))


async def left(engine: AsyncEngine) -> dict[str, int]:
    async with database.reading(engine) as connection:
        counts = [(await connection.execute(select(func.count()).select_from(table))).scalar_one() for table in TABLES]
    return {table.name: count for table, count in zip(TABLES, counts, strict=True)}


async def test_what_is_past_its_time_goes_a_part_at_a_time(
    engine: AsyncEngine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, days in enumerate((500, 450, 401)):
        await fill(engine, timedelta(days=days), number)
    await fill(engine, timedelta(days=100), 9)
    async with database.transaction(engine) as connection:
        await jobs.put(connection, JobKind.BACKTEST, "ana", {})
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    keeper = Retention(settings, engine, lambda: MOMENT)

    names = [table.name for table in TABLES]
    assert [await keeper.look() for _ in range(3)] == [dict.fromkeys(names, gone) for gone in (2, 1, 0)]
    # A job that has not finished stays, however old it is.
    assert await left(engine) == dict.fromkeys(names, 1) | {"jobs": 2}


async def test_events_go_before_records(engine: AsyncEngine, settings: Settings) -> None:
    await fill(engine, timedelta(days=settings.fraud_events_days + 1), 1)
    gone = await Retention(settings, engine, lambda: MOMENT).look()
    assert {name for name, count in gone.items() if count} == {"games", "signals", "links"}
