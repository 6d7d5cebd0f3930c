"""What happens to exclusions by themselves: the wallet is asked until it decides, and those whose time is over expire.

Every instance looks; whoever takes an exclusion has it for a while, so that nothing is done twice at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from compliance_service.domain import exclusions as domain
from compliance_service.domain.exclusions import Actor, Exclusion
from compliance_service.repository import exclusions
from shared import database, logs
from shared.asking import Asker
from shared.clock import Clock
from shared.contracts import actors
from shared.contracts.events import LedgerEvent
from shared.contracts.exclusions import ExclusionState
from shared.contracts.kinds import EXCLUSION_KINDS
from shared.errors import TransientError

log = logs.get(__name__)

LOOK_EVERY_S = 1.0
# What is more comes with the next look.
MAX_ASKED = 50
MAX_EXPIRED = 200
WALLET_WITHIN_S = 2.0
SERVICE = Actor(actors.COMPLIANCE, by_staff=True)


class ExclusionWorker:
    """Asks the wallet for what was requested: at once when it was just saved, and by a loop whatever was left."""

    def __init__(self, engine: AsyncEngine, wallet: Asker, clock: Clock) -> None:
        self._engine = engine
        self._wallet = wallet
        self._clock = clock

    def loops(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What runs for as long as the service does, by name."""
        return {f"exclusions_{look.__name__}": partial(self.run, look) for look in (self.asking, self.expiry)}

    async def run(self, look: Callable[[], Awaitable[int]]) -> None:
        """Until cancelled: one of the looks below, again and again."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await look()
            except TransientError as error:
                log.warning("exclusions_look_failed", look=getattr(look, "__name__", ""), code=error.code)

    async def enforce(self, exclusion: Exclusion) -> None:
        """As `Enforcer.enforce`."""
        try:
            await self._ask(exclusion)
        except TransientError as error:
            # It stays due; nobody else's waits for it.
            log.warning("exclusion_waits", exclusion_id=str(exclusion.id), code=error.code)

    async def asking(self) -> int:
        """Ask the wallet again for what it has not decided, and for ends whose wait is over."""
        async with database.transaction(self._engine) as connection:
            taken = await exclusions.take_due(connection, self._clock(), MAX_ASKED)
        for exclusion in taken:
            await self.enforce(exclusion)
        return len(taken)

    async def expiry(self) -> int:
        """Expire exclusions whose time is over; returns how many. The wallet frees the player by itself."""
        now = self._clock()
        async with database.transaction(self._engine) as connection:
            found = await exclusions.over(connection, now, MAX_EXPIRED)
            changes = [change for exclusion in found if (change := domain.expire(exclusion)) is not None]
            await exclusions.save(connection, changes, SERVICE)
        return len(found)

    async def _ask(self, exclusion: Exclusion) -> None:
        if exclusion.state is ExclusionState.END_REQUESTED:
            # Its row changes what it ends when it comes from the ledger, after all rows before it.
            await self._wallet.ask(domain.end_command(exclusion), WALLET_WITHIN_S)
            return
        decision = await self._wallet.ask(domain.begin_command(exclusion), WALLET_WITHIN_S)
        if decision is None:
            return
        if decision.reason is not None:
            log.warning("exclusion_refused", exclusion_id=str(exclusion.id), reason=str(decision.reason))
        async with database.transaction(self._engine) as connection:
            await apply(connection, [decision])


async def apply(connection: AsyncConnection, events: Sequence[LedgerEvent]) -> None:
    """What rows of the ledger change, whoever asked for it; rows that were applied before change nothing."""
    concerned = [event for event in events if event.kind in EXCLUSION_KINDS]
    if not concerned:
        return
    users = {event.user_id for event in concerned}
    known = await exclusions.lock(connection, users, [event.command_id for event in concerned])
    changes = []
    for event in concerned:
        made = domain.decided(known[event.user_id], event)
        fresh = {change.after.id: change.after for change in made}
        others = [exclusion for exclusion in known[event.user_id] if exclusion.id not in fresh]
        known[event.user_id] = [*others, *fresh.values()]
        changes += made
    await exclusions.save(connection, changes, None)
