"""How well fraud detection does: the endpoint and the gauges."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.endpoints import monitoring as endpoints
from fraud_service.endpoints.monitoring import quantile
from fraud_service.handlers.monitoring import Monitoring
from fraud_service.handlers.rulebook import initial_rules
from fraud_service.repository import rules
from fraud_service.repository.monitoring import Watched
from fraud_service.settings import Settings
from fraud_service.tables import bet_minutes, fraud_flags
from shared import database, problems
from shared.contracts.fraud import RuleState
from shared.telemetry import Metrics
from shared.testing import MOMENT
from tests.support import TOKEN

HOUR = timedelta(hours=1)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def client(settings: Settings, engine: AsyncEngine, metrics: Metrics) -> AsyncIterator[httpx2.AsyncClient]:
    app = FastAPI()
    problems.install(app)
    app.include_router(endpoints.router(settings, Watched(engine), metrics, lambda: MOMENT))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://fraud", headers=headers) as client:
        yield client


async def raised(
    engine: AsyncEngine, user_id: int, status: str, fired: Sequence[str], at: datetime = MOMENT - HOUR
) -> None:
    resolved = at if status in ("confirmed", "dismissed") else None
    row = {"id": uuid4(), "user_id": user_id, "seen_at": 1, "created_at": at, "changed_at": at, "resolved_at": resolved}
    row |= {"snoozed_until": MOMENT + HOUR if status == "snoozed" else None}
    row |= {"score": 80, "level": "FRAUDULENT", "status": status, "reasons": [{"rule": rule} for rule in fired]}
    async with database.transaction(engine) as connection:
        await connection.execute(insert(fraud_flags).values(row))


async def bet(engine: AsyncEngine, user_id: int, at: datetime) -> None:
    async with database.transaction(engine) as connection:
        await connection.execute(insert(bet_minutes).values(user_id=user_id, minute=at, bets=1))


async def told(client: httpx2.AsyncClient, query: str = "") -> dict[str, Any]:
    response = await client.get(f"/fraud/monitoring{query}")
    assert response.status_code == 200, response.text
    return dict(response.json())


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [([0, 0, 0], 0.5, None), ([5, 9, 10], 0.5, 1), ([5, 9, 10], 0.9, 2), ([5, 9, 10], 0.99, 2), ([], 0.5, None)],
)
def test_a_quantile_is_the_bound_of_its_bucket(counts: list[float], share: float, expected: float | None) -> None:
    assert quantile(zip((1, 2, float("inf")), counts, strict=False), share) == expected


@pytest.mark.integration
class TestMonitoring:
    async def test_unresolved_flags_are_listed_whose_player_has_bet_since(
        self, client: httpx2.AsyncClient, engine: AsyncEngine
    ) -> None:
        for user_id, status, minutes in ((1, "open", 5), (2, "snoozed", 6), (3, "open", -1), (4, "dismissed", 5)):
            await raised(engine, user_id, status, ["a"])
            await bet(engine, user_id, MOMENT - HOUR + timedelta(minutes=minutes))
        await raised(engine, 5, "in_review", ["a"])
        found = await told(client)
        last = {flag["user_id"]: datetime.fromisoformat(flag["last_bet_minute"]) for flag in found["playing"]}
        assert last == {1: MOMENT - timedelta(minutes=55), 2: MOMENT - timedelta(minutes=54)}
        assert found["unresolved"] == 4

    async def test_rules_that_never_hold_and_that_hold_too_often_are_named(
        self, client: httpx2.AsyncClient, engine: AsyncEngine
    ) -> None:
        bodies = initial_rules()[:5]
        async with database.transaction(engine) as connection:
            await rules.seed(connection, bodies, "test", "test")
            versions = {version.rule_id: version.version for version in await rules.in_force(connection)}
            silent, usual, noisy, retired, fresh = (versions[body.id] for body in bodies)
            await rules.count(connection, MOMENT.date(), 1000, {silent: 0, usual: 200, noisy: 201, retired: 0})
            await rules.count(connection, MOMENT.date(), 99, {fresh: 0})
            await rules.count(connection, MOMENT.date() - timedelta(days=7), 1000, {silent: 900})
            await rules.move(connection, retired, RuleState.RETIRED, "test")
        found = await told(client)
        assert [rule["version"] for rule in found["silent_rules"]] == [silent]
        assert [(rule["version"], rule["fired_permille"]) for rule in found["noisy_rules"]] == [(noisy, 201)]
        wider = await told(client, "?days=8&noisy_above_permille=400")
        assert wider["silent_rules"] == []
        assert [(rule["version"], rule["fired"]) for rule in wider["noisy_rules"]] == [(silent, 900)]

    async def test_precision_comes_from_what_was_resolved_lately(
        self, client: httpx2.AsyncClient, engine: AsyncEngine
    ) -> None:
        await raised(engine, 1, "confirmed", ["a", "b"])
        await raised(engine, 2, "confirmed", ["a", "a"])
        await raised(engine, 3, "dismissed", ["a"])
        await raised(engine, 4, "open", ["a"])
        await raised(engine, 5, "dismissed", ["b"], MOMENT - timedelta(days=8))
        assert (await told(client))["precision"] == [
            {"rule": "a", "confirmed": 2, "dismissed": 1, "precision_permille": 666},
            {"rule": "b", "confirmed": 1, "dismissed": 0, "precision_permille": 1000},
        ]

    async def test_the_lag_of_detection_is_in_seconds(self, client: httpx2.AsyncClient, metrics: Metrics) -> None:
        assert (await told(client))["detection"] == {"events": 0, "p50_s": None, "p99_s": None}
        for seconds in [0.04] * 98 + [4.0] * 2:
            metrics.detection_s.observe(seconds)
        assert (await told(client))["detection"] == {"events": 100, "p50_s": 0.05, "p99_s": 5.0}

    async def test_it_is_for_the_platform_alone_and_its_bounds_hold(self, client: httpx2.AsyncClient) -> None:
        assert (await client.get("/fraud/monitoring?days=91")).status_code == 422
        assert (await client.get("/fraud/monitoring", headers={"Authorization": "Bearer no"})).status_code == 401

    async def test_the_gauges_say_the_same(self, engine: AsyncEngine, metrics: Metrics) -> None:
        monitoring = Monitoring(engine, metrics, lambda: MOMENT, every_s=1)
        await raised(engine, 1, "open", ["a"])
        await bet(engine, 1, MOMENT)
        await raised(engine, 2, "confirmed", ["a"])
        await monitoring.look()
        shown = metrics.exposition().decode()
        for line in ("flags_unresolved 1.0", "flags_playing 1.0", 'rule_precision{rule="a"} 1.0', "rules_silent 0.0"):
            assert f"langsense_fraud_{line}\n" in shown

    async def test_a_rule_that_failed_is_shown_until_another_version_is_active_or_it_is_retired(
        self, engine: AsyncEngine
    ) -> None:
        watched, (first, second, *_) = Watched(engine), initial_rules()
        async with database.transaction(engine) as connection:
            await rules.seed(connection, [first, second], "test", "test")
            failed = [version.version for version in await rules.in_force(connection)]
            for version in failed:
                await rules.disable(connection, version, "test", "overflows")
            mended = await rules.put_draft(connection, first, "test", "mended")
        assert await watched.failed_rules() == 2
        async with database.transaction(engine) as connection:
            await rules.move(connection, mended.version, RuleState.ACTIVE, "test")
        assert await watched.failed_rules() == 1
        async with database.transaction(engine) as connection:
            for version in failed:
                await rules.move(connection, version, RuleState.RETIRED, "test")
        assert await watched.failed_rules() == 0
