"""Receipts at the door: for whoever may see the transaction, and as they were sealed."""

from uuid import UUID

import httpx2
import pytest

from shared import merkle
from shared.checkpoints import NO_CHECKPOINT, Sealed, SigningKeys, chained_row, leaf_of, verify_receipt
from shared.contracts.checkpoints import InclusionProof, Receipt
from shared.contracts.events import LedgerEvent
from shared.signing import content
from shared.testing import MOMENT
from shared.tokens import Role
from tests.gateway.fakes import OTHER_PLAYER, PLAYER, FakeWallet
from tests.gateway.support import BET, DEPOSIT, bearer

SIGNING = SigningKeys.parse("s1:" + "11" * 32)


async def post(client: httpx2.AsyncClient, transaction: dict[str, object] = BET) -> tuple[UUID, str]:
    """A transaction's id and its receipt's path."""
    headers = {**bearer(Role.ADMIN), "Idempotency-Key": "1"}
    posted = await client.post("/api/v1/transactions", json=transaction, headers=headers)
    found = posted.json()["transaction"]["id"]
    return UUID(found), f"/api/v1/transactions/{found}/receipt"


def sealed(row: LedgerEvent) -> Receipt:
    root = leaf_of(bytes.fromhex(row.checksum), content(chained_row(row)))
    assert root == merkle.root([root])
    checkpoint = SIGNING.signed(Sealed(row.lane, 1, row.position, row.position, bytes(32), root, NO_CHECKPOINT, MOMENT))
    return Receipt(row=row, proof=InclusionProof(leaf_index=0, tree_size=1, path=[]), checkpoint=checkpoint)


async def test_a_receipt_verifies_as_it_comes_out_of_the_door(client: httpx2.AsyncClient, wallet: FakeWallet) -> None:
    found, path = await post(client)
    wallet.receipts[found] = sealed(wallet.rows[found])

    response = await client.get(path, headers=bearer(Role.PLAYER))

    assert response.status_code == 200
    verify_receipt(Receipt.model_validate_json(response.content), SIGNING.public())


@pytest.mark.parametrize("silent", [True, False])
async def test_too_early_says_when_to_come_back(client: httpx2.AsyncClient, wallet: FakeWallet, silent: bool) -> None:
    wallet.silent = silent
    _, path = await post(client)

    response = await client.get(path, headers=bearer(Role.FINANCE))

    assert (response.status_code, response.json()["code"]) == (409, "NOT_SEALED_YET")
    assert response.headers["Retry-After"] == ("10" if silent else "7")


async def test_who_may_not_see_a_transaction_does_not_see_its_receipt(
    client: httpx2.AsyncClient, wallet: FakeWallet
) -> None:
    found, path = await post(client, DEPOSIT)
    wallet.receipts[found] = sealed(wallet.rows[found])

    assert (await client.get(path, headers=bearer(Role.PLAYER, user_id=PLAYER))).status_code == 200
    assert (await client.get(path, headers=bearer(Role.PLAYER, user_id=OTHER_PLAYER))).status_code == 403
    assert (await client.get(path, headers=bearer(Role.GAME_SERVER))).status_code == 403


async def test_what_was_never_asked_for_has_none(client: httpx2.AsyncClient) -> None:
    response = await client.get(f"/api/v1/transactions/{UUID(int=9)}/receipt", headers=bearer(Role.ADMIN))

    assert (response.status_code, response.json()["code"]) == (404, "NOT_FOUND")
