"""One platform for all that only looks at it."""

from collections.abc import Iterator

import pytest

from tests.end_to_end import support
from tests.end_to_end.support import Platform


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform that runs as long as this package's tests: an idle one still costs the others."""
    with support.running(tmp_path_factory.mktemp("up") / "data") as running:
        yield running
