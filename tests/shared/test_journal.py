"""Reading the wallet's journal over HTTP: whatever the other side does, the reader gets rows or one named error."""

from collections.abc import Callable

import httpx2
import pytest

from shared.contracts.kinds import Kind
from shared.errors import ServiceUnavailable
from shared.journal import HttpJournal, internal_client
from shared.testing import FakeLedger

Answer = Callable[[httpx2.Request], httpx2.Response]


def journal(answer: Answer) -> HttpJournal:
    return HttpJournal(httpx2.AsyncClient(transport=httpx2.MockTransport(answer), base_url="http://wallet"))


def fail(error: Exception) -> Answer:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise error

    return answer


async def test_rows_come_as_they_were_asked_for(ledger: FakeLedger) -> None:
    row = ledger.add(Kind.GAME_BET, 1)
    asked: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.raw_path.decode())
        return httpx2.Response(200, content=f"[{row.model_dump_json()}]")

    assert await journal(answer).rows(3, 17, 100) == [row]
    assert asked == ["/lanes/3/journal?after=17&limit=100"]


async def test_heads_come(ledger: FakeLedger) -> None:
    ledger.add(Kind.GAME_BET, 1)
    (head,) = await ledger.heads()
    found = await journal(lambda request: httpx2.Response(200, content=f"[{head.model_dump_json()}]")).heads()
    assert found == [head]


@pytest.mark.parametrize(
    "answer",
    [
        fail(httpx2.ConnectError("refused")),
        fail(httpx2.ReadTimeout("slow")),
        fail(httpx2.RemoteProtocolError("cut")),
        lambda request: httpx2.Response(503),
        lambda request: httpx2.Response(401),
        lambda request: httpx2.Response(302, headers={"location": "/elsewhere"}),
        lambda request: httpx2.Response(200, content=b""),
        lambda request: httpx2.Response(200, content=b"{}"),
        lambda request: httpx2.Response(200, content=b"[{}]"),
        lambda request: httpx2.Response(200, content=b"\xff"),
    ],
)
async def test_anything_else_is_unavailable(answer: Answer) -> None:
    with pytest.raises(ServiceUnavailable):
        await journal(answer).rows(0, 0, 1)
    with pytest.raises(ServiceUnavailable):
        await journal(answer).heads()


async def test_the_client_shows_the_token_and_waits_within_a_bound() -> None:
    async with internal_client("http://wallet:8001", "a-token") as client:
        request = client.build_request("GET", "/lanes")
        assert str(request.url) == "http://wallet:8001/lanes"
        assert request.headers["authorization"] == "Bearer a-token"
        timeout = client.timeout
        assert all(part is not None and part <= 5 for part in (timeout.connect, timeout.read, timeout.pool))


@pytest.mark.parametrize(("lost", "expected"), [("getpeername", httpx2.ConnectError), ("another", AttributeError)])
async def test_a_connection_that_is_lost_as_it_is_made_could_not_be_made(
    lost: str, expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed:
        """What anyio has of a socket that is closed."""

        def __getattr__(self, name: str) -> object:
            raise AttributeError(f"'NoneType' object has no attribute '{name}'", name=name, obj=None)

    async def asked(transport: httpx2.AsyncHTTPTransport, request: httpx2.Request) -> httpx2.Response:
        getattr(Closed(), lost)
        raise AssertionError("unreachable")

    monkeypatch.setattr(httpx2.AsyncHTTPTransport, "handle_async_request", asked)
    async with internal_client("http://wallet", "token") as client:
        with pytest.raises(expected):
            await client.get("/lanes")
