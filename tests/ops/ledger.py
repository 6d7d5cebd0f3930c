"""An honest ledger to tamper with: rows of many players, sealed, with its checkpoints in a folder outside."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from ops import proof
from ops.proof import Check, Outside
from shared import database as databases
from shared.anchors import CheckpointFiles
from shared.checkpoints import PublicKeys, SigningKeys
from shared.contracts.commands import Command
from shared.contracts.kinds import Kind
from shared.signing import ChainKeys
from tests.support import LANES, Database
from tests.wallet_service.support import command, decide
from wallet_service.domain.sealing import seal
from wallet_service.repository import Seals, load_due, save_checkpoint

KEYS = ChainKeys({"k1": bytes(range(32))}, "k1")
SIGNING = SigningKeys.parse("s1:" + "5e" * 32)
PLAYERS = range(1, 30)
ROUNDS = 4
EVERY_ROWS = 10


@dataclass(frozen=True)
class Ledger:
    """A database that anything may be done to, and the folder that its administrator cannot reach."""

    database: Database
    engine: AsyncEngine
    administrator: asyncpg.Connection
    folder: Path

    @property
    def files(self) -> CheckpointFiles:
        """The checkpoints outside."""
        return CheckpointFiles(self.folder)

    async def checks(
        self, *, keys: ChainKeys = KEYS, public: PublicKeys | None = None, outside: bool = True
    ) -> dict[str, Check]:
        """What `langsense verify` checks, by name."""
        anchored = Outside(self.files, self.files.sizes()) if outside else None
        async with proof.snapshot(self.database.dsn("wallet_service")) as connection:
            found = [
                await proof.conserved(connection),
                await proof.folded(connection),
                await proof.derived(connection),
                await proof.chained(connection, keys, public or SIGNING.public(), anchored),
            ]
        return {check.name: check for check in found}

    async def broken(self, **options: bool) -> dict[str, list[str]]:
        """The findings of each check that does not hold."""
        checks = await self.checks(outside=options.get("outside", True))
        return {name: check.findings for name, check in checks.items() if not check.holds}

    async def chain(self, **options: bool) -> list[str]:
        """The findings about rows and checkpoints."""
        return (await self.broken(**options)).get("chain and checkpoints verified", [])


def honest_rows() -> Iterator[list[Command]]:
    """Batches of deposits, bets, refusals and holds of every player."""
    for number in range(ROUNDS):
        batch = []
        for user_id in PLAYERS:
            reference = f"g-{number}-{user_id}"
            batch += [
                command(Kind.DEPOSIT, 10_000, user_id),
                command(Kind.GAME_BET, 400, user_id, reference_id=reference),
                command(Kind.GAME_BET, 10**9, user_id, reference_id=f"{reference}-too-much"),
                command(Kind.WITHDRAWAL_HOLD, 100, user_id, reference_id=f"hold-{reference}"),
            ]
        yield batch
    yield [command(Kind.DEPOSIT, 1, user_id) for user_id in PLAYERS]


async def fill(engine: AsyncEngine, folder: Path) -> None:
    """Decide the honest rows and seal them, as many to a checkpoint as fit; the last few of a lane stay unsealed."""
    for batch in honest_rows():
        await decide(engine, batch, LANES, KEYS)
    for lane in range(LANES):
        await seal_lane(engine, folder, lane)


async def seal_lane(engine: AsyncEngine, folder: Path, lane: int, signing: SigningKeys = SIGNING) -> None:
    """Put the rows of a lane that fill a checkpoint under one."""
    while True:
        async with databases.transaction(engine) as connection:
            due = await load_due(connection, lane, EVERY_ROWS)
            if due is None or len(due.entries) < EVERY_ROWS:
                break
            await save_checkpoint(connection, seal(lane, due.before, due.entries, due.now, chain=KEYS, signing=signing))
    CheckpointFiles(folder).append(lane, await Seals(engine).after(lane, 0, 1000))
