"""The gateway before a made-up wallet."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from tests.gateway.fakes import FakeWallet
from tests.gateway.support import build, client_of


@dataclass(frozen=True)
class Gateway:
    """An application, and the wallet that it stands before."""

    app: FastAPI
    wallet: FakeWallet


@pytest.fixture(scope="session")
def gateway() -> Gateway:
    """Built once, for it takes longer than most tests, and keeps nothing of what it is asked but counts."""
    wallet = FakeWallet()
    callers = ("player", "client", "address")
    limits: dict[str, Any] = {f"rate_limit_per_{each}_per_s": 1_000_000 for each in callers}
    return Gateway(build(wallet, **limits), wallet)


@pytest.fixture
def wallet(gateway: Gateway) -> FakeWallet:
    """A wallet in memory, as new."""
    vars(gateway.wallet).update(vars(FakeWallet()))
    return gateway.wallet


@pytest.fixture
async def client(gateway: Gateway, wallet: FakeWallet) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a gateway before that wallet, as busy as it likes to be."""
    async with client_of(gateway.app) as client:
        yield client
