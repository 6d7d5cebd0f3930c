"""One platform for all that only looks at it."""

from collections.abc import Iterator

import httpx2
import pytest

from ops.development_secrets import read
from tests.end_to_end import support
from tests.end_to_end.support import Platform


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform that runs as long as this package's tests: an idle one still costs the others."""
    with support.running(tmp_path_factory.mktemp("up") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def sandbox(platform: Platform) -> Iterator[httpx2.Client]:
    """The provider's own side."""
    headers = {"Authorization": f"Bearer {read(platform.data / 'secrets', 'sandbox_api_token')}"}
    with httpx2.Client(base_url=platform.environment()["SANDBOX_URL"], headers=headers, trust_env=False) as client:
        yield client
