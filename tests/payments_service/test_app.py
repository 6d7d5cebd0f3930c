"""The payments service as a whole: it starts, and says whether it can work."""

import pytest

from payments_service.app import create_app
from payments_service.settings import Settings
from shared.broker import BrokerOptions
from shared.errors import ConfigurationError
from tests.support import TOKEN, Database, outdated, started


def settings(database: Database, kafka: BrokerOptions | None = None) -> Settings:
    return Settings.load(
        kafka_bootstrap_servers=kafka.bootstrap_servers if kafka else "127.0.0.1:1",
        kafka_topic_prefix=kafka.topic_prefix if kafka else "",
        kafka_idempotent_producer=kafka.idempotent_producer if kafka else True,
        internal_api_token=TOKEN,
        payments_database_url=database.dsn("payments_service"),
        wallet_service_url="http://127.0.0.1:1",
        fraud_service_url="http://127.0.0.1:1",
    )


@pytest.mark.integration
async def test_it_is_ready_with_its_schema(database: Database, kafka: BrokerOptions) -> None:
    async with started(create_app(settings(database, kafka))) as client:
        assert (await client.get("/health/ready")).json() == {"status": "ready", "checks": {"database": "ok"}}
        live = {"status": "alive", "checks": {"consumer": "ok", "tasks": "ok"}}
        assert (await client.get("/health/live")).json() == live


@pytest.mark.integration
async def test_it_does_not_start_on_a_schema_that_it_was_not_written_for(database: Database) -> None:
    await outdated(database, "payments")
    with pytest.raises(ConfigurationError, match="langsense migrate"):
        async with started(create_app(settings(database))):
            pass


def test_a_setting_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with pytest.raises(ConfigurationError, match="PAYMENTS_DATABASE_URL: Field required"):
        create_app()


@pytest.mark.integration
def test_an_amount_that_its_currency_does_not_have_is_named(database: Database) -> None:
    with pytest.raises(ConfigurationError, match="PAYMENT_REVIEW_FROM"):
        Settings.load(**settings(database).model_dump() | {"payment_review_from": {"JPY": "0.5"}})
