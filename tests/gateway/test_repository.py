"""Reads from other services: what they answer, and what it means when they do not."""

from collections.abc import Callable
from datetime import date
from uuid import UUID

import httpx2
import pytest

from gateway.repository import Reads
from shared.contracts.kinds import Kind
from shared.contracts.readings import ReadTransaction
from shared.errors import NotFound, NotSealedYet, ServiceUnavailable
from shared.testing import FakeLedger


def reads(answer: Callable[[httpx2.Request], httpx2.Response]) -> Reads:
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer), base_url="http://inner")
    return Reads(client, client, client)


async def test_rows_are_read_as_their_contract_says() -> None:
    row = FakeLedger(4).add(Kind.DEPOSIT, 42)
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        body = row.model_dump_json()
        return httpx2.Response(200, content=f"[{body}]" if request.url.path.startswith("/users") else body)

    read = ReadTransaction(**dict(row))
    assert await reads(answer).transaction(row.command_id) == read
    assert await reads(answer).history(42, limit=2, before=7) == [read]
    assert asked == [
        f"http://inner/transactions/{row.command_id}",
        "http://inner/users/42/transactions?limit=2&before=7",
    ]


@pytest.mark.parametrize("status", [401, 422, 500, 502, 503])
async def test_a_service_that_does_not_answer_well_is_unavailable(status: int) -> None:
    inner = reads(lambda _: httpx2.Response(status, json={"detail": "secret detail"}))

    for call in (inner.balances(1), inner.transaction(UUID(int=1)), inner.daily_report(date(2026, 1, 1))):
        with pytest.raises(ServiceUnavailable) as raised:
            await call
        assert "secret detail" not in str(raised.value)


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused", request=request)

    with pytest.raises(ServiceUnavailable):
        await reads(refuse).wallet_is_ready()


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"\xff"])
async def test_an_answer_that_is_not_the_contracts_is_unavailable(body: bytes) -> None:
    with pytest.raises(ServiceUnavailable):
        await reads(lambda _: httpx2.Response(200, content=body)).transaction(UUID(int=1))
    if body != b"[]":
        with pytest.raises(ServiceUnavailable):
            await reads(lambda _: httpx2.Response(200, content=body)).history(1, limit=1, before=None)
    with pytest.raises(ServiceUnavailable):
        await reads(lambda _: httpx2.Response(200, content=body)).balances(1)


@pytest.mark.parametrize("body", [b'{"detail": "no such player"}', b"", b"[]"])
async def test_what_is_not_there_is_not_found(body: bytes) -> None:
    inner = reads(lambda _: httpx2.Response(404, content=body))

    with pytest.raises(NotFound):
        await inner.balances(1)
    assert await inner.transaction(UUID(int=1)) is None


async def test_what_is_not_sealed_yet_says_when_to_come_back() -> None:
    early = reads(lambda _: httpx2.Response(409, headers={"Retry-After": "7"}, json={"detail": "later"}))
    with pytest.raises(NotSealedYet) as raised:
        await early.receipt(UUID(int=1))
    assert raised.value.retry_after_s == 7
