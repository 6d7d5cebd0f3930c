"""Blocks players in the wallet for flags, and lifts the blocks of flags that were dismissed.

What is to be asked is kept with the flag, in its transaction; every instance looks for what is due, and whoever takes
a block has it for a while. A crash between loses nothing: the same command is asked again, and decided once.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fraud_service.domain import blocks as domain
from fraud_service.domain.blocks import BlockPolicy, BlockState, FlagBlock
from fraud_service.repository import blocks
from fraud_service.repository.players import Scored
from shared import database, logs, outbox
from shared.asking import Asker
from shared.clock import Clock
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import BLOCK_KINDS
from shared.errors import TransientError
from shared.outbox import OutboxEvent
from shared.telemetry import Metrics

log = logs.get(__name__)

LOOK_EVERY_S = 0.2
# What is more comes with the next look. All are asked at the same time, so that none waits for another.
MAX_ASKED = 20
WALLET_WITHIN_S = 1.5
STARTED, LIFTED, REFUSED = "fraud.block.started.v1", "fraud.block.lifted.v1", "fraud.block.refused.v1"
_TOLD = {
    BlockState.IN_FORCE: STARTED,
    BlockState.COVERED: STARTED,
    BlockState.LIFTED: LIFTED,
    BlockState.REFUSED: REFUSED,
}


class Blocking:
    """What policy `block` does with new flags. With `review` it asks for nothing."""

    def __init__(self, policy: BlockPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock

    async def raised(self, connection: AsyncConnection, flags: Sequence[tuple[UUID, Scored]]) -> None:
        """As `scorer.Raised`: a flag is raised for what active rules say, and for nothing else."""
        if self._policy is BlockPolicy.BLOCK:
            now = self._clock()
            await blocks.add(connection, [_requested(flag_id, scored, now) for flag_id, scored in flags])


class BlockWorker:
    """Asks the wallet for what is due, until it decides."""

    def __init__(self, engine: AsyncEngine, wallet: Asker, metrics: Metrics, clock: Clock) -> None:
        self._engine = engine
        self._wallet = wallet
        self._metrics = metrics
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled: look for what is due, again and again."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except TransientError as error:
                log.warning("blocks_not_looked_at", code=error.code)

    async def look(self) -> int:
        """Ask the wallet for what is due; returns how many blocks. Raises DatabaseUnavailable."""
        async with database.transaction(self._engine) as connection:
            taken = await blocks.take_due(connection, self._clock(), MAX_ASKED)
        await asyncio.gather(*(self._ask(block) for block in taken))
        return len(taken)

    async def _ask(self, block: FlagBlock) -> None:
        try:
            decision = await self._wallet.ask(domain.due_command(block), WALLET_WITHIN_S)
            if decision is not None:
                await self._decided(block, decision)
        except TransientError as error:
            # It stays due; nobody else's waits for it.
            log.warning("block_waits", flag_id=str(block.flag_id), state=block.state.value, code=error.code)

    async def _decided(self, block: FlagBlock, decision: LedgerEvent) -> None:
        async with database.transaction(self._engine) as connection:
            before = await blocks.lock(connection, block.flag_id)
            after = before and domain.decided(before, decision)
            if after is None or after == before:
                return
            await _save(connection, after, self._clock())
        self._metrics.fraud_blocks.labels(str(decision.kind), after.state.value).inc()
        log.info("block_decided", flag_id=str(after.flag_id), state=after.state.value)


async def apply(connection: AsyncConnection, events: Sequence[LedgerEvent], clock: Clock) -> None:
    """What rows of the ledger that others asked for change: they lift a flag's block, or make it theirs too."""
    concerned = [event for event in events if event.kind in BLOCK_KINDS and event.actor != domain.ACTOR]
    if not concerned:
        return
    found = await blocks.lock_standing(connection, [event.user_id for event in concerned])
    for known in (block for of_player in found.values() for block in of_player):
        after = known
        for event in concerned:
            if event.user_id == known.user_id:
                after = domain.overtaken(after, event)
        if after != known:
            await _save(connection, after, clock())


async def _save(connection: AsyncConnection, block: FlagBlock, now: datetime) -> None:
    await blocks.save(connection, block, now)
    if block.state in _TOLD:
        named: dict[str, JsonValue] = {"flag_id": str(block.flag_id), "user_id": block.user_id}
        body = named | {"state": block.state.value, "reason": block.reason}
        await outbox.put(connection, OutboxEvent(block.user_id, _TOLD[block.state], body))


def _requested(flag_id: UUID, scored: Scored, now: datetime) -> FlagBlock:
    reason = domain.because(reason.text for reason in scored.score.reasons)
    return FlagBlock(flag_id, scored.user_id, BlockState.REQUESTED, now, reason)
