"""Settings: a wrong one stops the service at its start, by name and without its value."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.errors import ConfigurationError
from shared.settings import Dsn, ServiceSettings, Url

GOOD = {"KAFKA_BOOTSTRAP_SERVERS": "broker:9092", "INTERNAL_API_TOKEN": "t" * 32}


class Settings(ServiceSettings):
    example_database_url: Dsn = "postgresql://user@host/name"
    example_url: Url = "http://wallet:8001"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*GOOD, "LANES", "SECRETS_DIR", "LOG_LEVEL", "KAFKA_TOPIC_PREFIX", "STALLED_AFTER_S"):
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANES", "24")
    settings = Settings.load()
    assert settings.kafka_bootstrap_servers == "broker:9092"
    assert settings.lanes == 24
    assert settings.internal_api_token == SecretStr("t" * 32)


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(ConfigurationError, match=f"{name}: Field required"):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LANES", "0"),
        ("LANES", "1025"),
        ("LANES", "a dozen"),
        ("INTERNAL_API_TOKEN", "short-secret"),
        ("KAFKA_BOOTSTRAP_SERVERS", ""),
        ("KAFKA_TOPIC_PREFIX", "a b"),
        ("LOG_LEVEL", "LOUD"),
        ("STALLED_AFTER_S", "0"),
        ("STALLED_AFTER_S", "nan"),
        ("EXAMPLE_DATABASE_URL", "mysql://user:secret-value@host/name"),
        ("EXAMPLE_URL", "wallet:8001"),
        ("EXAMPLE_URL", "http://"),
    ],
)
def test_a_wrong_setting_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=name) as refused:
        Settings.load()
    assert not value or "secret" not in str(refused.value)


def test_every_wrong_setting_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANES", "0")
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    with pytest.raises(ConfigurationError, match=r"LANES.*; LOG_LEVEL"):
        Settings.load()


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "internal_api_token").write_text("f" * 32)
    monkeypatch.delenv("INTERNAL_API_TOKEN")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    assert Settings.load().internal_api_token.get_secret_value() == "f" * 32


def test_the_environment_wins_over_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "internal_api_token").write_text("f" * 32)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    assert Settings.load().internal_api_token.get_secret_value() == "t" * 32


def test_a_folder_of_secrets_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match="SECRETS_DIR"):
        Settings.load()


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_DATABASE_URL", "postgresql://user:db-secret@host/name")
    settings = Settings.load()
    assert "t" * 32 not in repr(settings)
    assert "db-secret" not in repr(settings)
