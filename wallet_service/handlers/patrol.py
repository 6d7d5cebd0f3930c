"""Holds the whole journal to its chain again and again, at a bounded cost, and shows what it finds.

Whatever was sealed was looked at once; a row that is altered later is found here within one round, and shown until
it is as it was. `langsense verify` looks at everything at once, and at the checkpoints outside as well.
"""

import asyncio
import secrets

from shared import logs
from shared.errors import TransientError
from shared.keyring import Keyring
from shared.signing import GENESIS
from shared.telemetry import Metrics
from wallet_service.domain.patrolling import Fault, FaultKind, patrol
from wallet_service.repository.patrolling import Beat

log = logs.get(__name__)

STRETCH_ROWS = 500
# More would be of no help, and would grow without bound in a lane whose key is lost.
MAX_FAULTS = 1000
AGAIN_AFTER_S = 5.0


class Patrol:
    """Walks along the lanes, one stretch after the other. Each instance walks by itself."""

    def __init__(self, beat: Beat, keyring: Keyring, metrics: Metrics, *, rows_per_s: int) -> None:
        self._beat = beat
        self._keyring = keyring
        self._metrics = metrics
        self._pause_s = STRETCH_ROWS / rows_per_s
        self._faults: dict[tuple[int, int], Fault] = {}

    async def run(self) -> None:
        """Until cancelled: one round after the other, begun anywhere, for a process may not live for a whole one."""
        first = True
        while True:
            try:
                lanes = await self._beat.lanes()
                start = secrets.randbelow(len(lanes)) if first and lanes else 0
                first = False
                for lane, length in lanes[start:]:
                    await self.walk(lane, length)
            except TransientError as error:
                log.info("patrol_waits", error=str(error))
            await asyncio.sleep(AGAIN_AFTER_S)

    async def walk(self, lane: int, length: int) -> None:
        """Hold a lane's rows to each other, up to the one that is its last. Raises DatabaseUnavailable."""
        position = 0
        head: bytes | None = GENESIS
        while position < length:
            through = min(position + STRETCH_ROWS, length)
            entries = await self._beat.stretch(lane, position, through)
            found = patrol(position, through, head, entries, self._keyring.chain)
            self._metrics.patrolled.inc(len(entries))
            self._show(lane, position, through, {(lane, fault.position): fault for fault in found.faults})
            position, head = through, found.head
            await asyncio.sleep(self._pause_s)

    def _show(self, lane: int, after: int, through: int, faults: dict[tuple[int, int], Fault]) -> None:
        before = {key for key in self._faults if key[0] == lane and after < key[1] <= through}
        for key in before - faults.keys():
            del self._faults[key]
        for key, fault in faults.items():
            if key not in self._faults and len(self._faults) < MAX_FAULTS:
                self._faults[key] = fault
                log.error("row_not_verified", lane=lane, position=fault.position, kind=fault.kind, error=fault.what)
        kinds = [fault.kind for fault in self._faults.values()]
        self._metrics.checksums_failed.set(kinds.count(FaultKind.CHECKSUM))
        self._metrics.verification_errors.set(kinds.count(FaultKind.UNVERIFIED))
