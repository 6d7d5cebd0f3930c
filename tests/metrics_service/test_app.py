"""The metrics service as a whole: it starts, follows the ledger, answers, and stops."""

import pytest

from metrics_service.app import create_app
from metrics_service.settings import Settings
from shared.broker import Publisher
from shared.contracts.kinds import Kind
from shared.errors import BrokerUnavailable, ConfigurationError
from shared.testing import FakeLedger
from tests.support import Database, eventually, outdated, publish, started


@pytest.mark.integration
async def test_it_follows_the_ledger_and_is_well(
    live_settings: Settings, ledger: FakeLedger, publisher: Publisher
) -> None:
    row = ledger.add(Kind.GAME_BET, 42, 1000)
    await publish(publisher, [row])
    async with started(create_app(live_settings)) as client:

        async def applied() -> bool:
            body = (await client.get("/totals")).json()
            return bool(body["positions"] == {str(row.lane): 1})

        await eventually(applied)
        assert (await client.get("/health/ready")).json() == {"status": "ready", "checks": {"database": "ok"}}
        live = await client.get("/health/live")
        assert live.json() == {"status": "alive", "checks": {"consumer": "ok", "payments": "ok", "tasks": "ok"}}
        assert "langsense_consumer_lag_records" in (await client.get("/metrics")).text


@pytest.mark.integration
async def test_it_does_not_start_on_a_schema_that_it_was_not_written_for(
    live_settings: Settings, database: Database
) -> None:
    await outdated(database, "metrics")
    with pytest.raises(ConfigurationError, match="langsense migrate"):
        async with started(create_app(live_settings)):
            pass


@pytest.mark.integration
async def test_it_gives_up_by_name_when_the_broker_does_not_come(
    live_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.broker.publisher.START_TIMEOUT_S", 0.2)
    nobody = live_settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})
    with pytest.raises(BrokerUnavailable, match="KAFKA_BOOTSTRAP_SERVERS="):
        async with started(create_app(nobody)):
            pass


def test_a_setting_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="METRICS_DATABASE_URL: Field required"):
        create_app()
