"""Fraud detection's jobs at the door: started on record, followed as a stream, money as decimal strings."""

from dataclasses import dataclass, field
from typing import Any

import httpx2
import orjson
import pytest

from gateway.endpoints import streams
from shared.tokens import Role
from tests.gateway.fakes import MOMENT_TEXT, PLAYER, FakeCompliance, FakeWallet
from tests.gateway.support import bearer, build, client_of

JOB_ID = "00000000-0000-0000-0000-0000000000b1"
BACKTESTS, REPROCESSING, MONITORING = (f"/api/v1/fraud/{what}" for what in ("backtests", "reprocessing", "monitoring"))
SNOOZES = f"/api/v1/users/{PLAYER}/fraud-snoozes"
JOB: dict[str, Any] = {
    **{"id": JOB_ID, "kind": "backtest", "requested_by": "the-risk", "created_at": MOMENT_TEXT},
    **{"started_at": None, "finished_at": None, "done": 0, "total": 0, "error": None, "result": None},
}
SIDE = {"flagged": [7], "precision_ppm": 900_000, "recall_ppm": None}
RESULT: dict[str, Any] = {
    **{"players": 2, "active": SIDE, "draft": SIDE, "newly": [8], "no_longer": [], "overlap": [7]},
    **{"at_stake_minor": {"JPY": 500, "USD": 12_345}, "failed_rules": []},
}
MONITORED: dict[str, Any] = {
    **{"days": 7, "unresolved": 3, "playing": [], "silent_rules": [], "noisy_rules": [], "precision": []},
    "detection": {"events": 0, "p50_s": None, "p99_s": None},
}
SNOOZE: dict[str, Any] = {
    **{"id": JOB_ID, "user_id": PLAYER, "rule_id": "bet_velocity", "since": MOMENT_TEXT, "until": MOMENT_TEXT},
    **{"made_by": "the-risk", "note": "a tournament", "ended_by": None},
}


@dataclass
class FakeFraud:
    """The fraud service: keeps what it is asked. A job has moved on by each of `steps` when it is looked at again."""

    steps: list[dict[str, Any] | None] = field(default_factory=lambda: [{}])
    asked: list[httpx2.Request] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        path = request.url.path
        if path == "/fraud/monitoring":
            return httpx2.Response(200, json=MONITORED)
        if "/fraud-snoozes" in path:
            return httpx2.Response(200, json=[SNOOZE] if request.method == "GET" else SNOOZE)
        if request.method == "POST":
            return httpx2.Response(202, json=JOB)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        return httpx2.Response(503) if step is None else httpx2.Response(200, json=JOB | step)


@pytest.fixture
def fraud() -> FakeFraud:
    return FakeFraud()


@pytest.fixture
def compliance() -> FakeCompliance:
    return FakeCompliance()


@pytest.fixture
def client(wallet: FakeWallet, compliance: FakeCompliance, fraud: FakeFraud) -> httpx2.AsyncClient:
    return client_of(build(wallet, compliance, fraud, rate_limit_per_player_per_s=1_000_000))


@pytest.mark.parametrize(
    ("path", "inner", "user_id"),
    [
        (f"/api/v1/users/{PLAYER}/fraud-reprocessing", f"/users/{PLAYER}/fraud-reprocessing", PLAYER),
        (REPROCESSING, "/fraud/reprocessing", None),
    ],
)
async def test_scoring_again_is_on_record_and_in_the_name_of_who_wants_it(
    client: httpx2.AsyncClient, fraud: FakeFraud, compliance: FakeCompliance, path: str, inner: str, user_id: int | None
) -> None:
    started = await client.post(path, headers=bearer(Role.RISK))
    assert (started.status_code, started.json()["id"]) == (202, JOB_ID)
    assert started.headers["Location"] == f"{REPROCESSING}/{JOB_ID}"
    assert (fraud.asked[-1].url.path, orjson.loads(fraud.asked[-1].content)) == (inner, {"by": "the-risk"})
    (told,) = compliance.entries
    assert (told["action"], told["user_id"], told["actor"]) == ("FRAUD_REPROCESS", user_id, "the-risk")
    found = await client.get(started.headers["Location"], headers=bearer(Role.SUPPORT))
    assert found.json()["done"] == 0


async def test_a_backtest_is_started_on_record_and_its_stake_is_in_decimal_strings(
    client: httpx2.AsyncClient, fraud: FakeFraud, compliance: FakeCompliance
) -> None:
    asked = {"rules": [{"id": "fast"}], "versions": [7], "from": "2026-11-01T00:00:00Z", "to": MOMENT_TEXT}
    started = await client.post(BACKTESTS, json=asked, headers=bearer(Role.RISK))
    assert (started.status_code, started.headers["Location"]) == (202, f"{BACKTESTS}/{JOB_ID}")
    assert orjson.loads(fraud.asked[-1].content) == {**asked, "by": "the-risk"}
    assert compliance.entries[0]["action"] == "FRAUD_BACKTEST"
    assert compliance.entries[0]["after"] == {**asked, "rules": ["fast"]}
    fraud.steps = [{"finished_at": MOMENT_TEXT, "result": RESULT}]
    result = (await client.get(f"{BACKTESTS}/{JOB_ID}", headers=bearer(Role.SUPPORT))).json()["result"]
    assert result["at_stake"] == {"JPY": "500", "USD": "123.45"}
    assert "at_stake_minor" not in result
    assert result["newly"] == [8]


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"to": MOMENT_TEXT}, "from"),
        ({"from": MOMENT_TEXT, "to": MOMENT_TEXT, "versions": list(range(51))}, "versions"),
        ({"from": MOMENT_TEXT, "to": MOMENT_TEXT, "by": "bob"}, "by"),
    ],
)
async def test_a_wrong_backtest_is_named_and_goes_nowhere(
    client: httpx2.AsyncClient, fraud: FakeFraud, compliance: FakeCompliance, body: Any, wrong: str
) -> None:
    response = await client.post(BACKTESTS, json=body, headers=bearer(Role.RISK))
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, wrong)
    assert (fraud.asked, compliance.entries) == ([], [])


def events(text: str) -> list[tuple[str, int]]:
    """The names of a stream's events, and how far each says that the job has come."""
    found = []
    for block in text.strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines())
        if "event" in lines:
            found.append((lines["event"], orjson.loads(lines["data"])["done"]))
    return found


@pytest.mark.parametrize("path", [BACKTESTS, REPROCESSING])
async def test_progress_is_told_as_it_comes_and_ends_with_the_job(
    client: httpx2.AsyncClient, fraud: FakeFraud, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(streams, "LOOK_EVERY_S", 0)
    # The service is away for a moment, and then nothing has moved.
    fraud.steps = [{}, {"done": 1}, None, {"done": 1}, {"done": 2, "finished_at": MOMENT_TEXT, "result": RESULT}]
    found = await client.get(f"{path}/{JOB_ID}/progress", headers=bearer(Role.SUPPORT))
    assert found.headers["content-type"].startswith("text/event-stream")
    assert found.headers["cache-control"] == "no-store"
    assert events(found.text) == [("progress", 0), ("progress", 1), ("finished", 2)]
    assert "flagged" not in found.text


async def test_a_stream_has_an_end_and_there_are_so_many_at_once(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LONGEST_S", 0)
    path = f"{BACKTESTS}/{JOB_ID}/progress"
    assert events((await client.get(path, headers=bearer(Role.RISK))).text) == [("progress", 0)]
    monkeypatch.setattr(streams, "MOST_AT_ONCE", 0)
    assert (await client.get(path, headers=bearer(Role.RISK))).status_code == 429


async def test_a_job_that_is_not_there_is_a_problem_and_no_stream(wallet: FakeWallet) -> None:
    async with client_of(build(wallet, fraud=lambda request: httpx2.Response(404, json={}))) as client:
        found = await client.get(f"{BACKTESTS}/{JOB_ID}/progress", headers=bearer(Role.RISK))
    assert (found.status_code, found.headers["content-type"]) == (404, "application/problem+json")


async def test_monitoring_is_read_over_as_many_days_as_asked(client: httpx2.AsyncClient, fraud: FakeFraud) -> None:
    found = await client.get(f"{MONITORING}?days=30", headers=bearer(Role.SUPPORT))
    assert (found.status_code, found.json()) == (200, MONITORED)
    assert dict(fraud.asked[-1].url.params) == {"days": "30", "noisy_above_permille": "200"}
    assert (await client.get(f"{MONITORING}?days=91", headers=bearer(Role.RISK))).status_code == 422


async def test_a_rule_is_snoozed_and_woken_for_a_player_on_record(
    client: httpx2.AsyncClient, fraud: FakeFraud, compliance: FakeCompliance
) -> None:
    asked = {"rule_id": "bet_velocity", "until": "2100-01-01T00:00:00Z", "note": "a tournament"}
    made = await client.post(SNOOZES, json=asked, headers=bearer(Role.RISK))
    assert (made.status_code, made.json()) == (201, SNOOZE)
    assert orjson.loads(fraud.asked[-1].content) == {**asked, "by": "the-risk"}
    woken = await client.delete(f"{SNOOZES}/{JOB_ID}", headers=bearer(Role.RISK))
    assert (woken.status_code, fraud.asked[-1].url.path.rsplit("/", 1)[1]) == (200, "ending")
    assert (await client.get(SNOOZES, headers=bearer(Role.SUPPORT))).json() == {"snoozes": [SNOOZE]}
    told = [(entry["action"], entry["user_id"], entry["after"]) for entry in compliance.entries]
    assert told == [
        ("FRAUD_RULE_SNOOZE", PLAYER, asked),
        ("FRAUD_RULE_WAKE", PLAYER, {"snooze_id": JOB_ID}),
    ]
