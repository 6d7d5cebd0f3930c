"""One platform for all that only looks at it."""

from collections.abc import Iterator

import pytest

from tests.end_to_end import support
from tests.end_to_end.support import Platform


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform that runs for the whole session."""
    with support.running(tmp_path_factory.mktemp("up") / "data") as running:
        yield running
