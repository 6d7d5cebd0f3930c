"""The compliance service as a whole: it starts, follows the ledger, and says whether it can work."""

import pytest

from compliance_service.app import create_app
from compliance_service.settings import Settings
from shared import clock
from shared.broker import Publisher
from shared.contracts.kinds import Kind
from shared.errors import ConfigurationError
from shared.testing import FakeLedger
from tests.support import Database, eventually, outdated, publish, started


@pytest.mark.integration
async def test_it_follows_the_ledger_and_is_well(
    live_settings: Settings, ledger: FakeLedger, publisher: Publisher
) -> None:
    bet = ledger.add(Kind.GAME_BET, 42)
    await publish(publisher, [bet, ledger.add(Kind.LIMIT_REQUEST, 42)])
    async with started(create_app(live_settings)) as client:

        async def recorded() -> bool:
            return [entry["action"] for entry in (await client.get("/audit-log")).json()] == ["LIMIT_REQUEST"]

        await eventually(recorded)
        session = (await client.get("/users/42/protection")).json()["session"]
        assert clock.from_text(session["started_at"]) == bet.created_at
        assert (await client.get("/health/ready")).json() == {"status": "ready", "checks": {"database": "ok"}}
        live = await client.get("/health/live")
        assert live.json() == {"status": "alive", "checks": {"consumer": "ok", "tasks": "ok"}}


@pytest.mark.integration
async def test_it_does_not_start_on_a_schema_that_it_was_not_written_for(
    settings: Settings, database: Database
) -> None:
    await outdated(database, "compliance")
    with pytest.raises(ConfigurationError, match="langsense migrate"):
        async with started(create_app(settings)):
            pass


def test_a_setting_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="COMPLIANCE_DATABASE_URL: Field required"):
        create_app()
