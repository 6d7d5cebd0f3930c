"""Scores, flags, alerts and rules of one running instance, from Kafka to HTTP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx2
import orjson
import pytest
from aiokafka import AIOKafkaConsumer
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.app import create_app
from fraud_service.domain.blocks import BlockPolicy
from fraud_service.settings import Settings
from fraud_service.tables import games, outbox
from shared import database as databases
from shared import journal
from shared.broker import BrokerOptions, Publisher
from shared.contracts.commands import decode
from shared.contracts.headers import cloud_event
from shared.contracts.kinds import Kind
from shared.contracts.rounds import GameRound
from shared.contracts.topics import GAME_ROUNDS, PAYMENTS_EVENTS, WALLET_COMMANDS
from shared.lanes import key_of
from shared.testing import FakeLedger
from tests.support import Database, as_administrator, eventually, publish, started

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC).replace(microsecond=0)
STREAK = 25


def rounds(user_id: int, wins: int) -> list[GameRound]:
    return [
        GameRound(
            round_id=f"r-{number}",
            user_id=user_id,
            game_id="dice",
            outcome="win",
            stake_minor=100,
            payout_minor=200,
            currency="USD",
            win_probability_ppm=485_000,
            occurred_at=NOW - timedelta(minutes=STREAK + 1 - number),
        )
        for number in range(wins)
    ]


async def play(publisher: Publisher, user_id: int, wins: int = STREAK) -> None:
    for played in rounds(user_id, wins):
        await publisher.publish(GAME_ROUNDS, key=key_of(user_id), value=played.model_dump_json().encode(), headers=[])


async def use(publisher: Publisher, user_id: int, instrument: str, kind: str = "payments.deposit.completed.v1") -> None:
    headers = cloud_event(
        event_id=f"{user_id}-{instrument}-{kind}", event_type=kind, source="payments", subject=str(user_id), time=NOW
    )
    body = {"user_id": user_id, "instrument": instrument, "last4": "4242", "payment_id": "unknown here"}
    await publisher.publish(PAYMENTS_EVENTS, key=key_of(user_id), value=orjson.dumps(body), headers=headers)


async def score(client: httpx2.AsyncClient, user_id: int) -> dict[str, Any]:
    response = await client.get(f"/users/{user_id}/fraud-score")
    return response.json() if response.status_code == 200 else {"score": -1, "reasons": []}


@pytest.fixture
async def client(live_settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with started(create_app(live_settings)) as client:
        yield client


async def streak(client: httpx2.AsyncClient, user_id: int) -> dict[str, Any]:
    """What the score says of a player's wins in a row."""
    reasons = (await score(client, user_id))["reasons"]
    return next((reason for reason in reasons if reason["rule"] == "winning_streak"), {"seen": 0})


async def have_won(client: httpx2.AsyncClient, publisher: Publisher, user_id: int, wins: int = STREAK) -> None:
    """A player whose wins have all been read: the first flag may come before the last win."""
    await play(publisher, user_id, wins)

    async def read() -> bool:
        return bool((await streak(client, user_id))["seen"] == wins)

    await eventually(read)


async def flag(client: httpx2.AsyncClient, publisher: Publisher, user_id: int) -> dict[str, Any]:
    """A flag for a player who won too often."""
    await have_won(client, publisher, user_id)
    (found,) = (await client.get(f"/fraud/flags?user_id={user_id}")).json()
    return dict(found)


async def test_a_streak_gives_a_score_a_flag_and_one_alert(
    client: httpx2.AsyncClient, publisher: Publisher, engine: AsyncEngine
) -> None:
    found = await flag(client, publisher, 42)
    told = await score(client, 42)
    assert told["score"] > 75
    assert told["level"] == "FRAUDULENT"
    won = await streak(client, 42)
    assert won["text"] == "25 wins in a row; the threshold is 20"
    assert (won["seen"], won["against"], len(won["evidence"])) == (25, 20, 10)
    assert found["status"] == "open"
    history = (await client.get("/users/42/fraud-score/history")).json()
    assert history[0]["level"] == "FRAUDULENT"
    # The same wins once more, and a new one behind them: once that is read, so were they.
    await have_won(client, publisher, 42, STREAK + 1)
    async with databases.reading(engine) as connection:
        assert len((await connection.execute(select(games))).all()) == STREAK + 1

    async def published() -> bool:
        async with databases.reading(engine) as connection:
            return not (await connection.execute(select(outbox))).all()

    await eventually(published)
    assert len((await client.get("/fraud/flags?user_id=42")).json()) == 1


async def test_accounts_on_one_instrument_are_told_of_each_other(
    client: httpx2.AsyncClient, publisher: Publisher
) -> None:
    for user_id in (1, 2, 3):
        await use(publisher, user_id, "card-1")

    async def shared() -> bool:
        told = [await score(client, user_id) for user_id in (1, 2, 3)]
        return all([reason["rule"] for reason in one["reasons"]] == ["shared_instrument"] for one in told)

    await eventually(shared)


async def test_people_work_on_a_flag(client: httpx2.AsyncClient, publisher: Publisher, database: Database) -> None:
    path = f"/fraud/flags/{(await flag(client, publisher, 42))['id']}"
    assigned = (await client.post(f"{path}/assignment", json={"assignee": "ana", "by": "bo"})).json()
    assert (assigned["status"], assigned["assignee"]) == ("in_review", "ana")
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    slept = (
        await client.post(f"{path}/snooze", json={"until": until, "by": "ana", "note": "wait for the bank"})
    ).json()
    assert slept["status"] == "snoozed"
    again = {"until": until, "by": "ana", "note": "wait for the bank"}
    assert (await client.post(f"{path}/snooze", json=again)).json() == slept
    await as_administrator(database, "UPDATE fraud.fraud_flags SET snoozed_until = now()")

    async def awake() -> bool:
        return bool((await client.get(path)).json()["status"] == "open")

    await eventually(awake)
    done = {"status": "confirmed", "by": "ana", "note": "the bank says so"}
    resolved = (await client.post(f"{path}/resolution", json=done)).json()
    assert (resolved["status"], resolved["resolved_by"]) == ("confirmed", "ana")
    assert [note["note"] for note in resolved["notes"]] == ["wait for the bank", "the bank says so"]
    assert (await client.post(f"{path}/resolution", json=done)).json() == resolved
    assert (await client.post(f"{path}/resolution", json=done | {"by": "bo"})).status_code == 422
    assert (await client.post(f"{path}/resolution", json=done | {"status": "dismissed"})).status_code == 422
    assert (await client.get("/fraud/flags?min_score=76")).json() == []


async def test_a_change_of_rules_acts_without_a_restart(
    client: httpx2.AsyncClient, publisher: Publisher, ledger: FakeLedger
) -> None:
    await publish(publisher, [ledger.add(Kind.DEPOSIT, 7, at=NOW)])
    rule = {
        **{"id": "any_deposit", "condition": "deposits_72h >= 1", "points": 30, "severity": "low"},
        **{"window_minutes": 1000, "half_life_minutes": 1000, "sees": "deposits_72h", "against": 1},
        "text": "{deposits_72h} deposits",
    }
    drafted = await client.post("/fraud/rules", json={"rule": rule, "author": "ana", "reason": "to try"})
    assert drafted.status_code == 201
    version = drafted.json()["version"]
    await client.post(f"/fraud/rules/{version}/shadow", json={"by": "ana"})

    async def in_shadow() -> bool:
        told = await score(client, 7)
        return told["score"] == 0 and [reason["text"] for reason in told["shadow"]] == ["1 deposits"]

    await eventually(in_shadow)
    await client.post(f"/fraud/rules/{version}/activation", json={"by": "ana"})

    async def active() -> bool:
        return bool((await score(client, 7))["score"] in (29, 30))

    await eventually(active)
    await client.post(f"/fraud/rules/{version}/retirement", json={"by": "ana"})

    async def retired() -> bool:
        return bool((await score(client, 7))["score"] == 0)

    await eventually(retired)


async def test_a_rule_that_fails_at_run_time_is_disabled_and_stops_nothing(
    client: httpx2.AsyncClient, publisher: Publisher, ledger: FakeLedger
) -> None:
    rule = {
        **{"id": "overflows", "condition": "9223372036854775807 + deposits_72h > 0", "points": 30, "severity": "low"},
        **{"window_minutes": 1000, "half_life_minutes": 1000, "sees": "deposits_72h", "against": 1, "text": "x"},
    }
    drafted = await client.post("/fraud/rules", json={"rule": rule, "author": "ana", "reason": "to try"})
    version = drafted.json()["version"]
    await client.post(f"/fraud/rules/{version}/activation", json={"by": "ana"})

    async def disabled() -> bool:
        await publish(publisher, [ledger.add(Kind.DEPOSIT, 7, at=NOW)])
        (found,) = (await client.get("/fraud/rules?rule_id=overflows")).json()["rules"]
        return bool(found["state"] == "disabled" and "overflow" in found["error"])

    await eventually(disabled)
    assert (await score(client, 7))["score"] >= 0
    assert 'langsense_fraud_rules_disabled_total{rule="overflows"} 1.0' in (await client.get("/metrics")).text


@pytest.mark.parametrize(
    ("condition", "place"),
    [
        ("deposits_72h >", "1:15"),
        ("bets_24h > 1 &&\n  nothing > 1", "2:3"),
        ("bets_24h / deposits_72h > 1", "1:10"),
        ("bets_24h / 0 > 1", "1:10"),
        ("[1].all(x, x > 0)", "1:1"),
        ("bets_24h + 1", "1:1"),
    ],
)
async def test_a_wrong_rule_is_refused_with_the_place(client: httpx2.AsyncClient, condition: str, place: str) -> None:
    rule = {
        **{"id": "wrong", "condition": condition, "points": 30, "severity": "low", "text": "x"},
        **{"window_minutes": 1000, "half_life_minutes": 1000, "sees": "bets_24h", "against": 1},
    }
    response = await client.post("/fraud/rules", json={"rule": rule, "author": "ana", "reason": "to try"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["message"].startswith(f"{place}: ")


async def test_with_policy_block_a_flag_asks_the_wallet_for_a_block(
    live_settings: Settings, publisher: Publisher, kafka: BrokerOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A wallet that has decided nothing yet.
    wallet = httpx2.MockTransport(lambda request: httpx2.Response(200, json=[]))
    client_of = partial(httpx2.AsyncClient, transport=wallet, base_url="http://wallet")
    monkeypatch.setattr(journal, "service_client", lambda settings, url, tracing: client_of())
    blocking = live_settings.model_copy(update={"fraud_block_policy": BlockPolicy.BLOCK})
    commands = AIOKafkaConsumer(
        kafka.topic(WALLET_COMMANDS), bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    async with started(create_app(blocking)) as client:
        raised = await flag(client, publisher, 42)
        await commands.start()
        try:
            command = decode((await asyncio.wait_for(commands.getone(), 20)).value)
        finally:
            await commands.stop()
    assert (command.kind, command.user_id, command.reference_id) == (Kind.FRAUD_BLOCK, 42, raised["id"])
    assert command.reason is not None
    assert "wins in a row; the threshold is 20" in command.reason


async def test_the_queue_goes_on_behind_a_cursor(client: httpx2.AsyncClient, publisher: Publisher) -> None:
    for user_id in (1, 2, 3):
        await flag(client, publisher, user_id)
    seen: list[int] = []
    after = ""
    while page := (await client.get(f"/fraud/flags?status=open&min_score=76&limit=2{after}")).json():
        seen += [one["user_id"] for one in page]
        after = f"&after={page[-1]['cursor']}"
    assert seen == [1, 2, 3]
    assert (await client.get("/fraud/flags?after=nonsense")).status_code == 422


async def test_a_player_that_nothing_names_has_no_score(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/users/404/fraud-score")).status_code == 404
