"""Snoozes of rules: for one player a rule adds nothing for a while, by the times of the player's events."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.detection import LEVELS, PARAMETERS
from fraud_service.domain.observations import Observation, What
from fraud_service.domain.scoring import Level, RuleSet, score
from fraud_service.domain.snoozes import Snooze, asleep
from fraud_service.endpoints import scores, snoozes
from fraud_service.handlers.rulebook import RuleBook
from fraud_service.handlers.scorer import Scorer
from fraud_service.repository.players import Players
from fraud_service.settings import Settings
from shared import clock, database, problems
from shared.telemetry import Metrics
from tests.fraud_service.strategies import START
from tests.fraud_service.test_scoring import deposited, rule
from tests.support import TOKEN

NOW = datetime.now(UTC)
PLAYER = 42
SNOOZES = f"/users/{PLAYER}/fraud-snoozes"


def test_a_snoozed_rule_adds_nothing_and_goes_on_being_observed() -> None:
    rules = RuleSet(1, [rule(points=80, id="loud"), rule(2, id="other")])
    found = score(deposited(), rules, PARAMETERS, LEVELS, START, frozenset({"loud"}))
    assert (found.score, found.level) == (10, Level.SAFE)
    assert [reason.rule for reason in found.reasons] == ["other"]
    assert [(reason.rule, reason.points_milli) for reason in found.snoozed] == [("loud", 80_000)]


@pytest.mark.parametrize(("at", "sleeps"), [(9, False), (10, True), (19, True), (20, False)])
def test_it_holds_from_its_first_moment_up_to_its_last_and_wakes_by_itself(at: int, sleeps: bool) -> None:
    assert asleep([Snooze("loud", 10, 20), Snooze("other", 30, 40)], at) == (
        frozenset({"loud"}) if sleeps else frozenset()
    )


def test_of_several_each_holds() -> None:
    assert asleep([Snooze("a", 0, 20), Snooze("a", 10, 15), Snooze("b", 0, 30)], 17) == {"a", "b"}


@pytest.fixture
async def client(engine: AsyncEngine, settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    book = RuleBook(engine, Metrics(), look_every_s=1)
    await book.start()
    app = FastAPI()
    problems.install(app)
    app.include_router(snoozes.router(settings, engine, clock.utc_now))
    app.include_router(scores.router(settings, Players(engine), lambda: book.rules, clock.utc_now))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="http://fraud", headers=headers
    ) as client:
        yield client


def asked(**changed: Any) -> dict[str, Any]:
    until = (NOW + timedelta(days=1)).isoformat()
    return {"rule_id": "bet_velocity", "until": until, "by": "ana", "note": "a tournament"} | changed


@pytest.mark.integration
async def test_who_snoozed_what_why_and_until_when_is_kept_and_it_can_be_woken(client: httpx2.AsyncClient) -> None:
    made = await client.post(SNOOZES, json=asked())
    assert made.status_code == 201
    told = made.json()
    assert (told["rule_id"], told["made_by"], told["note"]) == ("bet_velocity", "ana", "a tournament")
    assert (await client.post(SNOOZES, json=asked())).json() == told
    path = f"{SNOOZES}/{told['id']}/ending"
    ended = (await client.post(path, json={"by": "bo"})).json()
    assert (ended["ended_by"], ended["until"] < told["until"]) == ("bo", True)
    assert (await client.post(path, json={"by": "cy"})).json() == ended
    assert (await client.get(SNOOZES)).json() == [ended]
    assert (await client.post(path.replace(str(PLAYER), "43"), json={"by": "bo"})).status_code == 404


@pytest.mark.integration
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"rule_id": "no_such_rule"}, "rule_id"),
        ({"until": (NOW - timedelta(seconds=1)).isoformat()}, "until"),
        ({"until": (NOW + timedelta(days=400)).isoformat()}, "until"),
        ({"note": ""}, "note"),
    ],
)
async def test_a_wrong_snooze_is_refused_by_name(client: httpx2.AsyncClient, changed: Any, field: str) -> None:
    refused = await client.post(SNOOZES, json=asked(**changed))
    assert (refused.status_code, refused.json()["errors"][0]["field"].split(".")[-1]) == (422, field)


@pytest.mark.integration
async def test_the_score_is_without_it_at_once_live_and_when_it_is_read(
    client: httpx2.AsyncClient, engine: AsyncEngine, settings: Settings
) -> None:
    book = RuleBook(engine, Metrics(), look_every_s=1)
    await book.start()
    scorer = Scorer(settings, book, Metrics(), clock.utc_now)
    at = int(datetime.now(UTC).timestamp() * 1000)
    await bet(engine, scorer, at)
    loud = (await client.get(f"/users/{PLAYER}/fraud-score")).json()
    assert [reason["rule"] for reason in loud["reasons"]] == ["bet_velocity"]
    await client.post(SNOOZES, json=asked())
    quiet = (await client.get(f"/users/{PLAYER}/fraud-score")).json()
    assert (quiet["score"], quiet["reasons"]) == (0, [])
    assert [reason["rule"] for reason in quiet["snoozed"]] == ["bet_velocity"]
    await bet(engine, scorer, at + 60_000)
    async with database.reading(engine) as connection:
        raw = await database.driver(connection)
        assert await raw.fetchval("SELECT score FROM features WHERE user_id = $1", PLAYER) == 0


async def bet(engine: AsyncEngine, scorer: Scorer, at: int) -> None:
    seen = [Observation(PLAYER, at, What.BET, f"0:{at}-{number}", 100, "USD") for number in range(12)]
    async with database.transaction(engine) as connection:
        await scorer.apply(connection, seen)
