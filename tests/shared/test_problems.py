"""The edge: whatever goes wrong is answered with a problem document."""

from collections.abc import AsyncIterator
from http import HTTPStatus

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field

from shared import errors, problems
from shared.errors import FieldError, LangSenseError


class Body(BaseModel):
    amount: int = Field(gt=0)
    note: str = ""


RAISED: dict[str, LangSenseError] = {
    "invalid": errors.InvalidInput([FieldError("amount", "must be more than zero")]),
    "undecodable": errors.Undecodable([FieldError("body", "no JSON")]),
    "reused": errors.CommandIdReused("amount_minor"),
    "missing": errors.NotFound("there is no such thing"),
    "nobody": errors.Unauthenticated("show a token"),
    "forbidden": errors.Forbidden("not yours"),
    "large": errors.TooLarge("too much"),
    "large webhook": errors.OversizedWebhook("too much"),
    "webhook": errors.UnreadableWebhook([FieldError("body", "is no event")]),
    "often": errors.RateLimited(7),
    "kafka": errors.BrokerUnavailable("no Kafka"),
    "ours": errors.IntegrityViolation("the chain is broken"),
    "lane": errors.WrongLane(lane=1, expected=2),
}


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    app = FastAPI()
    problems.install(app)

    @app.get("/raise/{name}")
    async def raised(name: str) -> None:
        raise RAISED[name]

    @app.post("/things/{number}")
    async def things(number: int, body: Body) -> None: ...

    @app.get("/bug")
    async def bug() -> None:
        raise ZeroDivisionError("inner detail")

    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://edge") as client:
        yield client


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("invalid", 422),
        ("undecodable", 422),
        ("reused", 422),
        ("missing", 404),
        ("nobody", 401),
        ("forbidden", 403),
        ("large", 413),
        ("large webhook", 400),
        ("webhook", 400),
        ("often", 429),
        ("kafka", 503),
        ("ours", 500),
        ("lane", 500),
    ],
)
async def test_each_error_has_its_status_and_its_code(client: httpx2.AsyncClient, name: str, status: int) -> None:
    response = await client.get(f"/raise/{name}")
    body = response.json()
    assert response.status_code == body["status"] == status
    assert response.headers["content-type"] == "application/problem+json"
    assert body["code"] == RAISED[name].code
    assert body["detail"] == str(RAISED[name])
    assert body["type"].startswith("urn:langsense:problem:")
    assert body["title"]


def test_every_error_has_a_status() -> None:
    for error in RAISED.values():
        assert HTTPStatus(problems.of(error).status_code)


async def test_what_may_work_later_says_when(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/raise/often")).headers["Retry-After"] == "7"
    assert (await client.get("/raise/kafka")).headers["Retry-After"] == "1"
    assert "Retry-After" not in (await client.get("/raise/missing")).headers


async def test_who_shows_no_token_is_told_which_kind_is_wanted(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/raise/nobody")).headers["WWW-Authenticate"] == "Bearer"


async def test_wrong_input_names_its_fields(client: httpx2.AsyncClient) -> None:
    response = await client.post("/things/x", json={"amount": 0, "note": 5})
    assert response.status_code == 422
    body = response.json()
    assert body["code"] == "VALIDATION_FAILED"
    assert [error["field"] for error in body["errors"]] == ["number", "amount", "note"]
    assert all(error["message"] for error in body["errors"])


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b"[1", b"nul", b"[" * 100_000, b"1" * 10_000])
async def test_what_is_no_json_is_the_bodys_fault(client: httpx2.AsyncClient, body: bytes) -> None:
    response = await client.post("/things/1", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == ["body"]


async def test_an_unknown_path_and_a_wrong_method_are_problems_too(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/nowhere")).json()["code"] == "NOT_FOUND"
    response = await client.delete("/bug")
    assert response.json()["code"] == "METHOD_NOT_ALLOWED"
    assert response.headers["Allow"] == "GET"


async def test_an_error_of_ours_shows_no_inner_detail(client: httpx2.AsyncClient) -> None:
    response = await client.get("/bug")
    assert response.status_code == 500
    assert response.json()["code"] == "INTERNAL_ERROR"
    assert "inner" not in response.text
