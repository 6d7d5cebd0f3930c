"""Whatever is sent: the wrong field is named, nothing reaches the wallet, and nothing answers 500."""

import json
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.requests import MAX_TRANSACTION_BYTES
from shared.service import MAX_BODY_BYTES
from shared.tokens import Role
from tests.gateway.fakes import PLAYER, FakeWallet
from tests.gateway.support import BET, bearer

POST = "/api/v1/transactions"
BATCH = "/api/v1/transactions/batch"
ADMIN = {**bearer(Role.ADMIN), "Content-Type": "application/json"}
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def wrong_fields(response: httpx2.Response) -> set[str]:
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["code"] == "VALIDATION_FAILED"
    return {error["field"] for error in response.json()["errors"]}


async def post(client: httpx2.AsyncClient, body: bytes | dict[str, Any], key: str = "key") -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.post(POST, content=content, headers={**ADMIN, "Idempotency-Key": key})


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"amount": "-1.00"}, {"amount"}),
        ({"amount": "0.00"}, {"amount"}),
        ({"amount": "1.001"}, {"amount"}),
        ({"amount": "1e3"}, {"amount"}),
        ({"amount": "NaN"}, {"amount"}),
        ({"amount": "1_000"}, {"amount"}),
        ({"amount": "٣"}, {"amount"}),
        ({"amount": ""}, {"amount"}),
        ({"amount": 10}, {"amount"}),
        ({"amount": 10.5}, {"amount"}),
        ({"amount": "9" * 10_000}, {"body"}),
        ({"amount": "9" * 1_000}, {"amount"}),
        ({"amount": "10000000000000.00"}, {"amount"}),
        ({"currency": "XXX"}, {"currency"}),
        ({"currency": "usd"}, {"currency"}),
        ({"currency": "JPY", "amount": "1.5"}, {"amount"}),
        ({"user_id": 0}, {"user_id"}),
        ({"user_id": -1}, {"user_id"}),
        ({"user_id": 2**63}, {"user_id"}),
        ({"user_id": "42"}, {"user_id"}),
        ({"user_id": 42.0}, {"user_id"}),
        ({"user_id": True}, {"user_id"}),
        ({"user_id": None}, {"user_id"}),
        ({"type": "THEFT"}, {"type"}),
        ({"type": "DEPOSIT"}, {"provider"}),
        ({"type": "DEPOSIT", "provider": "Not A Provider!"}, {"provider"}),
        ({"type": "ADJUSTMENT_DEBIT"}, {"reason"}),
        ({"reference_id": None}, {"reference_id"}),
        ({"reference_id": ""}, {"reference_id"}),
        ({"reference_id": "a\x00b"}, {"reference_id"}),
        ({"reference_id": "a\nb"}, {"reference_id"}),
        ({"reference_id": "a" * 129}, {"reference_id"}),
        ({"round_id": {"a": 1}}, {"round_id"}),
        ({"expires_at": "2026-13-01T00:00:00Z"}, {"expires_at"}),
        ({"expires_at": "2026-12-01"}, {"expires_at"}),
        ({"expires_at": "2026-12-01T00:00:00"}, {"expires_at"}),
        ({"expires_at": "9999-12-31T23:59:59-23:59"}, {"expires_at"}),
        ({"expires_at": 1_800_000_000}, {"expires_at"}),
        ({"balance": "100.00"}, {"balance"}),
        ({"command_id": "00000000-0000-0000-0000-000000000001"}, {"command_id"}),
        (
            {"amount": "0", "user_id": 0, "currency": "XXX", "type": "X", "reference_id": "", "a": 1},
            {"user_id", "currency", "type", "reference_id", "a"},
        ),
    ],
)
async def test_each_wrong_field_is_named(
    client: httpx2.AsyncClient, wallet: FakeWallet, changes: dict[str, Any], fields: set[str]
) -> None:
    response = await post(client, {**BET, **changes})

    if fields == {"body"}:
        assert response.status_code == 413
    else:
        assert wrong_fields(response) == fields
    assert wallet.asked == []


@pytest.mark.parametrize("field", ["type", "user_id", "amount", "currency", "reference_id"])
async def test_each_missing_field_is_named(client: httpx2.AsyncClient, field: str) -> None:
    response = await post(client, {name: value for name, value in BET.items() if name != field})

    assert wrong_fields(response) == {field}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{}}",
        b"\xff\xfe",
        b'{"a": "\xff"}',
        b'{"reference_id": "\\ud800"}',
        b"[" * 5_000,
        b'{"a":' * 1_000,
        b'{"user_id": NaN}',
        b'{"user_id": Infinity}',
        b'{"user_id": ' + b"9" * 5_000 + b"}",
        b'{"user_id": 1e400}',
        b"\x00",
        b"user_id=42&amount=10",
    ],
)
async def test_what_is_no_transaction_is_refused(client: httpx2.AsyncClient, wallet: FakeWallet, body: bytes) -> None:
    assert wrong_fields(await post(client, body))
    response = await client.post(BATCH, content=body, headers=ADMIN)
    assert wrong_fields(response)
    assert wallet.asked == []


async def test_a_wrong_body_is_not_answered_at_length(client: httpx2.AsyncClient) -> None:
    body = {"x" * 500: 1, **{f"field-{number}": 1 for number in range(400)}}

    response = await post(client, body)

    assert len(response.content) < 5_000


async def test_what_another_form_of_body_says_is_not_guessed(client: httpx2.AsyncClient) -> None:
    headers = {**bearer(Role.ADMIN), "Idempotency-Key": "1"}

    response = await client.post(POST, data={"user_id": "42"}, headers=headers)

    assert wrong_fields(response) == {"Content-Type"}


async def test_a_repeated_field_has_one_value(client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
    body = json.dumps(BET).encode().replace(b"{", b'{"amount": "99.00", ', 1)

    await post(client, body)

    assert [command.amount_minor for command in wallet.asked] == [1000]


@pytest.mark.parametrize("key", ["", " ", '""', "a" * 256, "\x7f", "é", '"' + "a" * 256 + '"', "\x00"])
async def test_a_key_that_is_none_is_refused(client: httpx2.AsyncClient, key: str) -> None:
    headers = [*ADMIN.items(), ("Idempotency-Key", key.encode("latin-1"))]

    response = await client.post(POST, json=BET, headers=headers)  # type: ignore[arg-type]

    # Header values lose the white space around them, and then there is nothing left.
    assert wrong_fields(response) == {"Idempotency-Key"}


async def test_two_keys_are_one_too_many(client: httpx2.AsyncClient) -> None:
    headers = [*ADMIN.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]

    assert wrong_fields(await client.post(POST, json=BET, headers=headers)) == {"Idempotency-Key"}


async def test_a_body_that_is_too_large_is_413(client: httpx2.AsyncClient) -> None:
    async def in_pieces() -> Any:
        for _ in range(MAX_BODY_BYTES // 65_536 + 1):
            yield b" " * 65_536

    announced = await post(client, b" " * (MAX_BODY_BYTES + 1))
    unannounced = await client.post(BATCH, content=in_pieces(), headers=ADMIN)
    too_much_for_one = await post(client, b" " * (MAX_TRANSACTION_BYTES + 1))

    for response in (announced, unannounced, too_much_for_one):
        assert (response.status_code, response.json()["code"]) == (413, "TOO_LARGE")


@pytest.mark.parametrize(
    "user_id", ["0", "-1", "x", "1.0", "+1", "1_0", "%31%00", "²", str(2**63), "9" * 10_000, "%20"]
)
@pytest.mark.parametrize("path", ["wallet", "transactions", "bet-velocity"])
async def test_what_is_no_user_id_is_refused(client: httpx2.AsyncClient, user_id: str, path: str) -> None:
    assert wrong_fields(await client.get(f"/api/v1/users/{user_id}/{path}", headers=ADMIN)) == {"user_id"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("cursor=", "cursor"),
        ("cursor=!!", "cursor"),
        ("cursor=MA", "cursor"),
        ("cursor=LTE", "cursor"),
        ("cursor=" + "OTk5" * 50, "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=%ff", "cursor"),
    ],
)
async def test_what_is_no_page_is_refused(client: httpx2.AsyncClient, query: str, field: str) -> None:
    response = await client.get(f"/api/v1/users/{PLAYER}/transactions?{query}", headers=ADMIN)

    assert wrong_fields(response) == {field}


@pytest.mark.parametrize("day", ["2026-13-01", "2026-02-30", "20261124", "today", "2026-11-24T00:00:00", "0", "1e9"])
async def test_what_is_no_day_is_refused(client: httpx2.AsyncClient, day: str) -> None:
    assert wrong_fields(await client.get(f"/api/v1/reports/daily/{day}", headers=ADMIN)) == {"date"}


@pytest.mark.parametrize("transaction_id", ["1", "x", "0" * 10_000, "%00", "00000000-0000-0000-0000-00000000000g"])
async def test_what_is_no_transaction_id_is_refused(client: httpx2.AsyncClient, transaction_id: str) -> None:
    assert wrong_fields(await client.get(f"{POST}/{transaction_id}", headers=ADMIN)) == {"transaction_id"}


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("DELETE", POST, 405)])
async def test_what_is_not_there_is_a_problem_too(
    client: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await client.request(method, path, headers=ADMIN)

    assert response.status_code == response.json()["status"] == status
    assert response.headers["content-type"] == "application/problem+json"


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
NAMES = sorted({*BET, "provider", "reason", "expires_at", "idempotency_key"})


@FUZZ
@given(changes=st.dictionaries(st.sampled_from(NAMES), JSON_VALUES, max_size=4))
async def test_no_value_of_any_field_is_too_much(client: httpx2.AsyncClient, changes: dict[str, Any]) -> None:
    body = json.dumps({**BET, **changes}).encode("utf-8", "surrogatepass")

    single = await post(client, body)
    batch = await client.post(BATCH, content=b'{"transactions": [' + body + b"]}", headers=ADMIN)

    assert single.status_code in {201, 422}, single.text
    assert batch.status_code in {200, 422}, batch.text
    if batch.status_code == 200:
        assert batch.json()["results"][0]["status"] in {201, 422}, batch.text


ANY_TRANSACTION = "00000000-0000-0000-0000-000000000001"
OTHERS: dict[tuple[str, str], dict[str, Any]] = {
    ("PUT", f"users/{PLAYER}/limits/MAX_BET_AMOUNT"): {"amount": "1", "currency": "USD", "reason": "why"},
    ("PUT", f"users/{PLAYER}/limits/WITHDRAWAL_COOLDOWN_SECONDS"): {"seconds": 1, "currency": "USD", "reason": "why"},
    ("DELETE", f"users/{PLAYER}/limits/MAX_BET_AMOUNT"): {"currency": "USD", "reason": "why"},
    ("POST", f"users/{PLAYER}/limit-requests"): {"name": "MAX_BET_AMOUNT", "amount": "1", "currency": "USD"},
    ("POST", f"users/{PLAYER}/limit-requests/MAX_BET_AMOUNT/confirmation"): {"amount": "1", "currency": "USD"},
    ("POST", f"transactions/{ANY_TRANSACTION}/reversal"): {"amount": "1", "reason": "why"},
    ("POST", f"transactions/{ANY_TRANSACTION}/release"): {"amount": "1", "reason": "why"},
    ("POST", f"transactions/{ANY_TRANSACTION}/dispute"): {"reason": "why"},
}


@FUZZ
@given(
    which=st.sampled_from(sorted(OTHERS)),
    changes=st.dictionaries(
        st.sampled_from(["amount", "seconds", "currency", "reason", "name", "x"]), JSON_VALUES, min_size=1, max_size=3
    ),
)
async def test_no_value_of_any_field_of_a_limit_or_correction_is_too_much(
    client: httpx2.AsyncClient, which: tuple[str, str], changes: dict[str, Any]
) -> None:
    body = json.dumps({**OTHERS[which], **changes}).encode("utf-8", "surrogatepass")

    response = await client.request(
        which[0], f"/api/v1/{which[1]}", content=body, headers={**ADMIN, "Idempotency-Key": str(uuid4())}
    )

    assert response.status_code in {200, 201, 404, 422}, response.text


@pytest.mark.parametrize("which", sorted(OTHERS))
async def test_no_other_body_is_guessed_at_either(
    client: httpx2.AsyncClient, wallet: FakeWallet, which: tuple[str, str]
) -> None:
    path = f"/api/v1/{which[1]}"
    headers = {**bearer(Role.ADMIN), "Idempotency-Key": "1"}

    form = await client.request(which[0], path, data={"reason": "why"}, headers=headers)
    nothing = await client.request(which[0], path, headers={**ADMIN, **headers})
    much = await client.request(
        which[0], path, content=b" " * (MAX_TRANSACTION_BYTES + 1), headers={**ADMIN, **headers}
    )

    assert wrong_fields(form) == {"Content-Type"}
    assert wrong_fields(nothing) == {"body"}
    assert much.status_code == 413
    assert wallet.asked == []


@FUZZ
@given(body=st.binary(max_size=300))
async def test_no_bytes_are_too_much(client: httpx2.AsyncClient, body: bytes) -> None:
    assert (await post(client, body)).status_code == 422
    assert (await client.post(BATCH, content=body, headers=ADMIN)).status_code == 422


HEADER_BYTES = st.binary(max_size=100).filter(lambda value: not {0, 10, 13} & set(value))


@FUZZ
@given(
    value=HEADER_BYTES,
    name=st.sampled_from(["Idempotency-Key", "Prefer", "X-Request-ID", "traceparent", "Content-Type", "Authorization"]),
)
async def test_no_header_is_too_much(client: httpx2.AsyncClient, name: str, value: bytes) -> None:
    headers: dict[str, str | bytes] = {**ADMIN, "Idempotency-Key": "fuzz", name: value}

    response = await client.post(POST, json=BET, headers=headers)  # type: ignore[arg-type]

    assert response.status_code in {201, 401, 422}, response.text


@FUZZ
@given(parts=st.lists(st.binary(max_size=60), min_size=1, max_size=4))
async def test_no_token_is_too_much(client: httpx2.AsyncClient, parts: list[bytes]) -> None:
    value = b"Bearer " + b".".join(parts).replace(b"\r", b"").replace(b"\n", b"").replace(b"\x00", b"")

    response = await client.get("/api/v1/users/1/wallet", headers={b"Authorization": value})

    assert response.status_code == 401
