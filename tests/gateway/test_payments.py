"""Payments at the door: who may what, what each reads, what goes on record, and webhooks as they came."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx2
import orjson
import pytest

from gateway.endpoints.payments import MAX_WEBHOOK_BYTES
from shared.contracts.payments import MAX_REPORT_BODY_BYTES, MAX_REPORT_BYTES
from shared.service import MAX_BODY_BYTES
from shared.tokens import Role
from tests.gateway.fakes import OTHER_PLAYER, PLAYER, FakeCompliance, FakeWallet
from tests.gateway.support import bearer, build, client_of

# The same in each process of a run.
SOME_ID = UUID(int=7)
PAYMENTS = "/api/v1/payments"
ASKED: dict[str, Any] = {
    **{"user_id": PLAYER, "amount": "25.00", "currency": "USD", "provider": "sandbox", "method": "card"},
}


def view(**more: Any) -> dict[str, Any]:
    payment_id = str(uuid4())
    nothing = dict.fromkeys(("waits_for", "reason", "reference", "last4", "of_payment", "action", "changed_at"))
    return {
        **{"id": payment_id, "group_id": payment_id, "user_id": PLAYER, "direction": "deposit", "provider": "sandbox"},
        **{"method": "card", "amount_minor": 2500, "currency": "USD", "status": "completed", "posted": "credited"},
        **{"created_at": "2026-11-24T10:00:00Z", **nothing, **more},
    }


@dataclass
class FakePayments:
    """The payments service: keeps what it is asked, and answers as it is told, or fails so."""

    status: int = 200
    trouble: type[httpx2.RequestError] | None = None
    answer: Any = field(default_factory=lambda: [view()])
    asked: list[httpx2.Request] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        if self.trouble is not None:
            raise self.trouble("trouble", request=request)
        return httpx2.Response(self.status, json=self.answer)

    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(self.asked[-1].content)
        return found


@pytest.fixture
def service() -> FakePayments:
    return FakePayments()


@pytest.fixture
def client(wallet: FakeWallet, service: FakePayments) -> httpx2.AsyncClient:
    return client_of(build(wallet, payments=service))


async def test_a_deposit_is_asked_for_in_minor_units_and_answered_in_decimals(
    client: httpx2.AsyncClient, service: FakePayments
) -> None:
    key = {"Idempotency-Key": "one"}
    first = await client.post(f"{PAYMENTS}/deposits", json=ASKED, headers=bearer(Role.PLAYER) | key)
    assert first.status_code == 201
    assert (first.json()["amount"], first.json()["parts"][0]["amount"]) == ("25.00", "25.00")
    assert service.body()["amount_minor"] == 2500
    payment_id = service.body()["payment_id"]
    await client.post(f"{PAYMENTS}/deposits", json=ASKED, headers=bearer(Role.PLAYER) | key)
    assert service.body()["payment_id"] == payment_id
    assert first.headers["Location"] == f"{PAYMENTS}/{payment_id}"


async def test_what_the_provider_has_and_the_ledger_has_not_is_not_done(
    client: httpx2.AsyncClient, service: FakePayments
) -> None:
    for posted, status in (("nothing", 202), ("refused", 202), ("credited", 201)):
        service.answer = [view(status="completed", posted=posted)]
        found = await client.post(f"{PAYMENTS}/deposits", json=ASKED, headers=bearer(Role.PLAYER))
        assert (found.status_code, found.json()["posted"]) == (status, posted)


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "one"}])
@pytest.mark.parametrize("route", ["deposits", "withdrawals"])
@pytest.mark.parametrize(("trouble", "status"), [(httpx2.ReadTimeout, 200), (None, 503)])
async def test_what_may_have_begun_is_the_same_payment_under_the_key_that_is_answered(
    client: httpx2.AsyncClient,
    service: FakePayments,
    trouble: type[httpx2.RequestError] | None,
    status: int,
    route: str,
    key: dict[str, str],
) -> None:
    service.trouble, service.status = trouble, status
    player = bearer(Role.PLAYER)
    found = await client.post(f"{PAYMENTS}/{route}", json=ASKED, headers=player | key)
    assert (found.status_code, found.json()["code"], found.headers["Retry-After"]) == (503, "SERVICE_UNAVAILABLE", "1")
    payment_id = service.body()["payment_id"]
    assert found.json()["payment_id"] == payment_id
    again = {"Idempotency-Key": found.headers["Idempotency-Key"]}
    assert key in ({}, again)
    service.trouble, service.status = None, 200
    assert (await client.post(f"{PAYMENTS}/{route}", json=ASKED, headers=player | again)).status_code == 201
    assert service.body()["payment_id"] == payment_id


async def test_a_refund_that_may_have_begun_is_named(client: httpx2.AsyncClient, service: FakePayments) -> None:
    service.trouble = httpx2.ReadTimeout
    key = {"Idempotency-Key": "one"}
    body = {"reason": "twice"}
    found = await client.post(f"{PAYMENTS}/{uuid4()}/refund", json=body, headers=bearer(Role.FINANCE) | key)
    assert (found.status_code, found.headers["Idempotency-Key"]) == (503, "one")
    assert found.json()["payment_id"] == service.body()["refund_id"]


async def test_two_requests_without_a_key_are_two_payments(client: httpx2.AsyncClient, service: FakePayments) -> None:
    for _ in range(2):
        await client.post(f"{PAYMENTS}/deposits", json=ASKED, headers=bearer(Role.PLAYER))
    first, second = (orjson.loads(request.content)["payment_id"] for request in service.asked)
    assert first != second


async def test_what_is_not_done_yet_says_so(client: httpx2.AsyncClient, service: FakePayments) -> None:
    service.answer = [view(status="created", posted="nothing", waits_for="queue")]
    found = await client.post(f"{PAYMENTS}/deposits", json=ASKED, headers=bearer(Role.PLAYER))
    assert (found.status_code, found.json()["waits_for"], found.headers["Retry-After"]) == (202, "queue", "1")


async def test_a_split_withdrawal_shows_its_parts(client: httpx2.AsyncClient, service: FakePayments) -> None:
    service.answer = [view(amount_minor=1500), view(amount_minor=1000)]
    found = (await client.post(f"{PAYMENTS}/withdrawals", json=ASKED, headers=bearer(Role.PLAYER))).json()
    assert (found["amount"], [part["amount"] for part in found["parts"]]) == ("25.00", ["15.00", "10.00"])


@pytest.mark.parametrize(
    ("first", "second", "status", "stands"),
    [
        ("completed", "processing", 202, "processing"),
        ("unknown", "completed", 202, "unknown"),
        ("completed", "failed", 202, "failed"),
        ("failed", "created", 202, "created"),
        ("completed", "completed", 201, "completed"),
    ],
)
async def test_a_split_withdrawal_stands_where_its_hindmost_part_does(
    client: httpx2.AsyncClient, service: FakePayments, first: str, second: str, status: int, stands: str
) -> None:
    parts = [view(status=first, reference="r1"), view(status=second, reference="r2")]
    service.answer = parts
    found = await client.post(f"{PAYMENTS}/withdrawals", json=ASKED, headers=bearer(Role.PLAYER))
    assert (found.status_code, found.json()["status"]) == (status, stands)
    one = parts[0] | {"group_id": parts[0]["id"]}
    service.answer = one | {"parts": parts, "moves": [], "said": []}
    for role, shown in ((Role.PLAYER, ("50.00", stands)), (Role.FINANCE, ("25.00", first))):
        read = (await client.get(f"{PAYMENTS}/{one['id']}", headers=bearer(role))).json()
        assert (read["amount"], read["status"]) == shown


async def test_what_the_rules_refuse_is_a_problem_with_its_code(
    client: httpx2.AsyncClient, service: FakePayments
) -> None:
    service.answer = [view(status="failed", posted="nothing", reason="SELF_EXCLUDED")]
    found = await client.post(f"{PAYMENTS}/deposits", json=ASKED, headers=bearer(Role.PLAYER))
    assert (found.status_code, found.json()["code"]) == (422, "SELF_EXCLUDED")
    assert found.json()["payment"]["status"] == "failed"


@pytest.mark.parametrize("reason", ["INSTRUMENT_DECLINED", "amount_not_movable", "NEVER_ARRIVED", None])
async def test_what_its_provider_declines_is_a_payment_that_failed_whether_it_has_a_name_there_or_not(
    client: httpx2.AsyncClient, service: FakePayments, reason: str | None
) -> None:
    answers = []
    for reference in ("ref_1", None):
        service.answer = [view(status="failed", posted="nothing", reason=reason, reference=reference)]
        found = await client.post(f"{PAYMENTS}/deposits", json=ASKED, headers=bearer(Role.PLAYER))
        answers.append((found.status_code, found.json()["status"], found.json()["reason"]))
    assert answers == [(202, "failed", reason)] * 2


async def test_a_player_pays_and_sees_for_itself_alone(client: httpx2.AsyncClient, service: FakePayments) -> None:
    other = ASKED | {"user_id": OTHER_PLAYER}
    assert (await client.post(f"{PAYMENTS}/deposits", json=other, headers=bearer(Role.PLAYER))).status_code == 403
    assert service.asked == []
    service.answer = view(user_id=OTHER_PLAYER) | {"parts": [], "moves": [], "said": []}
    assert (await client.get(f"{PAYMENTS}/{uuid4()}", headers=bearer(Role.PLAYER))).status_code == 403
    mine: dict[str, Any] = {"params": {"user_id": OTHER_PLAYER}, "headers": bearer(Role.PLAYER)}
    assert (await client.get(PAYMENTS, **mine)).status_code == 403
    service.answer = []
    assert (await client.get(PAYMENTS, headers=bearer(Role.PLAYER))).status_code == 200
    assert service.asked[-1].url.params["user_id"] == str(PLAYER)


async def test_only_staff_reads_how_a_payment_came_to_stand_there(
    client: httpx2.AsyncClient, service: FakePayments
) -> None:
    service.answer = view() | {"parts": [view()], "moves": [], "said": []}
    for role, shown in ((Role.PLAYER, False), (Role.SUPPORT, True)):
        found = (await client.get(f"{PAYMENTS}/{uuid4()}", headers=bearer(role))).json()
        assert ("moves" in found) == shown


async def test_a_completion_goes_on_record_first(wallet: FakeWallet, service: FakePayments) -> None:
    compliance = FakeCompliance()
    client = client_of(build(wallet, compliance, payments=service))
    service.answer = view() | {"parts": [], "moves": [], "said": []}
    body = {"outcome": "completed", "reason": "statement", "evidence": "bank 7"}
    found = await client.post(f"{PAYMENTS}/{uuid4()}/completion", json=body, headers=bearer(Role.FINANCE))
    assert found.status_code == 200
    assert service.body()["actor"] == "the-finance"
    for missing in body:
        wrong = {name: value for name, value in body.items() if name != missing}
        again = await client.post(f"{PAYMENTS}/{uuid4()}/completion", json=wrong, headers=bearer(Role.FINANCE))
        assert [error["field"] for error in again.json()["errors"]] == [missing]


async def test_what_cannot_be_recorded_is_not_done(wallet: FakeWallet, service: FakePayments) -> None:
    client = client_of(build(wallet, lambda request: httpx2.Response(503), service))
    body = {"available": False, "reason": "maintenance"}
    found = await client.put(f"{PAYMENTS}/availability", json=body, headers=bearer(Role.FINANCE))
    assert found.status_code == 503
    assert service.asked == []


async def test_a_webhook_passes_as_it_came_without_a_token(client: httpx2.AsyncClient, service: FakePayments) -> None:
    service.answer = {"taken": 1, "duplicates": 0}
    headers = {"Stripe-Signature": "t=1,v1=ab", "Authorization": "Bearer mine"}
    found = await client.post("/api/v1/webhooks/stripe", content=b'{"a": 1 }', headers=headers)
    assert (found.status_code, found.json()) == (200, {"taken": 1, "duplicates": 0})
    sent = service.asked[-1]
    assert (sent.url.path, sent.content) == ("/webhooks/stripe", b'{"a": 1 }')
    assert (sent.headers["Stripe-Signature"], sent.headers.get("Authorization")) == ("t=1,v1=ab", None)

    async def in_pieces() -> AsyncIterator[bytes]:
        for _ in range(17):
            yield b" " * 65_536

    for content in (b"x" * (MAX_WEBHOOK_BYTES + 1), b"x" * (MAX_BODY_BYTES + 1), in_pieces()):
        large = await client.post("/api/v1/webhooks/stripe", content=content)
        assert (large.status_code, large.json()["code"]) == (400, "WEBHOOK_TOO_LARGE")
    assert len(service.asked) == 1
    assert (await client.post("/api/v1/webhooks/..%2Fpayments", content=b"{}")).status_code in (404, 422)


@pytest.mark.parametrize(("status", "code"), [(400, "WEBHOOK_UNREADABLE"), (401, "UNAUTHENTICATED")])
async def test_a_webhook_that_is_not_taken_is_answered_as_the_service_answers_it(
    client: httpx2.AsyncClient, service: FakePayments, status: int, code: str
) -> None:
    service.status, service.answer = status, {"code": code}
    found = await client.post("/api/v1/webhooks/paypal", content=b"{}")
    assert (found.status_code, found.json()) == (status, {"code": code})


async def test_a_large_report_is_brought_by_finance_alone(
    client: httpx2.AsyncClient, service: FakePayments, wallet: FakeWallet
) -> None:
    path = f"/api/v1/settlement-batches/{uuid4()}/retry"
    report = {"report": "x" * 2 * MAX_BODY_BYTES}
    service.status, service.answer = 404, {"code": "NOT_FOUND"}
    assert (await client.post(path, json=report, headers=bearer(Role.PLAYER))).status_code == 403
    assert service.asked == []
    assert (await client.post(path, json=report, headers=bearer(Role.FINANCE))).status_code == 404
    assert service.body() == report
    report["report"] = "x" * MAX_REPORT_BYTES + "y"
    larger = (await client.post(path, json=report, headers=bearer(Role.FINANCE))).json()
    assert [error["field"] for error in larger["errors"]] == ["report"]
    beyond = await client.post(path, content=b" " * (MAX_REPORT_BODY_BYTES + 1), headers=bearer(Role.FINANCE))
    assert (beyond.status_code, beyond.json()["code"]) == (413, "TOO_LARGE")
    assert len(service.asked) == 1


async def test_a_card_number_is_no_instrument(client: httpx2.AsyncClient, service: FakePayments) -> None:
    body = ASKED | {"instrument": "4242424242424242"}
    found = await client.post(f"{PAYMENTS}/deposits", json=body, headers=bearer(Role.PLAYER))
    assert (found.status_code, found.json()["errors"][0]["field"]) == (422, "instrument")
    assert "4242" not in found.text
    assert service.asked == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{PAYMENTS}/{SOME_ID}/completion", {"outcome": "completed", "evidence": "bank 7"}),
        ("POST", f"{PAYMENTS}/{SOME_ID}/review", {"verdict": "approve"}),
        ("POST", f"{PAYMENTS}/{SOME_ID}/cancellation", {}),
        ("POST", f"{PAYMENTS}/{SOME_ID}/refund", {}),
        ("PUT", f"{PAYMENTS}/availability", {"available": False}),
        ("POST", f"/api/v1/settlement-exceptions/{SOME_ID}/resolution", {}),
    ],
)
async def test_a_card_number_in_what_staff_says_goes_nowhere(
    wallet: FakeWallet, service: FakePayments, method: str, path: str, body: dict[str, Any]
) -> None:
    compliance = FakeCompliance()
    client = client_of(build(wallet, compliance, payments=service))
    said = body | {"reason": "the card 4242 4242 4242 4242 was stolen"}
    found = await client.request(method, path, json=said, headers=bearer(Role.FINANCE) | {"Idempotency-Key": "one"})
    assert (found.status_code, [error["field"] for error in found.json()["errors"]]) == (422, ["body.reason"])
    assert "4242" not in found.text
    assert (compliance.asked, service.asked) == ([], [])


async def test_a_card_number_is_no_provider_whose_day_is_settled(wallet: FakeWallet, service: FakePayments) -> None:
    compliance = FakeCompliance()
    client = client_of(build(wallet, compliance, payments=service))
    body = {"provider": "4242424242424242", "currency": "USD", "day": "2026-11-24", "report": "4242 4242 4242 4242"}
    found = await client.post("/api/v1/settlement-batches", json=body, headers=bearer(Role.FINANCE))
    assert [error["field"] for error in found.json()["errors"]] == ["body.provider"]
    assert (compliance.asked, service.asked) == ([], [])


async def test_a_refund_needs_a_key_a_reason_and_finance_and_goes_on_record(
    wallet: FakeWallet, service: FakePayments
) -> None:
    compliance = FakeCompliance()
    client = client_of(build(wallet, compliance, payments=service))
    service.answer = [view(direction="refund", status="processing")]
    path, key, body = f"{PAYMENTS}/{uuid4()}/refund", {"Idempotency-Key": "one"}, {"amount": "4.00", "reason": "twice"}
    finance = bearer(Role.FINANCE)
    assert (await client.post(path, json=body, headers=finance)).status_code == 400
    assert (await client.post(path, json={"amount": "4.00"}, headers=finance | key)).status_code == 422
    assert (await client.post(path, json=body, headers=bearer(Role.PLAYER) | key)).status_code == 403
    assert service.asked == []
    found = await client.post(path, json=body, headers=finance | key)
    assert (found.status_code, found.headers["Location"]) == (202, f"{PAYMENTS}/{service.body()['refund_id']}")
    assert service.body()["refund"] == body


async def test_a_player_gives_up_its_own_and_finance_anybodys_on_record(
    wallet: FakeWallet, service: FakePayments
) -> None:
    compliance = FakeCompliance()
    client = client_of(build(wallet, compliance, payments=service))
    service.answer = {**view(status="cancelled", posted="nothing"), "parts": [], "moves": [], "said": []}
    service.answer["parts"] = [{name: service.answer[name] for name in view()}]
    path, body = f"{PAYMENTS}/{service.answer['id']}/cancellation", {"reason": "too late"}
    assert (await client.post(path, json=body, headers=bearer(Role.PLAYER))).json()["status"] == "cancelled"
    assert (service.body()["own_user_id"], service.body()["cancellation"]) == (PLAYER, body)
    assert (await client.post(path, json=body, headers=bearer(Role.FINANCE))).status_code == 200
    assert service.body()["own_user_id"] is None
    assert (await client.post(path, json={}, headers=bearer(Role.PLAYER))).json()["errors"][0]["field"] == "reason"
