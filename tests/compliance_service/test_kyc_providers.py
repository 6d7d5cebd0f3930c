"""KYC with a provider over HTTP, and by more than one instance at once."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import orjson
import pytest

from compliance_service.domain import webhooks
from compliance_service.domain.encryption import KycKeys
from compliance_service.handlers.providers import HttpProvider
from compliance_service.settings import KYC_KEYS, Settings
from shared import keyring
from tests.compliance_service.support import INDEX_KEYS, KEYS, NOW, SECRETS, Setup
from tests.support import eventually

URL = "http://provider/checks"


class FakeProvider:
    """A provider that answers what it is told to, and keeps what it was sent."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.sent: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.sent.append(request)
        status = self.statuses.pop(0)
        if status == 0:
            raise httpx2.ConnectError("925665416")
        return httpx2.Response(status, text="the number 925665416 is wrong")


def with_provider(kyc: Setup, provider: FakeProvider) -> None:
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(provider))
    kyc.worker = kyc.worker_with(HttpProvider(client, URL, SECRETS.split(",")[0], lambda: kyc.now))
    kyc.client = kyc.client_with(kyc.worker)


@pytest.mark.integration
class TestHttpProvider:
    async def test_a_submission_is_sent_signed_and_settled_by_its_webhook(self, kyc: Setup) -> None:
        provider = FakeProvider(202)
        with_provider(kyc, provider)
        found = (await kyc.submit()).json()
        assert found["state"] == "submitted"
        (request,) = provider.sent
        body, timestamp = request.content, request.headers[webhooks.TIMESTAMP]
        assert request.headers[webhooks.SIGNATURE] == webhooks.sign("s" * 40, int(timestamp), body)
        assert orjson.loads(body)["submission_id"] == found["submission_id"]
        assert orjson.loads(body)["document_number"] == "925665416"
        await kyc.webhook(found["submission_id"], "verified", NOW, "e1")
        assert (await kyc.client.get("/users/1/kyc")).json()["state"] == "verified"

    @pytest.mark.parametrize("trouble", [0, 500, 422])
    async def test_a_provider_in_trouble_is_asked_again_and_nothing_of_it_is_told(
        self, kyc: Setup, trouble: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        provider = FakeProvider(trouble, 202)
        with_provider(kyc, provider)
        response = await kyc.submit()
        assert (response.status_code, response.json()["state"]) == (200, "submitted")
        assert [await kyc.worker.providers(), await kyc.worker.providers()] == [1, 0]
        assert len(provider.sent) == 2
        assert "925665416" not in response.text + capsys.readouterr().out


@pytest.mark.integration
class TestSeveralAtOnce:
    async def test_a_document_is_one_players(self, kyc: Setup) -> None:
        answers = await asyncio.gather(*(kyc.submit(user_id) for user_id in range(1, 6)))
        states = [answer.json()["state"] for answer in answers]
        assert sorted(states) == ["review"] * 4 + ["verified"]

    async def test_a_document_expires_once(self, kyc: Setup) -> None:
        for user_id in range(1, 6):
            await kyc.submit(user_id, document_number=f"92566541{user_id}")
        kyc.now = datetime(2031, 7, 22, tzinfo=UTC)
        await asyncio.gather(*(kyc.worker.expiry() for _ in range(4)))
        await kyc.worker.expiry()
        assert (await kyc.events()).count("compliance.kyc.expired.v1") == 5


@pytest.mark.integration
async def test_keys_are_taken_over_from_files(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "kyc_keys").write_text(KEYS)
    (tmp_path / "kyc_index_keys").write_text(INDEX_KEYS)
    place = settings.model_copy(update={"key_source": "file", "secrets_dir": tmp_path})
    source = keyring.source_of(place, KYC_KEYS)
    keys = KycKeys(*source.read())
    following = asyncio.create_task(keyring.follow(source, 0.01, keys.take))
    (tmp_path / "kyc_keys").write_text("e9:" + "99" * 32 + "," + KEYS)

    async def taken() -> bool:
        return keys.current == "e9"

    await eventually(taken)
    following.cancel()
