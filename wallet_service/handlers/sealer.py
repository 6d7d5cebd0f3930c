"""Seals the journal: checkpoints into their table, to the files outside the database, and onto their topic.

In that order, each step from what the one before it kept: whatever a crash leaves undone is done at the next look,
by this instance or another. A file has each number once; a reader of the topic may see one twice.
"""

import asyncio
import time

from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database, logs
from shared.anchors import CheckpointFiles
from shared.broker import Publisher
from shared.contracts import headers, topics
from shared.contracts.checkpoints import Checkpoint
from shared.errors import BrokerUnavailable, IntegrityViolation, SinkUnavailable, TransientError
from shared.keyring import Keyring
from shared.telemetry import Metrics
from wallet_service.domain.sealing import seal
from wallet_service.repository import SealMark, Seals, load_due, save_checkpoint
from wallet_service.settings import Settings

log = logs.get(__name__)

LOOK_EVERY_S = 0.5
PAGE_CHECKPOINTS = 200
# After each checkpoint it rests three times as long as that took: deciding commands comes first.
RESTS = 3


class Sealer:
    """Seals what is due on every lane, one lane at a time."""

    def __init__(
        self, settings: Settings, *, engine: AsyncEngine, keyring: Keyring, publisher: Publisher, metrics: Metrics
    ) -> None:
        self._engine = engine
        self._seals = Seals(engine)
        self._keyring = keyring
        self._files = CheckpointFiles.at(settings.checkpoint_sink)
        self._publisher = publisher
        self._metrics = metrics
        self._every_rows = settings.checkpoint_every_rows
        self._every_s = settings.checkpoint_every_s
        # Per lane, the number up to which the file outside is known to have the table's checkpoints.
        self._anchored: dict[int, int] = {}
        self._broken: dict[int, str] = {}

    async def run(self) -> None:
        """Until cancelled: seal, anchor and publish what is due."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except TransientError as error:
                log.info("sealer_waits", error=str(error))

    async def look(self) -> None:
        """Seal, anchor and publish what is due now. Raises DatabaseUnavailable."""
        for mark in await self._seals.marks():
            await self._advance(mark)
        for mark in await self._seals.marks():
            await self._publish(mark)

    async def _advance(self, mark: SealMark) -> None:
        """Seal and anchor one lane. One that cannot be does not hold up the others, and is told once."""
        lane = mark.lane
        try:
            if lane not in self._anchored:
                self._anchored[lane] = await self._agreed(lane)
            await self._anchor(lane, await self._seal(mark))
        except (IntegrityViolation, SinkUnavailable) as error:
            if self._broken.get(lane) != str(error):
                log.error("lane_not_sealed", lane=lane, code=error.code, error=str(error))
            self._broken[lane] = str(error)
        else:
            self._broken.pop(lane, None)
        self._metrics.unsealable_lanes.set(len(self._broken))

    async def _seal(self, mark: SealMark) -> int:
        """Seal what is due of a lane; returns its last checkpoint's number."""
        number, unsealed, age_s = mark.sealed, mark.unsealed, mark.age_s
        while unsealed >= self._every_rows or (unsealed and age_s >= self._every_s):
            started = time.perf_counter()
            sealed = await self._seal_next(mark.lane)
            if sealed is None:
                break
            # What was due by its age is sealed; the rest is younger, or is due by its number.
            number, unsealed, age_s = sealed.number, unsealed - sealed.rows, 0
            await asyncio.sleep(RESTS * (time.perf_counter() - started))
        return number

    async def _agreed(self, lane: int) -> int:
        """The number up to which table and file agree. A file that knows more than the table stops the lane's seals."""
        outside = await asyncio.to_thread(self._files.last, lane)
        if outside is None:
            return 0
        inside = await self._seals.after(lane, outside.number - 1, 1)
        if list(inside) != [outside]:
            raise IntegrityViolation(f"lane {lane}: checkpoint {outside.number} outside is not the one in the table")
        return outside.number

    async def _seal_next(self, lane: int) -> Checkpoint | None:
        async with database.transaction(self._engine) as connection:
            due = await load_due(connection, lane, self._every_rows)
            if due is None:
                return None
            keys = self._keyring
            checkpoint = seal(lane, due.before, due.entries, due.now, chain=keys.chain, signing=keys.signing)
            await save_checkpoint(connection, checkpoint)
        self._metrics.checkpoints.inc()
        return checkpoint

    async def _anchor(self, lane: int, sealed: int) -> None:
        while self._anchored[lane] < sealed:
            page = await self._seals.after(lane, self._anchored[lane], PAGE_CHECKPOINTS)
            await asyncio.to_thread(self._files.append, lane, page)
            self._anchored[lane] = page[-1].number

    async def _publish(self, mark: SealMark) -> None:
        number = mark.published
        try:
            while number < mark.sealed:
                page = await self._seals.after(mark.lane, number, PAGE_CHECKPOINTS)
                for checkpoint in page:
                    await self._publisher.publish(
                        topics.LEDGER_CHECKPOINTS,
                        key=str(mark.lane).encode(),
                        value=checkpoint.model_dump_json().encode(),
                        headers=_event(checkpoint),
                        partition=0,
                    )
                number = page[-1].number
                await self._seals.mark_published(mark.lane, number)
        except BrokerUnavailable as error:
            log.info("checkpoints_not_published", lane=mark.lane, error=str(error))


def _event(checkpoint: Checkpoint) -> headers.Headers:
    return headers.cloud_event(
        event_id=f"{checkpoint.lane}/{checkpoint.number}",
        event_type=headers.SEALED_TYPE,
        source="/langsense/wallet",
        subject=str(checkpoint.lane),
        time=checkpoint.sealed_at,
    )
