"""The staff console: its page needs nobody else's server, and who signs in is on record."""

import re
from pathlib import Path

import httpx2
import pytest
from hatchling.builders.wheel import WheelBuilder

from shared.tokens import Role
from tests.gateway.fakes import FakeCompliance, FakeWallet
from tests.gateway.support import bearer, build, client_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "gateway" / "console"
PARTS = sorted(str(part.relative_to(FOLDER)) for part in FOLDER.rglob("*") if part.is_file())
SCRIPTS = [part for part in PARTS if part.endswith(".js")]
SIGN_INS = "/api/v1/console/sign-ins"


@pytest.fixture
def compliance() -> FakeCompliance:
    return FakeCompliance()


@pytest.fixture
def desk(wallet: FakeWallet, compliance: FakeCompliance) -> httpx2.AsyncClient:
    return client_of(build(wallet, compliance))


async def test_who_signs_in_is_on_record_and_told_what_is_open(
    desk: httpx2.AsyncClient, compliance: FakeCompliance
) -> None:
    found = await desk.post(SIGN_INS, json={}, headers=bearer(Role.RISK))
    assert found.status_code == 201
    assert "fraud:flags" in found.json()["scopes"]
    (entry,) = compliance.entries
    assert (entry["action"], entry["actor"]) == ("CONSOLE_LOGIN", found.json()["subject"])


async def test_who_is_not_let_in_is_told_why_and_is_not_on_record_as_if(
    desk: httpx2.AsyncClient, compliance: FakeCompliance
) -> None:
    for headers, status in (({}, 401), ({"Authorization": "Bearer x.y.z"}, 401), (bearer(Role.PLAYER), 403)):
        found = await desk.post(SIGN_INS, json={}, headers=headers)
        assert (found.status_code, bool(found.json()["detail"])) == (status, True)
    assert compliance.entries == []


async def test_nobody_is_let_in_who_cannot_be_put_on_record(
    desk: httpx2.AsyncClient, compliance: FakeCompliance
) -> None:
    compliance.available = False
    assert (await desk.post(SIGN_INS, json={}, headers=bearer(Role.RISK))).status_code == 503


async def test_the_page_and_its_parts_come_from_here_alone_and_run_nothing_else(client: httpx2.AsyncClient) -> None:
    page = await client.get("/console")
    assert re.findall(r'(?:src|href)="(/[^"]+)"', page.text) == [
        "/console/assets/console.css",
        "/console/assets/console.js",
    ]
    assert not re.search(r"<script>|<style|\son\w+=|\sstyle=", page.text)
    for answer in (page, *[await client.get(f"/console/assets/{part}") for part in PARTS]):
        assert answer.status_code == 200
        policy = dict(each.strip().split(" ", 1) for each in answer.headers["content-security-policy"].split(";"))
        assert (policy["default-src"], policy["script-src"], policy["frame-ancestors"]) == (
            "'none'",
            "'self'",
            "'none'",
        )
        assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-cache", "nosniff")
        assert not re.search(r"https?://|unsafe-", answer.text + answer.headers["content-security-policy"])


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_the_page_shows_is_text_and_its_money_is_no_number(script: str) -> None:
    text = (FOLDER / script).read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    assert not re.search(r"parseFloat|toFixed|Number\((?!hours|value\))", text)
    assert len(text.splitlines()) <= 400
    assert max(map(len, text.splitlines())) <= 120
    for imported in re.findall(r'from "([^"]+)"', text):
        assert ((FOLDER / script).parent / imported).is_file()


def test_the_wheel_has_the_page() -> None:
    packed = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {f"gateway/console/{part}" for part in PARTS} <= packed
