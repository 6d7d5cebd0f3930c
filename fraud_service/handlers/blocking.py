"""Blocks players in the wallet for flags, and lifts the blocks of flags that were dismissed.

What is to be asked is kept with the flag, in its transaction; every instance looks for what is due, and whoever takes
a block has it for a while. A crash between loses nothing: the same command is asked again, and decided once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fraud_service.domain import blocks as domain
from fraud_service.domain.blocks import NEVER, BlockPolicy, BlockState, FlagBlock
from fraud_service.domain.flags import seen_at
from fraud_service.repository import blocks
from fraud_service.repository.players import Scored
from shared import database, logs, outbox
from shared.asking import Asker
from shared.clock import Clock
from shared.contracts.events import LanePosition, LedgerEvent
from shared.contracts.fraud_events import BLOCK_LIFTED, BLOCK_REFUSED, BLOCK_STARTED, BlockChanged
from shared.contracts.kinds import BLOCK_KINDS
from shared.errors import TransientError
from shared.journal import Journal
from shared.lanes import lane_of
from shared.outbox import OutboxEvent
from shared.telemetry import Metrics

log = logs.get(__name__)

LOOK_EVERY_S = 0.2
# While the database or the wallet is away.
PAUSE_S = 1.0
# How many lanes there are.
Lanes = Callable[[], Awaitable[int]]
# What is more comes with the next look. All are asked at the same time, so that none waits for another.
MAX_ASKED = 20
WALLET_WITHIN_S = 1.5
_TOLD = {
    BlockState.IN_FORCE: BLOCK_STARTED,
    BlockState.COVERED: BLOCK_STARTED,
    BlockState.LIFTED: BLOCK_LIFTED,
    BlockState.REFUSED: BLOCK_REFUSED,
}


class Blocking:
    """What policy `block` does with new flags. With `review` it asks for nothing."""

    def __init__(self, policy: BlockPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock

    async def raised(self, connection: AsyncConnection, flags: Sequence[tuple[UUID, Scored]]) -> None:
        """As `scorer.Raised`: a flag is raised for what active rules say, and for nothing else."""
        if self._policy is BlockPolicy.BLOCK:
            now, latest = self._clock(), await blocks.unblocked(connection, [scored.user_id for _, scored in flags])
            wanted = [_requested(flag_id, scored, now) for flag_id, scored in flags]
            # What was seen before somebody unblocked the player is answered: that flag waits for people.
            await blocks.add(connection, [b for b in wanted if b.seen_at > latest.get(b.user_id, NEVER).at])


class BlockWorker:
    """Asks the wallet for what is due, until it decides."""

    def __init__(
        self, engine: AsyncEngine, wallet: Asker, journal: Journal, lanes: Lanes, metrics: Metrics, clock: Clock
    ) -> None:
        self._engine = engine
        self._wallet = wallet
        self._journal = journal
        self._lanes = lanes
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
                await asyncio.sleep(PAUSE_S)

    async def look(self) -> int:
        """Ask the wallet for what is due; returns how many blocks. Raises a TransientError."""
        await self._place()
        async with database.transaction(self._engine) as connection:
            taken = await blocks.take_due(connection, self._clock(), MAX_ASKED)
        await asyncio.gather(*(self._ask(block) for block in taken))
        return len(taken)

    async def _place(self) -> None:
        """See where the ledger stands for blocks that are new: it is read up to there before they are asked for.

        Otherwise a service that reads the ledger again from its start would block for what was answered long ago.
        """
        async with database.reading(self._engine) as connection:
            new = await blocks.unplaced(connection, MAX_ASKED)
        if new:
            # A lane that nothing was decided on has no head.
            heads = {head.lane: head.position for head in await self._journal.heads()}
            count = await self._lanes()
            lanes = {block.flag_id: lane_of(block.user_id, count) for block in new}
            places = {flag_id: LanePosition(lane, heads.get(lane, 0)) for flag_id, lane in lanes.items()}
            async with database.transaction(self._engine) as connection:
                await blocks.place(connection, places)

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
            latest = (await blocks.unblocked(connection, [block.user_id])).get(block.user_id, NEVER)
            after = before and domain.decided(before, decision, latest)
            if after is None or after == before:
                return
            await _save(connection, after, self._clock())
        self._metrics.fraud_blocks.labels(str(decision.kind), after.state.value).inc()
        log.info("block_decided", flag_id=str(after.flag_id), state=after.state.value)


async def apply(connection: AsyncConnection, events: Sequence[LedgerEvent], clock: Clock) -> None:
    """What rows of the ledger change: others' lift a flag's block or make it theirs too; an unblock answers flags."""
    concerned = [event for event in events if event.kind in BLOCK_KINDS]
    if not concerned:
        return
    lifts = ((event.user_id, domain.unblock(event)) for event in concerned)
    await blocks.note_unblocks(connection, {user_id: lift for user_id, lift in lifts if lift is not None})
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
        told = BlockChanged(flag_id=block.flag_id, user_id=block.user_id, state=block.state.value, reason=block.reason)
        await outbox.put(connection, OutboxEvent(block.user_id, _TOLD[block.state], told.body()))


def _requested(flag_id: UUID, scored: Scored, now: datetime) -> FlagBlock:
    reason = domain.because(reason.text for reason in scored.score.reasons)
    return FlagBlock(flag_id, scored.user_id, BlockState.REQUESTED, now, reason, seen_at(scored.score))
