"""Both keys change under load: nothing is refused, nothing waits for a restart, and all of it verifies."""

from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ops import proof
from ops.proof import Outside
from shared.anchors import CheckpointFiles
from shared.contracts.kinds import Kind, Status
from shared.contracts.replies import Outcome
from shared.keyring import FileKeys, Keyring
from shared.lanes import lane_of
from tests.support import LANES, Database, eventually, started
from tests.wallet_service.client import Client
from tests.wallet_service.support import command
from wallet_service.app import create_app
from wallet_service.repository import Reads, Seals
from wallet_service.settings import Settings

pytestmark = pytest.mark.integration

OLD = ("k1:" + "11" * 32, "s1:" + "33" * 32)
NEW = ("k2:" + "22" * 32, "s2:" + "44" * 32)
USER = 42


async def test_both_keys_rotate_under_load(
    settings: Settings, client: Client, engine: AsyncEngine, reads: Reads, database: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    _write(folder, *OLD)
    fields = {"key_source": "file", "secrets_dir": folder, "keys_look_every_s": 0.05, "checkpoint_every_s": 0.05}
    lane, sent = lane_of(USER, LANES), 0
    seals = Seals(engine)

    async def signed_by(key: str, signing: str) -> bool:
        nonlocal sent
        await client.send(*(command(Kind.DEPOSIT, user_id=USER) for _ in range(10)))
        sent += 10
        rows = await reads.history(lane, USER, None, 1)
        checkpoints = await seals.after(lane, 0, 10_000)
        return bool(rows and checkpoints) and (rows[0].row.content.key_id, checkpoints[-1].key_id) == (key, signing)

    async with started(create_app(settings.model_copy(update=fields))):
        await eventually(lambda: signed_by("k1", "s1"))
        _write(folder, *(f"{new},{old}" for new, old in zip(NEW, OLD, strict=True)))
        await eventually(lambda: signed_by("k2", "s2"))
        replies = await client.replies(sent)

    assert {reply.outcome for reply in replies} == {Outcome.DECIDED}
    assert {reply.transaction.status for reply in replies if reply.transaction} == {Status.POSTED}
    assert {reply.transaction.key_id for reply in replies if reply.transaction} == {"k1", "k2"}
    keyring = Keyring.read(FileKeys(folder))
    outside = Outside(files := CheckpointFiles.at(settings.checkpoint_sink), files.sizes())
    async with proof.snapshot(database.dsn("wallet_service")) as connection:
        check = await proof.chained(connection, keyring.chain, keyring.signing.public(), outside)
        assert check.holds, check.findings
        forgotten = Keyring.parse(*NEW)
        check = await proof.chained(connection, forgotten.chain, forgotten.signing.public(), outside)
        assert "is signed with key 'k1', which is not known here" in "".join(check.findings)


def _write(folder: Path, chain_keys: str, checkpoint_keys: str) -> None:
    (folder / "chain_keys").write_text(chain_keys)
    (folder / "checkpoint_keys").write_text(checkpoint_keys)
