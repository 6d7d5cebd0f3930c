"""The gateway before a made-up wallet."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from tests.gateway.support import FakeWallet, build, client_of


@pytest.fixture
def wallet() -> FakeWallet:
    """A wallet in memory."""
    return FakeWallet()


@pytest.fixture
async def client(wallet: FakeWallet) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a gateway before that wallet, as busy as it likes to be."""
    async with client_of(build(wallet, rate_limit_per_player_per_s=1_000_000)) as client:
        yield client
