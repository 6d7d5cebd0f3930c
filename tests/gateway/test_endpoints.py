"""What clients see: answers, replays, waiting, reads."""

from typing import Any
from uuid import UUID

import httpx2
import pytest

from gateway.domain.requests import POSTED_HERE
from shared.contracts.kinds import Reason
from shared.contracts.replies import Outcome, Reply
from shared.errors import BrokerUnavailable, CommandIdReused, ServiceUnavailable
from shared.tokens import Role
from tests.gateway.fakes import OTHER_PLAYER, PLAYER, FakeAsked, FakeWallet
from tests.gateway.support import BET, DEPOSIT, bearer, build, client_of

POST = "/api/v1/transactions"
BATCH = "/api/v1/transactions/batch"
GAME = bearer(Role.GAME_SERVER)
FINANCE = bearer(Role.FINANCE)


async def post(client: httpx2.AsyncClient, body: dict[str, Any], key: str = "key-1", **headers: str) -> httpx2.Response:
    who = FINANCE if body.get("type") in {"DEPOSIT", "ADJUSTMENT_CREDIT"} else GAME
    return await client.post(POST, json=body, headers={**who, "Idempotency-Key": key, **headers})


async def test_a_posted_transaction_is_answered_with_itself_and_the_balances_of_its_currency(
    client: httpx2.AsyncClient, wallet: FakeWallet
) -> None:
    await post(client, DEPOSIT, "deposit")
    wallet.cash_minor[PLAYER, "EUR"] = 5

    response = await post(client, BET, "bet")

    assert response.status_code == 201
    assert response.json() == {
        "transaction": {
            "id": str(wallet.asked[1].command_id),
            "user_id": PLAYER,
            "type": "GAME_BET",
            "amount": "10.00",
            "currency": "USD",
            "status": "posted",
            "reason": None,
            "reference_id": "game_77",
            "round_id": "r-9",
            "provider": None,
            "stated_reason": None,
            "held": False,
            "dispute": None,
            "lane": wallet.rows[wallet.asked[1].command_id].lane,
            "position": 2,
            "checksum": "ab" * 32,
            "created_at": "2026-11-24T10:00:00.000000Z",
        },
        "wallet": {"user_id": PLAYER, "balances": [{"currency": "USD", "cash": "90.00", "reserved": "0.00"}]},
    }


async def test_a_refusal_is_a_problem_that_a_person_understands_and_carries_the_balances(
    client: httpx2.AsyncClient,
) -> None:
    response = await post(client, BET)

    problem = response.json()
    assert response.status_code == problem["status"] == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["code"] == "INSUFFICIENT_FUNDS"
    assert problem["type"] == "urn:langsense:problem:insufficient-funds"
    assert problem["detail"] == "10.00 USD were asked for and 0.00 USD are available."
    assert problem["transaction"]["status"] == "refused"
    assert problem["wallet"]["balances"] == [{"currency": "USD", "cash": "0.00", "reserved": "0.00"}]


async def test_a_rollback_that_finds_nothing_is_posted_with_its_reason(client: httpx2.AsyncClient) -> None:
    response = await post(client, {**BET, "type": "BET_ROLLBACK"})

    transaction = response.json()["transaction"]
    assert response.status_code == 201
    assert (transaction["amount"], transaction["reason"]) == ("0.00", Reason.ORIGINAL_NOT_SEEN)


@pytest.mark.parametrize("body", [DEPOSIT, BET])
async def test_a_retry_is_the_same_command_and_gets_the_same_bytes(
    client: httpx2.AsyncClient, wallet: FakeWallet, body: dict[str, Any]
) -> None:
    first = await post(client, body)
    wallet.cash_minor[PLAYER, "USD"] = 999_999

    second = await post(client, body, **{"Idempotency-Key": '"key-1"'})

    assert wallet.asked[0].command_id == wallet.asked[1].command_id
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"


async def test_two_clients_may_use_the_same_key(client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
    await post(client, BET)
    await client.post(POST, json=BET, headers={**bearer(Role.GAME_SERVER, subject="other"), "Idempotency-Key": "key-1"})

    assert wallet.asked[0].command_id != wallet.asked[1].command_id


async def test_a_key_with_another_body_is_refused(client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
    await post(client, BET)

    response = await post(client, {**BET, "amount": "11.00"})

    assert response.status_code == 422
    assert response.json()["code"] == CommandIdReused.code
    assert len(wallet.rows) == 1


async def test_a_missing_key_is_400(client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
    response = await client.post(POST, json=BET, headers=GAME)

    assert (response.status_code, response.json()["code"]) == (400, "IDEMPOTENCY_KEY_MISSING")
    assert wallet.asked == []


async def test_past_the_wait_a_transaction_is_pending_and_can_be_followed(
    client: httpx2.AsyncClient, wallet: FakeWallet
) -> None:
    wallet.silent = True

    response = await post(client, BET)

    assert response.status_code == 202
    assert response.headers["retry-after"] == "1"
    assert response.json()["transaction"]["status"] == "pending"
    location = response.headers["location"]
    assert location == f"{POST}/{response.json()['transaction']['id']}"
    pending = await client.get(location, headers=GAME)
    assert (pending.status_code, pending.json()) == (202, response.json())

    wallet.decide(wallet.asked[0])
    decided = await client.get(location, headers=GAME)
    assert decided.status_code == 200
    assert decided.json()["transaction"]["status"] == "refused"
    assert decided.json()["transaction"]["reason"] == "INSUFFICIENT_FUNDS"


async def test_a_transaction_that_nobody_knows_is_404(client: httpx2.AsyncClient) -> None:
    response = await client.get(f"{POST}/{UUID(int=1)}", headers=GAME)

    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")


async def test_a_caller_who_does_not_want_to_wait_is_answered_at_once(
    client: httpx2.AsyncClient, wallet: FakeWallet
) -> None:
    response = await post(client, BET, Prefer="respond-async")

    assert response.status_code == 202
    assert response.headers["preference-applied"] == "respond-async"
    assert len(wallet.asked) == 1


@pytest.mark.parametrize(
    ("prefer", "applied"), [("wait=3", "wait=3"), ("wait=60", "wait=10"), ("foo, WAIT=3", "wait=3"), ("wait=-1", None)]
)
async def test_how_long_to_wait_is_the_callers_choice_within_a_bound(
    client: httpx2.AsyncClient, prefer: str, applied: str | None
) -> None:
    response = await post(client, DEPOSIT, Prefer=prefer)

    assert response.headers.get("preference-applied") == applied


async def test_a_bet_expires_soon_after_its_caller_stops_waiting(
    client: httpx2.AsyncClient, wallet: FakeWallet
) -> None:
    await post(client, BET, "a", Prefer="wait=4")
    await post(client, {**BET, "expires_at": "2026-12-01T00:00:00Z"}, "b")
    await post(client, {**BET, "type": "GAME_PAYOUT"}, "c")

    waiting, stated, payout = wallet.asked
    assert waiting.expires_at is not None
    assert 4 <= (waiting.expires_at - waiting.occurred_at).total_seconds() <= 5
    assert stated.expires_at is not None
    assert stated.expires_at.isoformat() == "2026-12-01T00:00:00+00:00"
    assert payout.expires_at is None


async def test_a_stale_expiry_does_not_keep_a_retry_from_its_decision(
    client: httpx2.AsyncClient, wallet: FakeWallet
) -> None:
    body = {**BET, "expires_at": "2020-01-01T00:00:00Z"}
    first = await post(client, body)

    assert (await post(client, body)).content == first.content
    assert len(wallet.asked) == 2


@pytest.mark.parametrize("error", [BrokerUnavailable("no Kafka"), ServiceUnavailable("no wallet")])
async def test_while_kafka_or_the_wallet_is_away_writes_are_503(
    client: httpx2.AsyncClient, wallet: FakeWallet, error: BrokerUnavailable | ServiceUnavailable
) -> None:
    wallet.away = error

    response = await post(client, BET)

    assert (response.status_code, response.json()["code"]) == (503, error.code)
    assert response.headers["retry-after"] == "1"


async def test_a_command_that_kafka_did_not_take_is_503_and_not_pending(
    client: httpx2.AsyncClient, wallet: FakeWallet
) -> None:
    wallet.lost = BrokerUnavailable("not taken")

    assert (await post(client, BET)).status_code == 503


async def test_what_the_wallet_cannot_decide_is_the_platforms_fault(
    client: httpx2.AsyncClient, wallet: FakeWallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(command: Any, **_: Any) -> FakeAsked:
        rejected = Reply(command_id=command.command_id, outcome=Outcome.REJECTED, code="UNPROCESSABLE", detail="parked")
        return FakeAsked(rejected)

    monkeypatch.setattr(wallet, "ask", ask)

    response = await post(client, BET)

    assert (response.status_code, response.json()["code"]) == (500, "UNPROCESSABLE")


async def test_an_adjustment_names_its_reason_and_its_actor(client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
    body = {"user_id": PLAYER, "type": "ADJUSTMENT_CREDIT", "amount": "1", "currency": "USD", "reason": "goodwill"}

    response = await post(client, body)

    assert response.status_code == 201
    assert response.json()["transaction"]["stated_reason"] == "goodwill"
    assert wallet.asked[0].actor == "the-finance"
    assert "the-finance" not in response.text


class TestBatch:
    async def test_each_is_answered_in_order_as_by_itself(self, client: httpx2.AsyncClient) -> None:
        elements = [
            {**DEPOSIT, "idempotency_key": "1"},
            {**BET, "idempotency_key": "2"},
            {**BET, "idempotency_key": "3", "amount": "90.01"},
            {**BET, "idempotency_key": "2"},
            {**BET, "idempotency_key": "2", "amount": "11.00"},
            {**BET, "idempotency_key": "4", "amount": "0", "user_id": 0, "colour": "red"},
            "no transaction",
            {**BET},
        ]

        response = await client.post(BATCH, json={"transactions": elements}, headers=bearer(Role.ADMIN))

        assert response.status_code == 200
        results = response.json()["results"]
        assert [result["status"] for result in results] == [201, 201, 422, 201, 422, 422, 422, 422]
        assert results[1]["wallet"]["balances"][0]["cash"] == "90.00"
        assert results[2]["code"] == "INSUFFICIENT_FUNDS"
        assert results[3] == {**results[1], "idempotency_replayed": True}
        assert results[4]["code"] == "IDEMPOTENCY_KEY_REUSED"
        assert {error["field"] for error in results[5]["errors"]} == {"amount", "user_id", "colour"}
        assert [error["field"] for error in results[7]["errors"]] == ["idempotency_key"]

    async def test_a_key_means_the_same_in_a_batch_and_in_a_header(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        await post(client, BET, "same")
        await client.post(BATCH, json={"transactions": [{**BET, "idempotency_key": "same"}]}, headers=GAME)

        assert wallet.asked[0].command_id == wallet.asked[1].command_id

    async def test_one_that_the_token_does_not_allow_is_refused_alone(self, client: httpx2.AsyncClient) -> None:
        elements = [{**DEPOSIT, "idempotency_key": "1"}, {**BET, "idempotency_key": "2"}]

        response = await client.post(BATCH, json={"transactions": elements}, headers=FINANCE)

        assert [result["status"] for result in response.json()["results"]] == [201, 403]

    async def test_what_is_not_decided_in_time_can_be_followed(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        wallet.silent = True

        response = await client.post(BATCH, json={"transactions": [{**BET, "idempotency_key": "1"}]}, headers=GAME)

        (result,) = response.json()["results"]
        assert (result["status"], result["transaction"]["status"]) == (202, "pending")
        assert (await client.get(result["location"], headers=GAME)).status_code == 202

    @pytest.mark.parametrize(
        "body",
        [
            {},
            [],
            {"transactions": []},
            {"transactions": {}},
            {"transactions": [{}] * 1001},
            {"transactions": [], "a": 1},
        ],
    )
    async def test_a_wrong_batch_is_refused_whole(
        self, client: httpx2.AsyncClient, wallet: FakeWallet, body: Any
    ) -> None:
        response = await client.post(BATCH, json=body, headers=GAME)

        assert (response.status_code, response.json()["code"]) == (422, "VALIDATION_FAILED")
        assert wallet.asked == []

    async def test_a_thousand_go_through(self, wallet: FakeWallet) -> None:
        elements = [{**BET, "user_id": number + 1, "idempotency_key": str(number)} for number in range(1000)]
        async with client_of(build(wallet)) as client:
            response = await client.post(BATCH, json={"transactions": elements}, headers=GAME | {"Prefer": "wait=10"})

        assert [result["status"] for result in response.json()["results"]] == [422] * 1000
        assert len(wallet.asked) == 1000


class TestReads:
    async def test_a_wallet_is_read_in_decimals(self, client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
        wallet.cash_minor = {(PLAYER, "JPY"): 1000, (PLAYER, "USD"): -5}

        response = await client.get(f"/api/v1/users/{PLAYER}/wallet", headers=bearer(Role.PLAYER))

        assert response.json() == {
            "user_id": PLAYER,
            "balances": [
                {"currency": "JPY", "cash": "1000", "reserved": "0"},
                {"currency": "USD", "cash": "-0.05", "reserved": "0.00"},
            ],
        }

    async def test_an_unknown_player_is_404(self, client: httpx2.AsyncClient) -> None:
        response = await client.get("/api/v1/users/7/wallet", headers=bearer(Role.SUPPORT))

        assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")

    async def test_the_pages_of_a_players_transactions_are_all_of_them_once_newest_first(
        self, client: httpx2.AsyncClient, wallet: FakeWallet
    ) -> None:
        for number in range(5):
            await post(client, DEPOSIT, str(number))
        seen: list[int] = []
        url = f"/api/v1/users/{PLAYER}/transactions?limit=2"

        for _ in range(3):
            response = await client.get(url, headers=bearer(Role.SUPPORT))
            seen += [row["position"] for row in response.json()["transactions"]]
            cursor = response.json()["next_cursor"]
            if cursor is not None:
                url = response.links["next"]["url"]
                assert cursor in url

        assert seen == [5, 4, 3, 2, 1]
        assert cursor is None
        assert "link" not in response.headers

    async def test_a_player_without_transactions_has_an_empty_page(self, client: httpx2.AsyncClient) -> None:
        response = await client.get("/api/v1/users/7/transactions", headers=bearer(Role.SUPPORT))

        assert response.json() == {"transactions": [], "next_cursor": None}

    async def test_how_fast_a_player_bets(self, client: httpx2.AsyncClient) -> None:
        response = await client.get(f"/api/v1/users/{PLAYER}/bet-velocity", headers=bearer(Role.RISK))
        unknown = await client.get(f"/api/v1/users/{OTHER_PLAYER}/bet-velocity", headers=bearer(Role.RISK))

        assert response.json() == {"user_id": PLAYER, "bets_last_minute": 3}
        assert unknown.status_code == 404

    async def test_a_days_figures_are_in_decimals(self, client: httpx2.AsyncClient) -> None:
        response = await client.get("/api/v1/reports/daily/2026-11-24", headers=bearer(Role.FINANCE))

        assert response.json() == {
            "date": "2026-11-24",
            "currencies": {
                "JPY": {
                    "kinds": {"GAME_BET": {"posted": 2, "refused": 0, "amount": "3000"}},
                    "ggr": "3000",
                    "refusals": {},
                },
                "USD": {"ggr": "-0.05"},
            },
            "positions": {"0": 7},
        }


class TestRates:
    async def test_a_player_that_comes_too_often_is_told_when_to_come_back(self, wallet: FakeWallet) -> None:
        async with client_of(build(wallet, rate_limit_per_player_per_s=1)) as client:
            responses = [await post(client, {**DEPOSIT, "user_id": 7}, str(number)) for number in range(4)]
            other = await post(client, DEPOSIT, "other")

        refused = [response for response in responses if response.status_code == 429]
        # A window may have ended in between.
        assert len(refused) in {2, 3}
        assert refused[0].headers["retry-after"] == "1"
        assert refused[0].json()["code"] == "RATE_LIMITED"
        assert refused[1].headers["ratelimit-policy"] == '"client";q=5000;w=1, "player";q=1;w=1'
        assert '"player";r=0;t=1' in refused[1].headers["ratelimit"]
        assert other.status_code == 201

    async def test_a_batch_goes_on_after_one_player_too_often(self, wallet: FakeWallet) -> None:
        elements = [{**DEPOSIT, "user_id": 7 + number // 3, "idempotency_key": str(number)} for number in range(6)]
        async with client_of(build(wallet, rate_limit_per_player_per_s=2)) as client:
            response = await client.post(BATCH, json={"transactions": elements}, headers=FINANCE)

        assert [result["status"] for result in response.json()["results"]] == [201, 201, 429, 201, 201, 429]
        assert len(response.headers) < 12

    async def test_a_batch_counts_each_of_its_transactions(self, wallet: FakeWallet) -> None:
        elements = [{**BET, "user_id": number + 1, "idempotency_key": str(number)} for number in range(600)]
        async with client_of(build(wallet, rate_limit_per_client_per_s=1000)) as client:
            statuses = [
                (await client.post(BATCH, json={"transactions": elements}, headers=GAME)).status_code for _ in range(4)
            ]

        assert 429 in statuses
        assert len(wallet.asked) % 600 == 0

    async def test_who_shows_no_token_is_counted_by_address(self, wallet: FakeWallet) -> None:
        async with client_of(build(wallet, rate_limit_per_address_per_s=1)) as client:
            statuses = [(await client.get("/api/v1/users/1/wallet")).status_code for _ in range(4)]

        assert statuses[0] == 401
        assert 429 in statuses


async def test_a_request_keeps_its_id_and_gives_it_to_the_command(
    client: httpx2.AsyncClient, wallet: FakeWallet
) -> None:
    response = await post(client, BET, **{"X-Request-ID": "from-the-client"})

    assert response.headers["x-request-id"] == "from-the-client"
    assert wallet.request_ids == ["from-the-client"]


async def test_every_kind_can_be_posted(client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
    for kind in POSTED_HERE:
        body = {**BET, "type": kind, "provider": "bank", "reason": "why"}
        response = await client.post(POST, json=body, headers={**bearer(Role.ADMIN), "Idempotency-Key": f"key-{kind}"})
        assert response.status_code in {201, 422}, response.text
        assert response.json()["transaction"]["type"] == kind

    assert len(wallet.rows) == len(POSTED_HERE)
