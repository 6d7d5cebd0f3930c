"""Scores players again under the rules in force, a batch a transaction, no faster than the setting says."""

import asyncio
from datetime import timedelta
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.handlers.rulebook import RuleBook
from fraud_service.handlers.scorer import Scorer
from fraud_service.repository import jobs, players, snoozes
from fraud_service.repository.jobs import JobKind
from shared import database, logs
from shared.errors import TransientError

log = logs.get(__name__)

LOOK_EVERY_S = 0.2
BATCH = 200


class Reprocessor:
    """Works on what was asked for. A batch and its progress are one transaction, so any instance can go on."""

    def __init__(self, engine: AsyncEngine, book: RuleBook, scorer: Scorer, *, per_s: int) -> None:
        self._engine = engine
        self._book = book
        self._scorer = scorer
        self._per_s = per_s

    async def run(self) -> None:
        """Until cancelled: one batch after the other."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                while await self.step():
                    pass
            except TransientError as error:
                log.info("reprocessing_waits", error=str(error))

    async def step(self) -> bool:
        """A batch of the oldest job that is due; False where none is. Raises DatabaseUnavailable."""
        await self._book.look()
        owner, rule_set = uuid4(), self._book.rules
        async with database.transaction(self._engine) as connection:
            job = await jobs.take(connection, JobKind.REPROCESSING, owner, timedelta())
            if job is None:
                return False
            # A second's worth at the most, so that the pace is even.
            limit = min(BATCH, self._per_s)
            only = job.request["user_id"]
            wanted = await jobs.players_after(connection, job.place if only is None else only - 1, limit)
            if only is not None:
                wanted = [user_id for user_id in wanted if user_id == only]
            if wanted:
                known = await players.lock(connection, wanted)
                slept = await snoozes.of_players(connection, wanted)
                scored = [self._scorer.rescored(u, known[u], slept.get(u, ()), rule_set) for u in wanted]
                await self._scorer.save(connection, known, scored, rule_set)
            done = job.done + len(wanted)
            if only is not None or len(wanted) < limit:
                await jobs.finish(connection, job.id, owner, done=done, total=done)
            else:
                pause = timedelta(seconds=len(wanted) / self._per_s)
                await jobs.go_on(connection, job.id, owner, pause, done=done, place=wanted[-1])
        await self._scorer.settle()
        return True
