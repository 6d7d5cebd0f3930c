"""Seals the audit log: checkpoints into their table, then to the file outside the database.

The second step is made from what the first one kept: whatever a crash leaves undone is done at the next look, by this
instance or another.
"""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_service.repository.audit_seals import AuditSeals, load_due, save_checkpoint
from compliance_service.settings import Settings
from shared import database, logs
from shared.anchors import CheckpointFiles
from shared.audit import CHAIN, seal
from shared.errors import IntegrityViolation, TransientError
from shared.keyring import Keyring
from shared.telemetry import Metrics

log = logs.get(__name__)

LOOK_EVERY_S = 0.5
PAGE_CHECKPOINTS = 200


class AuditSealer:
    """Seals what is due. A log that does not follow from itself is not sealed, and that is told once."""

    def __init__(self, settings: Settings, *, engine: AsyncEngine, keyring: Keyring, metrics: Metrics) -> None:
        self._engine = engine
        self._keyring = keyring
        self._metrics = metrics
        self._seals = AuditSeals(engine)
        self._files = CheckpointFiles.at(settings.audit_sink)
        self._every_rows = settings.audit_checkpoint_every_rows
        self._every_s = settings.audit_checkpoint_every_s
        # The number up to which the file is known to have the table's checkpoints.
        self._anchored: int | None = None
        self._problem: str | None = None

    def problem(self) -> str | None:
        """Why the log is not sealed, or None."""
        return self._problem

    async def run(self) -> None:
        """Until cancelled: seal and anchor what is due."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except TransientError as error:
                log.info("audit_sealer_waits", error=str(error))

    async def look(self) -> None:
        """Seal and anchor what is due now. Raises DatabaseUnavailable, SinkUnavailable."""
        try:
            if self._anchored is None:
                self._anchored = await self._agreed()
            while await self._seal_next():
                pass
            await self._anchor()
        except IntegrityViolation as error:
            if self._problem != str(error):
                log.error("audit_log_not_sealed", code=error.code, error=str(error))
            self._problem = str(error)
        else:
            self._problem = None
        self._metrics.unsealable_audit_log.set(self._problem is not None)

    async def _seal_next(self) -> bool:
        async with database.transaction(self._engine) as connection:
            due = await load_due(connection, self._every_rows)
            if due is None:
                return False
            if len(due.entries) < self._every_rows and (due.now - due.since).total_seconds() < self._every_s:
                return False
            keys = self._keyring
            await save_checkpoint(
                connection, seal(due.before, due.entries, due.now, chain=keys.chain, signing=keys.signing)
            )
        return True

    async def _agreed(self) -> int:
        """The number up to which table and file agree. A file that knows more than the table stops the seals."""
        outside = await asyncio.to_thread(self._files.last, CHAIN)
        if outside is None:
            return 0
        if list(await self._seals.after(outside.number - 1, 1)) != [outside]:
            raise IntegrityViolation(f"audit log: checkpoint {outside.number} outside is not the one in the table")
        return outside.number

    async def _anchor(self) -> None:
        assert self._anchored is not None
        while page := await self._seals.after(self._anchored, PAGE_CHECKPOINTS):
            await asyncio.to_thread(self._files.append, CHAIN, page)
            self._anchored = page[-1].number
