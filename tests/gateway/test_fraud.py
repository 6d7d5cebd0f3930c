"""Fraud at the door: scores and flags as the fraud service has them; staff's acts on record, in its name."""

from dataclasses import dataclass, field
from typing import Any

import httpx2
import orjson
import pytest

from gateway.domain.fraud import FlagPage, ScoreHistory
from shared.tokens import Role
from tests.gateway.fakes import MOMENT_TEXT, OTHER_PLAYER, PLAYER, REASON, SCORE, FakeCompliance, FakeWallet
from tests.gateway.support import bearer, build, client_of

FLAG_ID = "00000000-0000-0000-0000-0000000000f1"
SCORES, FLAGS, RULES = f"/api/v1/users/{PLAYER}/fraud-score", "/api/v1/fraud/flags", "/api/v1/fraud/rules"
FLAG: dict[str, Any] = {
    **{"id": FLAG_ID, "user_id": PLAYER, "score": 90, "level": "FRAUDULENT", "status": "open", "assignee": None},
    **{"created_at": MOMENT_TEXT, "changed_at": MOMENT_TEXT, "snoozed_until": None, "resolved_at": None},
    **{"resolved_by": None, "resolution": None, "reasons": [REASON], "notes": []},
}
RULE: dict[str, Any] = {
    **{"version": 7, "rule_id": "fast", "state": "draft", "body": {"id": "fast"}, "author": "the-risk"},
    **{"reason": "bots", "created_at": MOMENT_TEXT, "changed_at": MOMENT_TEXT, "changed_by": "the-risk"},
    **{"error": None, "asked": 0, "fired": 0},
}
RULES_VIEW = {
    "revision": 3,
    "rules": [RULE],
    "features": {"bets_24h": "bets"},
    "parameters": {"VELOCITY_THRESHOLD": 10},
}


@dataclass
class FakeFraud:
    """The fraud service: keeps what it is asked, and answers or refuses as it is told."""

    refusal: httpx2.Response | None = None
    asked: list[httpx2.Request] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        path, limit = request.url.path, int(request.url.params.get("limit", 1))
        if self.refusal is not None and (request.method == "POST" or path == "/fraud/flags"):
            return self.refusal
        if path.endswith("/history"):
            lines = [{**SCORE, "number": number} for number in (9, 8, 7)]
            return httpx2.Response(200, json=lines[:limit])
        if path.endswith("/fraud-score"):
            return httpx2.Response(200, json=SCORE)
        if path == "/fraud/flags":
            return httpx2.Response(200, json=[{**FLAG, "cursor": f"c{number}"} for number in (1, 2, 3)][:limit])
        if path == "/fraud/rules":
            post = request.method == "POST"
            return httpx2.Response(201 if post else 200, json=RULE if post else RULES_VIEW)
        return httpx2.Response(200, json=RULE if path.startswith("/fraud/rules") else FLAG)

    def sent(self) -> Any:
        """The body that was sent last."""
        return orjson.loads(self.asked[-1].content)


@pytest.fixture
def fraud() -> FakeFraud:
    return FakeFraud()


@pytest.fixture
def compliance() -> FakeCompliance:
    return FakeCompliance()


@pytest.fixture
def client(wallet: FakeWallet, compliance: FakeCompliance, fraud: FakeFraud) -> httpx2.AsyncClient:
    return client_of(build(wallet, compliance, fraud, rate_limit_per_player_per_s=1_000_000))


async def test_a_score_has_its_reasons_and_a_player_has_neither(client: httpx2.AsyncClient) -> None:
    found = (await client.get(SCORES, headers=bearer(Role.SUPPORT))).json()
    assert (found["score"], found["level"], found["reasons"]) == (10, "SAFE", [REASON])
    assert (await client.get(SCORES, headers=bearer(Role.PLAYER))).status_code == 403


async def test_the_history_goes_by_pages(client: httpx2.AsyncClient, fraud: FakeFraud) -> None:
    first = await client.get(f"{SCORES}/history?limit=2", headers=bearer(Role.RISK))
    ScoreHistory.model_validate(first.json())
    assert [line["number"] for line in first.json()["scores"]] == [9, 8]
    await client.get(first.headers["Link"][1:].partition(">")[0], headers=bearer(Role.RISK))
    assert fraud.asked[-1].url.params["before"] == "8"


async def test_flags_go_by_pages_of_the_same_question(client: httpx2.AsyncClient, fraud: FakeFraud) -> None:
    query = f"?status=open&status=in_review&min_score=80&user_id={OTHER_PLAYER}&limit=2"
    first = await client.get(FLAGS + query, headers=bearer(Role.SUPPORT))
    FlagPage.model_validate(first.json())
    assert (first.json()["next_cursor"], first.json()["flags"]) == ("c2", [FLAG, FLAG])
    await client.get(first.headers["Link"][1:].partition(">")[0], headers=bearer(Role.SUPPORT))
    before, asked = (dict(request.url.params) for request in fraud.asked)
    assert asked == before | {"after": "c2"}
    assert fraud.asked[-1].url.params.get_list("status") == ["open", "in_review"]
    assert (asked["min_score"], asked["user_id"], asked["limit"]) == ("80", str(OTHER_PLAYER), "3")


async def test_what_is_no_cursor_is_named_as_the_client_wrote_it(client: httpx2.AsyncClient, fraud: FakeFraud) -> None:
    fraud.refusal = httpx2.Response(422, json={"errors": [{"field": "after", "message": "no"}]})
    response = await client.get(f"{FLAGS}?cursor=x", headers=bearer(Role.RISK))
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "cursor")


async def test_a_flag_is_read_by_its_id(client: httpx2.AsyncClient) -> None:
    assert (await client.get(f"{FLAGS}/{FLAG_ID}", headers=bearer(Role.SUPPORT))).json() == FLAG


@pytest.mark.parametrize(
    ("what", "action", "body"),
    [
        ("resolution", "FRAUD_FLAG_RESOLVE", {"status": "confirmed", "note": "a bot"}),
        ("snooze", "FRAUD_FLAG_SNOOZE", {"until": "2100-01-01T00:00:00Z", "note": "asked for papers"}),
        ("assignment", "FRAUD_FLAG_ASSIGN", {"assignee": "ann"}),
        ("assignment", "FRAUD_FLAG_ASSIGN", {"assignee": None}),
        ("notes", "FRAUD_FLAG_NOTE", {"note": "looks like one"}),
    ],
)
async def test_what_is_done_with_a_flag_is_on_record_and_in_the_name_of_who_does_it(
    client: httpx2.AsyncClient, fraud: FakeFraud, compliance: FakeCompliance, what: str, action: str, body: Any
) -> None:
    response = await client.post(f"{FLAGS}/{FLAG_ID}/{what}", json=body, headers=bearer(Role.RISK))
    assert (response.status_code, response.json()) == (200, FLAG)
    assert fraud.asked[-1].url.path == f"/fraud/flags/{FLAG_ID}/{what}"
    assert fraud.sent() == {**body, "by": "the-risk"}
    entry = compliance.entries[0]
    assert (entry["action"], entry["actor"], entry["user_id"]) == (action, "the-risk", PLAYER)
    assert entry["after"] == {"flag_id": FLAG_ID, **body}


async def test_what_cannot_be_recorded_is_not_done(
    client: httpx2.AsyncClient, fraud: FakeFraud, compliance: FakeCompliance
) -> None:
    compliance.available = False
    flag = await client.post(f"{FLAGS}/{FLAG_ID}/notes", json={"note": "x"}, headers=bearer(Role.RISK))
    rule = await client.post(f"{RULES}/7/activation", headers=bearer(Role.RISK))
    assert (flag.status_code, rule.status_code) == (503, 503)
    assert [request.method for request in fraud.asked] == ["GET"]


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        (f"{FLAGS}/{FLAG_ID}/resolution", {"status": "snoozed", "note": "x"}, "status"),
        (f"{FLAGS}/{FLAG_ID}/resolution", {"status": "confirmed"}, "note"),
        (f"{FLAGS}/{FLAG_ID}/resolution", {"status": "confirmed", "note": "x", "by": "bob"}, "by"),
        (f"{FLAGS}/{FLAG_ID}/snooze", {"until": "tomorrow", "note": "x"}, "until"),
        (f"{FLAGS}/{FLAG_ID}/assignment", {}, "assignee"),
        (f"{FLAGS}/{FLAG_ID}/notes", {"note": ""}, "note"),
        (f"{FLAGS}/1/notes", {"note": "x"}, "flag_id"),
        (RULES, {"rule": "a > b", "reason": "x"}, "rule"),
        (RULES, {"rule": {}}, "reason"),
        (f"{RULES}/0/activation", None, "version"),
        (f"{RULES}/{2**63}/shadow", None, "version"),
    ],
)
async def test_wrong_input_is_named_and_goes_nowhere(
    client: httpx2.AsyncClient, fraud: FakeFraud, compliance: FakeCompliance, path: str, body: Any, wrong: str
) -> None:
    response = await client.post(path, json=body, headers=bearer(Role.RISK))
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, wrong)
    assert (fraud.asked, compliance.entries) == ([], [])


@pytest.mark.parametrize("query", ["status=closed", "min_score=101", "user_id=0", "limit=0"])
async def test_a_wrong_question_is_named(client: httpx2.AsyncClient, fraud: FakeFraud, query: str) -> None:
    response = await client.get(f"{FLAGS}?{query}", headers=bearer(Role.RISK))
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"].startswith(query.partition("=")[0])
    assert not fraud.asked


async def test_rules_are_read_drafted_and_moved_on_record(
    client: httpx2.AsyncClient, fraud: FakeFraud, compliance: FakeCompliance
) -> None:
    listed = await client.get(f"{RULES}?state=active&rule_id=fast", headers=bearer(Role.SUPPORT))
    assert (listed.json(), fraud.asked[-1].url.query) == (RULES_VIEW, b"state=active&rule_id=fast")
    draft = {"rule": {"id": "fast", "condition": "bets_24h > 9"}, "reason": "bots"}
    drafted = await client.post(RULES, json=draft, headers=bearer(Role.RISK))
    assert (drafted.status_code, drafted.json(), fraud.sent()) == (201, RULE, {**draft, "author": "the-risk"})
    for what in ("activation", "shadow", "retirement"):
        moved = await client.post(f"{RULES}/7/{what}", headers=bearer(Role.ADMIN))
        assert (moved.status_code, fraud.sent()) == (200, {"by": "the-admin"})
        assert fraud.asked[-1].url.path == f"/fraud/rules/7/{what}"
    actions = [entry["action"] for entry in compliance.entries]
    assert actions == [f"FRAUD_RULE_{what}" for what in ("DRAFT", "ACTIVATE", "SHADOW", "RETIRE")]
    assert compliance.entries[-1]["after"] == {"version": 7}


async def test_a_refusal_of_the_fraud_service_goes_out_as_it_is(client: httpx2.AsyncClient, fraud: FakeFraud) -> None:
    refusal = {"code": "VALIDATION_FAILED", "errors": [{"field": "condition", "message": "1:3: no feature hats"}]}
    fraud.refusal = httpx2.Response(422, json=refusal)
    response = await client.post(RULES, json={"rule": {"id": "x"}, "reason": "y"}, headers=bearer(Role.RISK))
    assert (response.status_code, response.json()) == (422, refusal)
