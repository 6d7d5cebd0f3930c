"""Releases holds whose time is over, by a command like any other: what came for the hold before it still counts.

Every instance looks, and all of them send the same command, which is decided once.
"""

import asyncio

from shared import clock, logs
from shared.broker import Publisher
from shared.contracts import headers, topics
from shared.contracts.commands import encode
from shared.errors import TransientError
from shared.lanes import key_of
from wallet_service.domain.expiring import release_of
from wallet_service.repository import Reads

log = logs.get(__name__)

LOOK_EVERY_S = 5.0
# What is more expires with the next look.
MAX_HOLDS = 500


class Expiry:
    """Looks for expired holds."""

    def __init__(self, publisher: Publisher, reads: Reads) -> None:
        self._publisher = publisher
        self._reads = reads

    async def run(self) -> None:
        """Until cancelled: release what has expired."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except TransientError as error:
                log.info("expiry_waits", error=str(error))

    async def look(self) -> int:
        """Send a release for every hold that has expired, and say how many. Raises TransientError."""
        expired = await self._reads.expired_holds(MAX_HOLDS)
        for hold in expired:
            now = clock.utc_now()
            release = release_of(hold, now)
            await self._publisher.publish(
                topics.WALLET_COMMANDS,
                key=key_of(hold.user_id),
                value=encode(release),
                headers=headers.cloud_event(
                    event_id=str(release.command_id),
                    event_type=headers.COMMAND_TYPE,
                    source="/langsense/wallet",
                    subject=str(hold.user_id),
                    time=now,
                ),
            )
        if expired:
            log.info("holds_expired", holds=len(expired))
        return len(expired)
