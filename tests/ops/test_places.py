"""Where a platform is found, and what is said when there is none."""

from pathlib import Path

import pytest

from ops import places
from ops.places import Places
from shared.errors import ConfigurationError


def some(folder: Path) -> Places:
    return Places(
        gateway_url="http://127.0.0.1:8000",
        kafka_bootstrap_servers="127.0.0.1:9092",
        secrets_dir=folder / "secrets",
        service_urls={"wallet": "http://127.0.0.1:8001"},
        database_urls={"wallet": "postgresql://wallet_service:secret@127.0.0.1/langsense"},
    )


def test_what_is_written_is_found(tmp_path: Path) -> None:
    places.write(tmp_path, some(tmp_path))
    assert places.find(tmp_path) == some(tmp_path)


def test_only_the_owner_may_read_what_names_passwords(tmp_path: Path) -> None:
    places.write(tmp_path, some(tmp_path))
    assert (tmp_path / places.RUNNING).stat().st_mode & 0o077 == 0


def test_a_folder_without_a_running_platform_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="make up"):
        places.find(tmp_path)


def test_the_environment_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wallet_database_url").write_text("postgresql://elsewhere\n")
    monkeypatch.setenv("GATEWAY_URL", "http://gateway:8000")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    found = places.find()
    assert found.gateway_url == "http://gateway:8000"
    assert found.database_urls["wallet"] == "postgresql://elsewhere"


def test_half_an_environment_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_URL", "http://gateway:8000")
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.delenv("SECRETS_DIR", raising=False)
    with pytest.raises(ConfigurationError, match="KAFKA_BOOTSTRAP_SERVERS and SECRETS_DIR"):
        places.find()


def test_the_exports_carry_every_address(tmp_path: Path) -> None:
    environment = some(tmp_path).environment()
    assert environment["WALLET_SERVICE_URL"] == "http://127.0.0.1:8001"
    assert environment["WALLET_DATABASE_URL"].startswith("postgresql://")
    assert environment["LANES"] == "12"
