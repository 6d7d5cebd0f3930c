"""Receipts as the wallet gives them: offline, they hold by the public key alone."""

from collections.abc import AsyncIterator
from uuid import UUID

import httpx2
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database as databases
from shared.checkpoints import SigningKeys, verify_receipt
from shared.contracts.checkpoints import Receipt
from shared.contracts.kinds import Kind
from shared.signing import ChainKeys
from tests.support import LANES, Database, as_administrator
from tests.wallet_service.support import CHAIN_KEYS, CHECKPOINT_KEYS, command, decide
from tests.wallet_service.test_endpoints import problem, serving
from wallet_service.domain.needs import JournalRow
from wallet_service.domain.sealing import seal
from wallet_service.repository import load_due, save_checkpoint

pytestmark = pytest.mark.integration

CHAIN = ChainKeys.parse(CHAIN_KEYS)
SIGNING = SigningKeys.parse(CHECKPOINT_KEYS)


@pytest.fixture
async def http(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving(database.dsn("wallet_service")) as client:
        yield client


@pytest.fixture
async def rows(engine: AsyncEngine) -> list[JournalRow]:
    """Seventeen rows of one lane, refusals among them; the first fourteen are under two checkpoints."""
    commands = [command(Kind.DEPOSIT, 500), *(command(Kind.GAME_BET, 100, round_id=f"r-{n}") for n in range(16))]
    made = await decide(engine, commands, LANES, CHAIN)
    for _ in range(2):
        async with databases.transaction(engine) as connection:
            due = await load_due(connection, made[0].content.lane, 7)
            assert due is not None
            checkpoint = seal(made[0].content.lane, due.before, due.entries, due.now, chain=CHAIN, signing=SIGNING)
            await save_checkpoint(connection, checkpoint)
    return made


async def test_every_sealed_row_has_one_that_holds(http: httpx2.AsyncClient, rows: list[JournalRow]) -> None:
    statuses = set()
    for row in rows[:14]:
        response = await http.get(f"/transactions/{row.content.command_id}/receipt")
        receipt = Receipt.model_validate_json(response.content)
        verify_receipt(receipt, SIGNING.public())
        assert receipt.row.checksum == row.checksum.hex()
        assert receipt.checkpoint.number == (row.content.position + 6) // 7
        statuses.add(receipt.row.status)
    assert len(statuses) == 2


async def test_a_row_that_is_not_sealed_yet_says_so(http: httpx2.AsyncClient, rows: list[JournalRow]) -> None:
    response = await http.get(f"/transactions/{rows[14].content.command_id}/receipt")
    problem(response, 409, "NOT_SEALED_YET")
    assert response.headers["Retry-After"] == "10"


async def test_what_was_not_decided_has_none(http: httpx2.AsyncClient) -> None:
    problem(await http.get(f"/transactions/{UUID(int=10**9)}/receipt"), 404, "NOT_FOUND")


async def test_none_is_given_for_rows_that_were_altered(
    http: httpx2.AsyncClient, rows: list[JournalRow], database: Database
) -> None:
    await as_administrator(database, "ALTER TABLE wallet.transactions DISABLE TRIGGER USER")
    await as_administrator(database, "UPDATE wallet.transactions SET amount = amount + 1 WHERE position = 3")
    # Of any row under that checkpoint.
    problem(await http.get(f"/transactions/{rows[5].content.command_id}/receipt"), 500, "INTEGRITY_VIOLATION")


async def test_a_dispute_stands_beside_what_is_proved(
    http: httpx2.AsyncClient, rows: list[JournalRow], engine: AsyncEngine
) -> None:
    disputed = rows[3].content.command_id
    (marked,) = await decide(engine, [command(Kind.DISPUTE, 0, reference_id=str(disputed))], LANES, CHAIN)
    receipt = Receipt.model_validate_json((await http.get(f"/transactions/{disputed}/receipt")).content)
    verify_receipt(receipt, SIGNING.public())
    assert receipt.dispute is not None
    assert (receipt.dispute.state, receipt.dispute.transaction_id) == ("open", marked.content.command_id)
    other = await http.get(f"/transactions/{rows[4].content.command_id}/receipt")
    assert Receipt.model_validate_json(other.content).dispute is None
