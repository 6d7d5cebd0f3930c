"""Scoring again and backtests, on what a live instance scored before."""

import asyncio
import random
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.app import create_app
from fraud_service.domain.backtests import Trial
from fraud_service.domain.rules import Rule, RuleBody
from fraud_service.domain.scoring import RuleSet
from fraud_service.handlers.backtesting import Backtester
from fraud_service.handlers.reprocessing import Reprocessor
from fraud_service.handlers.rulebook import RuleBook
from fraud_service.handlers.scorer import Scorer
from fraud_service.repository import jobs, snoozes
from fraud_service.repository.jobs import JobKind
from fraud_service.settings import Settings
from shared import clock
from shared import database as databases
from shared.clock import to_text
from shared.telemetry import Metrics
from shared.testing import MOMENT, FakeLedger
from tests.fraud_service.test_replay import PLAYERS, SNOOZED, STATE, Instance, history, read
from tests.support import Database, as_administrator, eventually, started

pytestmark = pytest.mark.integration

SINCE, UNTIL = MOMENT - timedelta(days=1), MOMENT + timedelta(days=1)


async def live(settings: Settings, engine: AsyncEngine, ledger: FakeLedger) -> Instance:
    """An instance that has read everything."""
    topics = history(ledger, random.Random(1))
    instance = Instance(settings, engine, ledger)
    await instance.book.start()
    async with databases.transaction(engine) as connection:
        await connection.execute(text(SNOOZED.replace("fraud.", "")))
    await read(instance, topics, random.Random(2), kills=False)
    return instance


def kept(rules: tuple[Rule, ...] | list[Rule]) -> list[dict[str, Any]]:
    return [{"version": rule.version, "body": rule.body.model_dump(mode="json")} for rule in rules]


async def backtest(engine: AsyncEngine, tester: Backtester, active: list[Any], draft: list[Any]) -> Any:
    request = {"from": to_text(SINCE), "to": to_text(UNTIL), "active": active, "draft": draft}
    async with databases.transaction(engine) as connection:
        job_id: UUID = (await jobs.put(connection, JobKind.BACKTEST, "ana", request)).id
    assert await tester.step()
    async with databases.reading(engine) as connection:
        return await jobs.get(connection, job_id, JobKind.BACKTEST)


async def test_a_backtest_scores_as_the_live_service_does(
    settings: Settings, engine: AsyncEngine, database: Database, ledger: FakeLedger
) -> None:
    rules = (await live(settings, engine, ledger)).book.rules
    seen = await Backtester(settings, engine, ledger).observed(SINCE, UNTIL)
    async with databases.reading(engine) as connection:
        slept = await snoozes.all_of(connection, SINCE)
    assert slept
    rows = await as_administrator(database, STATE)
    assert len(rows) == PLAYERS
    assert any(row["score"] for row in rows)
    for row in rows:
        same = RuleSet(0, rules.active)
        trial = Trial(same, same, settings.parameters(), settings.levels(), slept.get(row["user_id"], ()))
        for observation in sorted(seen[row["user_id"]]):
            trial.take(observation)
        verdict = trial.verdict
        assert verdict.active_score == verdict.draft_score == row["score"]


async def test_two_backtests_give_the_same_and_one_too_long_is_refused(
    settings: Settings, engine: AsyncEngine, ledger: FakeLedger
) -> None:
    active = kept(list((await live(settings, engine, ledger)).book.rules.active))
    body = RuleBody.model_validate(active[0]["body"]).model_copy(
        update={"id": "anybody", "condition": "bets_24h > 0", "sees": "bets_24h", "against": 0, "text": "x"}
    )
    draft = [{"version": 0, "body": body.model_copy(update={"points": 100}).model_dump(mode="json")}]
    tester = Backtester(settings, engine, ledger)
    first = await backtest(engine, tester, active, draft)
    second = await backtest(engine, tester, active, draft)
    assert first.result == second.result
    assert first.result["draft"]["flagged"] == list(range(1, PLAYERS + 1))
    assert first.result["at_stake_minor"]["USD"] > 0
    assert first.done == first.total > 0
    short = Backtester(settings.model_copy(update={"fraud_backtest_rows": 10}), engine, ledger)
    assert "more than 10 events" in (await backtest(engine, short, active, draft)).error


async def test_players_are_scored_again_in_batches_by_any_instance(
    settings: Settings, engine: AsyncEngine, database: Database, ledger: FakeLedger
) -> None:
    await live(settings, engine, ledger)
    expected = await as_administrator(database, STATE)
    await as_administrator(database, "UPDATE fraud.features SET score = 0, level = 'SAFE', reasons = '[]'")
    async with databases.transaction(engine) as connection:
        job_id = (await jobs.put(connection, JobKind.REPROCESSING, "ana", {"user_id": None}, PLAYERS)).id
    for _ in range(PLAYERS // 5 + 1):
        book = RuleBook(engine, Metrics(), look_every_s=1)
        await book.start()
        scorer = Scorer(settings, book, Metrics(), clock.utc_now)
        await as_administrator(database, "UPDATE fraud.jobs SET due_at = created_at")
        assert await Reprocessor(engine, book, scorer, per_s=5).step()
    async with databases.reading(engine) as connection:
        job = await jobs.get(connection, job_id, JobKind.REPROCESSING)
    assert (job.done, job.total) == (PLAYERS, PLAYERS)
    assert job.finished_at is not None
    assert await as_administrator(database, STATE) == expected


async def test_jobs_are_asked_for_and_looked_at_over_http(live_settings: Settings, database: Database) -> None:
    async with started(create_app(live_settings)) as client:
        asked = {"from": SINCE.isoformat(), "to": UNTIL.isoformat(), "by": "ana"}
        assert (await client.post("/fraud/backtests", json=asked | {"to": asked["from"]})).status_code == 422
        assert (await client.post("/fraud/backtests", json=asked | {"versions": [999]})).status_code == 404
        assert (await client.post("/fraud/backtests", json=asked | {"rules": [{"id": "x"}]})).status_code == 422
        made = await client.post("/fraud/backtests", json=asked | {"versions": [1]})
        assert made.status_code == 202
        assert (await client.get(f"/fraud/backtests/{made.json()['id']}")).json()["requested_by"] == "ana"
        assert (await client.post("/users/42/fraud-reprocessing", json={"by": "ana"})).status_code == 404
        again = await client.post("/fraud/reprocessing", json={"by": "ana"})
        path = f"/fraud/reprocessing/{again.json()['id']}"

        async def finished() -> bool:
            return bool((await client.get(path)).json()["finished_at"])

        await eventually(finished)


@pytest.mark.slow
async def test_the_backtest_of_an_instance_that_died_is_taken_over_and_the_dead_one_writes_no_more(
    settings: Settings, engine: AsyncEngine, database: Database, ledger: FakeLedger
) -> None:
    active = kept(list((await live(settings, engine, ledger)).book.rules.active))
    request = {"from": to_text(SINCE), "to": to_text(UNTIL), "active": active, "draft": active}
    dead, lease = uuid4(), timedelta(minutes=1)
    async with databases.transaction(engine) as connection:
        job_id = (await jobs.put(connection, JobKind.BACKTEST, "ana", request)).id
        taken = await jobs.take(connection, JobKind.BACKTEST, dead, lease)
        assert taken is not None
        assert await jobs.go_on(connection, job_id, dead, lease, done=7, total=9)
    other = Backtester(settings, engine, ledger)
    assert not await other.step()
    await as_administrator(database, "UPDATE fraud.jobs SET due_at = created_at")
    assert await other.step()
    async with databases.transaction(engine) as connection:
        # It was only slow: it learns that it lost the job, and what it found is nobody's.
        assert not await jobs.go_on(connection, job_id, dead, lease, done=8)
        assert not await jobs.finish(connection, job_id, dead, error="too late")
        job = await jobs.get(connection, job_id, JobKind.BACKTEST)
    assert (job.error, job.done == job.total, job.result["players"]) == (None, True, PLAYERS)
    assert not await other.step()


@pytest.mark.slow
async def test_two_instances_that_want_one_job_share_it_between_them(
    settings: Settings, engine: AsyncEngine, ledger: FakeLedger
) -> None:
    active = kept(list((await live(settings, engine, ledger)).book.rules.active))
    request = {"from": to_text(SINCE), "to": to_text(UNTIL), "active": active, "draft": active}
    async with databases.transaction(engine) as connection:
        await jobs.put(connection, JobKind.BACKTEST, "ana", request)
    pair = [Backtester(settings, engine, ledger) for _ in range(2)]
    assert sorted(await asyncio.gather(*(each.step() for each in pair))) == [False, True]
