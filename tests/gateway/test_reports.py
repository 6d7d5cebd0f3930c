"""Reports at the door: in every form, for who may, on record where they leave."""

import httpx2
import pytest

from shared.contracts.reports import Format
from shared.tokens import Role
from tests.gateway.fakes import FakeCompliance, FakeWallet
from tests.gateway.support import bearer, build, client_of

FINANCE = bearer(Role.FINANCE, subject="ann")
PERIOD = {"from": "2026-11-01", "to": "2026-11-30"}
BODY = b"\x00what was asked for\xff"


class FakeMetrics:
    """The metrics service's reports."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(f"{request.url.path}?{request.url.query.decode()}")
        return httpx2.Response(200, content=BODY)


@pytest.fixture
def compliance() -> FakeCompliance:
    return FakeCompliance()


@pytest.fixture
def metrics() -> FakeMetrics:
    return FakeMetrics()


@pytest.fixture
def client(wallet: FakeWallet, compliance: FakeCompliance, metrics: FakeMetrics) -> httpx2.AsyncClient:
    return client_of(build(wallet, compliance, metrics=metrics))


@pytest.mark.parametrize("form", Format)
async def test_an_export_is_a_file_and_on_record(
    client: httpx2.AsyncClient, compliance: FakeCompliance, metrics: FakeMetrics, form: Format
) -> None:
    response = await client.get("/api/v1/reports/export", params={**PERIOD, "format": form.value}, headers=FINANCE)
    assert (response.status_code, response.content) == (200, BODY)
    assert response.headers["content-type"] == form.media_type
    assert response.headers["cache-control"] == "no-store"
    assert f'filename="langsense-2026-11-01-2026-11-30.{form}"' in response.headers["content-disposition"]
    assert metrics.asked == [f"/reports/export?from=2026-11-01&to=2026-11-30&format={form}"]
    (entry,) = compliance.entries
    assert (entry["action"], entry["actor"], entry["after"]) == ("REPORT_EXPORT", "ann", {**PERIOD, "format": form})


async def test_what_cannot_be_put_on_record_does_not_leave(
    client: httpx2.AsyncClient, compliance: FakeCompliance, metrics: FakeMetrics
) -> None:
    compliance.available = False
    response = await client.get("/api/v1/reports/export", params=PERIOD, headers=FINANCE)
    assert (response.status_code, metrics.asked) == (503, [])


async def test_a_summary_is_json_for_machines_and_a_page_for_people(
    client: httpx2.AsyncClient, metrics: FakeMetrics
) -> None:
    told = await client.get("/api/v1/reports/summary", params=PERIOD, headers=FINANCE)
    shown = await client.get("/api/v1/reports/summary", params=PERIOD, headers={**FINANCE, "Accept": "text/html"})
    assert (told.headers["content-type"], shown.headers["content-type"]) == (
        "application/json",
        "text/html; charset=utf-8",
    )
    assert told.headers["vary"] == "Accept"
    assert [asked.rpartition("=")[2] for asked in metrics.asked] == ["json", "html"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"from": "2026-11-01"}, "to"),
        ({"to": "2026-11-01"}, "from"),
        ({"from": "2026-11-02", "to": "2026-11-01"}, "to"),
        ({"from": "2025-11-01", "to": "2026-11-02"}, "to"),
        ({"from": "20261101", "to": "2026-11-02"}, "from"),
        ({**PERIOD, "format": "docx"}, "format"),
    ],
)
async def test_what_is_no_period_or_form_is_refused_by_name(
    client: httpx2.AsyncClient, metrics: FakeMetrics, query: dict[str, str], field: str
) -> None:
    response = await client.get("/api/v1/reports/export", params=query, headers=FINANCE)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert metrics.asked == []
