"""Replays periods of the journal through other rules. One backtest at a time and instance; it never acts."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from fraud_service.domain import backtests, observations
from fraud_service.domain.backtests import Trial, Verdict
from fraud_service.domain.observations import Observation
from fraud_service.domain.rules import RuleBody, compiled
from fraud_service.domain.scoring import RuleSet
from fraud_service.repository import jobs, period, snoozes
from fraud_service.repository.jobs import JobKind
from fraud_service.settings import Settings
from shared import database, logs
from shared.clock import from_text
from shared.contracts.events import LedgerEvent
from shared.contracts.fraud import FlagStatus
from shared.errors import FieldError, InvalidInput, PermanentError, TransientError
from shared.journal import PAGE_ROWS, Journal

log = logs.get(__name__)

LOOK_EVERY_S = 0.5
LEASE = timedelta(seconds=60)
# Progress is written, and the lease with it, after so many events.
STEP = 2000
PART = 20


class Taken(TransientError):
    """Another instance has taken the job."""


class Backtester:
    """Works on backtests that were asked for."""

    def __init__(self, settings: Settings, engine: AsyncEngine, journal: Journal) -> None:
        self._parameters = settings.parameters()
        self._levels = settings.levels()
        self._most = settings.fraud_backtest_rows
        self._engine = engine
        self._journal = journal

    async def run(self) -> None:
        """Until cancelled: one after the other."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.step()
            except TransientError as error:
                # Its lease ends, and then it begins again: here or elsewhere.
                log.info("backtest_waits", error=str(error))

    async def step(self) -> bool:
        """The oldest backtest that is due; False where none is. Raises a TransientError."""
        owner = uuid4()
        async with database.transaction(self._engine) as connection:
            job = await jobs.take(connection, JobKind.BACKTEST, owner, LEASE)
        if job is None:
            return False
        outcome: dict[str, Any]
        try:
            outcome = {"result": await self._result(job.id, owner, job.request)}
        except PermanentError as error:
            outcome = {"error": str(error)}
        async with database.transaction(self._engine) as connection:
            await jobs.finish(connection, job.id, owner, **outcome)
        return True

    async def _result(self, job_id: UUID, owner: UUID, request: Mapping[str, Any]) -> dict[str, Any]:
        since, until = from_text(request["from"]), from_text(request["to"])
        seen = await self.observed(since, until)
        active, draft = _rules(request["active"]), _rules(request["draft"])
        async with database.reading(self._engine) as connection:
            slept = await snoozes.all_of(connection, since)
        total, done = sum(map(len, seen.values())), 0
        verdicts: dict[int, Verdict] = {}
        for user_id in sorted(seen):
            trial = Trial(active, draft, self._parameters, self._levels, slept.get(user_id, ()))
            for observation in sorted(seen[user_id]):
                if done % STEP == 0:
                    await self._tell(job_id, owner, done, total)
                # What is live goes first.
                if done % PART == 0:
                    await asyncio.sleep(0)
                trial.take(observation)
                done += 1
            verdicts[user_id] = trial.verdict
        await self._tell(job_id, owner, done, total)
        async with database.reading(self._engine) as connection:
            resolved = dict(await period.resolved(connection))
        confirmed = [user_id for user_id, status in resolved.items() if status is FlagStatus.CONFIRMED]
        dismissed = [user_id for user_id, status in resolved.items() if status is FlagStatus.DISMISSED]
        return backtests.compare(verdicts, confirmed, dismissed)

    async def observed(self, since: datetime, until: datetime) -> Mapping[int, Sequence[Observation]]:
        """A period, by player. Raises InvalidInput where it is too long, and a TransientError."""
        seen: dict[int, list[Observation]] = defaultdict(list)
        held = 0

        def keep(found: Sequence[Observation]) -> None:
            nonlocal held
            held += len(found)
            if held > self._most:
                raise InvalidInput([FieldError("to", f"the period holds more than {self._most} events; shorten it")])
            for observation in found:
                seen[observation.user_id].append(observation)

        for head in await self._journal.heads():
            async for rows in self._rows(head.lane, head.position, since, until):
                keep(list(observations.of_ledger(rows)))
        async with database.reading(self._engine) as connection:
            keep(await period.rounds(connection, since, until, self._most + 1))
            keep(await period.told(connection, since, until, self._most + 1))
            keep(await period.shared(connection, since, until, self._most + 1))
        return seen

    async def _rows(
        self, lane: int, head: int, since: datetime, until: datetime
    ) -> AsyncIterator[Sequence[LedgerEvent]]:
        """A lane's rows of the period, a page at a time. A lane's times do not fall."""
        after, above = 0, head
        while after < above:
            middle = (after + above) // 2
            (row,) = await self._journal.rows(lane, middle, 1)
            after, above = (middle + 1, above) if row.created_at < since else (after, middle)
        while after < head:
            rows = await self._journal.rows(lane, after, min(PAGE_ROWS, head - after))
            within = [row for row in rows if row.created_at < until]
            yield within
            if not rows or len(within) < len(rows):
                return
            after = rows[-1].position

    async def _tell(self, job_id: UUID, owner: UUID, done: int, total: int) -> None:
        async with database.transaction(self._engine) as connection:
            if not await jobs.go_on(connection, job_id, owner, LEASE, done=done, total=total):
                raise Taken(f"backtest {job_id} was taken by another instance")


def _rules(kept: Sequence[Mapping[str, Any]]) -> RuleSet:
    return RuleSet(0, [compiled(rule["version"], RuleBody.model_validate(rule["body"])) for rule in kept])
