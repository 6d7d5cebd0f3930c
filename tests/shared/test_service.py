"""What every application has around its endpoints: an id per request, a bound on bodies, measurements, health."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import httpx2
import pytest
from fastapi import FastAPI, Request
from fastapi.routing import APIRouter
from pydantic import BaseModel

from shared.errors import RateLimited, ServiceUnavailable
from shared.service import MAX_BODY_BYTES, Health, application, internal_only, set_header
from shared.settings import ServiceSettings
from shared.telemetry import Metrics
from tests.support import TOKEN

LARGE = 2 * MAX_BODY_BYTES


class WithLargeBodies(ServiceSettings):
    body_bounds: ClassVar[Mapping[str, int]] = {"/api/large": LARGE}


class Body(BaseModel):
    text: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
async def client(health: Health) -> AsyncIterator[httpx2.AsyncClient]:
    settings = WithLargeBodies.load(kafka_bootstrap_servers="127.0.0.1:1", internal_api_token=TOKEN)
    api = APIRouter(prefix="/api")

    @api.post("/things/{number}")
    async def things(number: int, body: Body) -> None: ...

    @api.get("/bug")
    async def bug() -> None:
        raise ZeroDivisionError("inner detail")

    @api.get("/marked")
    async def marked(request: Request, refuse: bool = False) -> None:
        set_header(request, "X-Mark", "1")
        set_header(request, "X-Mark", "2")
        if refuse:
            raise RateLimited(3)

    @api.get("/inner")
    async def inner(request: Request) -> None:
        await internal_only(settings)(request)

    @api.post("/large/{number}")
    @api.post("/small")
    async def large(request: Request) -> int:
        return len(await request.body())

    app = application(
        "test",
        settings,
        health=health,
        metrics=Metrics(),
        lifespan=lifespan,
        routers=(api,),
        health_prefix="/api",
    )
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


async def in_pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 65_536 + 1):
        yield b" " * 65_536


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_too_large_is_413_even_where_fastapi_reads_it(
    client: httpx2.AsyncClient, announced: bool
) -> None:
    content: Any = b" " * (MAX_BODY_BYTES + 1) if announced else in_pieces(MAX_BODY_BYTES)

    response = await client.post("/api/things/1", content=content, headers={"Content-Type": "application/json"})

    assert (response.status_code, response.json()["code"]) == (413, "TOO_LARGE")


@pytest.mark.parametrize(("path", "size"), [("/api/large/1", LARGE), ("/api/small", MAX_BODY_BYTES)])
async def test_below_a_path_a_body_may_have_a_bound_of_its_own(
    client: httpx2.AsyncClient, path: str, size: int
) -> None:
    assert (await client.post(path, content=b" " * size)).json() == size
    for content in (b" " * (size + 1), in_pieces(size)):
        refused = await client.post(path, content=content)
        assert (refused.status_code, refused.json()["code"]) == (413, "TOO_LARGE")


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1._Z", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ("", False)]
)
async def test_a_request_keeps_an_id_that_has_the_form_of_one(
    client: httpx2.AsyncClient, given: str, kept: bool
) -> None:
    response = await client.get("/api/health/live", headers={"X-Request-ID": given})

    assert (response.headers["x-request-id"] == given) == kept
    assert response.headers["x-request-id"]


@pytest.mark.parametrize(("query", "status"), [("", 200), ("?refuse=true", 429)])
async def test_a_header_is_on_whatever_answer_comes(client: httpx2.AsyncClient, query: str, status: int) -> None:
    response = await client.get(f"/api/marked{query}")

    assert response.status_code == status
    assert response.headers.get_list("x-mark") == ["2"]


async def test_a_fault_of_ours_has_the_id_that_leads_to_its_log_and_is_measured(client: httpx2.AsyncClient) -> None:
    response = await client.get("/api/bug", headers={"X-Request-ID": "find-me"})

    assert (response.status_code, response.headers["x-request-id"]) == (500, "find-me")
    assert "inner detail" not in response.text
    metrics = (await client.get("/metrics")).text
    assert 'langsense_http_request_seconds_count{method="GET",route="/api/bug",status="500"} 1.0' in metrics


async def test_what_a_client_makes_up_is_no_label(client: httpx2.AsyncClient) -> None:
    await client.request("MADE-UP", "/made/up")

    metrics = (await client.get("/metrics")).text
    assert 'method="unmatched",route="unmatched",status="404"' in metrics
    assert "MADE-UP" not in metrics


async def test_an_inner_endpoint_opens_to_the_platforms_token_alone(client: httpx2.AsyncClient) -> None:
    for shown in ("", "Bearer ", f"Bearer {TOKEN[:-1]}", TOKEN, "Bearer \xff"):
        headers = {b"Authorization": shown.encode("latin-1")}
        assert (await client.get("/api/inner", headers=headers)).status_code == 401
    assert (await client.get("/api/inner", headers={"Authorization": f"Bearer {TOKEN}"})).status_code == 200


async def test_health_names_what_is_wrong(client: httpx2.AsyncClient, health: Health) -> None:
    async def fine() -> None: ...

    async def away() -> None:
        raise ServiceUnavailable("it is away")

    health.ready_when("database", fine)
    assert (await client.get("/api/health/ready")).status_code == 200
    health.ready_when("wallet", away)
    health.alive_while("consumer", lambda: "it stands still")

    ready, live = await client.get("/api/health/ready"), await client.get("/api/health/live")

    assert (ready.status_code, live.status_code) == (503, 503)
    assert ready.json()["checks"] == {"database": "ok", "wallet": "it is away"}
    assert live.json() == {"status": "stalled", "checks": {"consumer": "it stands still"}}
