"""A setting that is missing or out of range stops the gateway at its start, and is named."""

from typing import Any

import pytest

from gateway.settings import Settings
from shared.errors import ConfigurationError
from tests.gateway import support
from tests.support import TOKEN


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"jwks_file": None}, "JWKS_FILE"),
        ({"jwks_url": "http://issuer/jwks.json"}, "JWKS_URL"),
        ({"wallet_service_url": "wallet:8001"}, "WALLET_SERVICE_URL"),
        ({"rate_limit_per_client_per_s": 999}, "RATE_LIMIT_PER_CLIENT_PER_S"),
        ({"wait_default_s": 5, "wait_max_s": 1}, "WAIT_DEFAULT_S"),
        ({"gateway_reply_partition": -1}, "GATEWAY_REPLY_PARTITION"),
        ({"internal_api_token": "short"}, "INTERNAL_API_TOKEN"),
    ],
)
def test_a_wrong_setting_is_named(overrides: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        support.settings(**overrides)


def test_each_missing_setting_is_named() -> None:
    with pytest.raises(ConfigurationError) as raised:
        Settings.load(jwks_file="/jwks.json")

    for name in ("KAFKA_BOOTSTRAP_SERVERS", "INTERNAL_API_TOKEN", "WALLET_SERVICE_URL", "METRICS_SERVICE_URL"):
        assert name in str(raised.value)


def test_no_secret_is_shown() -> None:
    assert TOKEN not in repr(support.settings())
