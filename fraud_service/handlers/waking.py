"""Wakes snoozed flags when their time is over."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.repository import flags
from shared import database, logs
from shared.clock import Clock
from shared.errors import TransientError

log = logs.get(__name__)

LOOK_EVERY_S = 1.0
AT_ONCE = 200


async def wake_flags(engine: AsyncEngine, clock: Clock) -> None:
    """Until cancelled: open what is due."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        try:
            async with database.transaction(engine) as connection:
                woken = await flags.wake(connection, clock(), AT_ONCE)
        except TransientError as error:
            log.info("flags_not_woken", error=str(error))
        else:
            if woken:
                log.info("flags_woken", flags=len(woken))
