"""Audits at the door: amounts as decimal strings, times that have passed."""

import httpx2
import pytest

from shared.tokens import Role
from tests.gateway.fakes import PLAYER, FakeWallet
from tests.gateway.support import bearer


async def test_an_audit_has_its_amounts_in_decimals(client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
    wallet.cash_minor = {(PLAYER, "USD"): 1050}

    response = await client.get(f"/api/v1/users/{PLAYER}/balance-audit", headers=bearer(Role.SUPPORT))

    assert response.json() == {
        "user_id": PLAYER,
        "accounts": [{"currency": "USD", "cash": "10.50", "reserved": "0.00", "folded_cash": "10.00"}],
        "findings": [{"position": 7, "what": "checksum mismatch"}],
        "consistent": False,
    }


async def test_a_wallet_as_it_was(client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
    wallet.cash_minor = {(PLAYER, "USD"): 1050}

    response = await client.get(
        f"/api/v1/users/{PLAYER}/wallet",
        params={"as_of": "2026-01-01T12:00:00+02:00"},
        headers=bearer(Role.PLAYER),
    )

    assert response.json() == {
        "user_id": PLAYER,
        "balances": [{"currency": "USD", "cash": "10.50", "reserved": "0.00"}],
        "as_of": "2026-01-01T10:00:00.000000Z",
        "position": 7,
    }


@pytest.mark.parametrize("as_of", ["2199-01-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "yesterday", ""])
async def test_a_time_that_has_not_passed_or_is_none_is_refused(client: httpx2.AsyncClient, as_of: str) -> None:
    response = await client.get(f"/api/v1/users/{PLAYER}/wallet", params={"as_of": as_of}, headers=bearer(Role.PLAYER))

    assert (response.status_code, response.json()["code"]) == (422, "VALIDATION_FAILED")
    assert response.json()["errors"][0]["field"] == "as_of"
