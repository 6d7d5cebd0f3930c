"""Moves payments on while somebody waits for the answer to a request, and goes on without him after a while."""

import asyncio
from uuid import UUID

from payments_service.domain.ports import Attendant
from shared import logs

log = logs.get(__name__)

# Less than the gateway waits for an answer. A provider may take longer, and so may several.
ANSWERED_WITHIN_S = 3.0


class PromptAttendant:
    """As `Attendant`, for those who must not be kept waiting: what takes longer is done beside."""

    def __init__(self, attendant: Attendant, within_s: float = ANSWERED_WITHIN_S) -> None:
        self._attendant = attendant
        self._within_s = within_s
        self._going: set[asyncio.Task[None]] = set()

    async def attend(self, *payment_ids: UUID) -> None:
        """As `Attendant.attend`, for so long."""
        going = asyncio.create_task(self._attendant.attend(*payment_ids))
        self._going.add(going)
        going.add_done_callback(self._going.discard)
        done, _ = await asyncio.wait((going,), timeout=self._within_s)
        if done:
            going.result()
        else:
            going.add_done_callback(_tell)

    def wake(self) -> None:
        """As `Attendant.wake`."""
        self._attendant.wake()

    async def run(self) -> None:
        """Until cancelled: then end what is under way. A loop finds it where it was left."""
        try:
            await asyncio.Event().wait()
        finally:
            for task in self._going:
                task.cancel()
            await asyncio.gather(*self._going, return_exceptions=True)


def _tell(going: asyncio.Task[None]) -> None:
    if not going.cancelled() and (error := going.exception()) is not None:
        # It stays due, and a loop tries it again.
        log.error("payment_not_moved_on", exc_info=error)
