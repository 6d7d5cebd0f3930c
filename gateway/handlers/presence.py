"""Whether what the gateway needs is there, known before a request needs it."""

import asyncio
from collections.abc import Awaitable, Callable

from shared import logs
from shared.errors import TransientError

log = logs.get(__name__)

ASK_EVERY_S = 1.0
ASK_TIMEOUT_S = 2.0


class Presence:
    """One thing that the gateway needs: asked every second, and called lost by whoever sees it fail before that."""

    def __init__(self, name: str, ask: Callable[[], Awaitable[None]], error: type[TransientError]) -> None:
        self._name = name
        self._ask = ask
        self._error = error
        self._missing: str | None = "it was not asked yet"

    def require(self) -> None:
        """Raises at once while it is away."""
        if self._missing is not None:
            raise self._error(f"{self._name} is not there: {self._missing}")

    async def present(self) -> None:
        """For `Health.ready_when`: raises while it is away."""
        self.require()

    def lost(self, why: str) -> None:
        """Take it for away until it answers again."""
        if self._missing is None:
            log.warning("lost", what=self._name, why=why)
        self._missing = why

    async def watch(self) -> None:
        """Until cancelled: ask, every second."""
        while True:
            await self.look()
            await asyncio.sleep(ASK_EVERY_S)

    async def look(self) -> None:
        """Ask once, within a bound."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                await self._ask()
        except TimeoutError:
            self.lost(f"it did not answer within {ASK_TIMEOUT_S:.0f} s")
        except TransientError as error:
            self.lost(str(error))
        else:
            if self._missing is not None:
                log.info("found", what=self._name)
            self._missing = None
