"""The wallet does not start on a setting that is missing or out of range, and says which one it is."""

import pytest

from shared.errors import ConfigurationError
from tests.wallet_service.support import CHAIN_KEYS, CHECKPOINT_KEYS
from wallet_service.app import create_app
from wallet_service.settings import Settings

GOOD = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "INTERNAL_API_TOKEN": "a-token-of-at-least-thirty-two-characters",
    "WALLET_DATABASE_URL": "postgresql://wallet_service:secret@127.0.0.1/langsense",
    "CHAIN_KEYS": CHAIN_KEYS,
    "CHECKPOINT_KEYS": CHECKPOINT_KEYS,
    "CHECKPOINT_SINK": "file:///checkpoints",
}
SECRETS = ("INTERNAL_API_TOKEN", "WALLET_DATABASE_URL", "CHAIN_KEYS", "CHECKPOINT_KEYS")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SECRETS_DIR", raising=False)


def test_the_needed_settings_are_enough() -> None:
    settings = Settings.load()
    assert settings.lanes == 12
    assert settings.kafka_idempotent_producer is True
    assert settings.platform_time_zone.key == "UTC"
    assert create_app(settings).title == "wallet_service"


@pytest.mark.parametrize("name", sorted(GOOD))
def test_what_is_missing_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError, match=name):
        create_app()


BAD = (
    ("KAFKA_BOOTSTRAP_SERVERS", ""),
    ("KAFKA_TOPIC_PREFIX", "no spaces"),
    ("KAFKA_IDEMPOTENT_PRODUCER", "maybe"),
    ("LANES", "0"),
    ("LANES", "1025"),
    ("LANES", "twelve"),
    ("INTERNAL_API_TOKEN", "short"),
    ("LOG_LEVEL", "LOUD"),
    ("LOG_FORMAT", "xml"),
    ("STALLED_AFTER_S", "0"),
    ("STALLED_AFTER_S", "nan"),
    ("WALLET_DATABASE_URL", "mysql://127.0.0.1/langsense"),
    ("WALLET_BATCH_RECORDS", "0"),
    ("WALLET_BATCH_RECORDS", "5001"),
    ("WALLET_POOL_CONNECTIONS", "1"),
    ("WALLET_POOL_CONNECTIONS", "51"),
    ("PLATFORM_TIME_ZONE", ""),
    ("PLATFORM_TIME_ZONE", "Europe"),
    ("PLATFORM_TIME_ZONE", "Europe/Nowhere"),
    ("PLATFORM_TIME_ZONE", "../etc/localtime"),
    ("CHECKPOINT_SINK", "/a/path"),
    ("CHECKPOINT_SINK", "s3://bucket"),
    ("CHECKPOINT_EVERY_ROWS", "0"),
    ("CHECKPOINT_EVERY_ROWS", "10001"),
    ("CHECKPOINT_EVERY_S", "0"),
    ("CHECKPOINT_KEYS", "s1"),
    ("CHECKPOINT_KEYS", "s1:" + "ab" * 31),
    ("CHECKPOINT_KEYS", "s1:" + "ab" * 33),
    ("CHAIN_KEYS", ""),
    ("CHAIN_KEYS", "k1"),
    ("CHAIN_KEYS", "k1:" + "zz" * 32),
    ("CHAIN_KEYS", "k1:" + "ab" * 31),
    ("CHAIN_KEYS", ":" + "ab" * 32),
    ("CHAIN_KEYS", "k 1:" + "ab" * 32),
    ("CHAIN_KEYS", "a-much-too-long-id:" + "ab" * 32),
    ("CHAIN_KEYS", ",".join(["k1:" + "ab" * 32] * 2)),
)


@pytest.mark.parametrize(("name", "value"), BAD)
def test_what_is_out_of_range_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name):
        create_app()


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_in_no_message_and_no_picture_of_the_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert GOOD[name] not in repr(Settings.load())
    monkeypatch.setenv(name, "swordfish")
    with pytest.raises(ConfigurationError) as caught:
        create_app()
    assert "swordfish" not in str(caught.value)
    assert caught.value.__cause__ is None
