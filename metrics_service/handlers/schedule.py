"""Makes and sends the reports that are due, each once, whichever instance is first.

A row that one instance claims is the lock. A folder's file and the event are there once. A mail is sent at least once:
where a process dies between the mail server's answer and the row that keeps it, the mail is sent again, under the same
Message-ID, at most MOST_ATTEMPTS times.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from metrics_service.domain.schedule import Run, missed
from metrics_service.repository import runs
from metrics_service.repository.reports import Reports
from metrics_service.repository.runs import Claimed
from metrics_service.settings import Settings
from shared import database, logs, outbox
from shared.clock import Clock
from shared.contracts.reports import REPORT_MADE, ReportMade
from shared.errors import TransientError
from shared.figures.report import Report
from shared.outbox import OutboxEvent
from shared.telemetry import Metrics

log = logs.get(__name__)

LOOK_EVERY_S = 15.0
# Longer than a report takes to make and to send.
CLAIMED_FOR = timedelta(minutes=10)
# Most of a day: whoever mends a mail server has its reports within the hour.
MOST_ATTEMPTS = 20
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=1), timedelta(hours=1)
# Its events are about no player.
NOBODY = 0


class Way(Protocol):
    """A way that reports are sent on."""

    async def send(self, run: Run, report: Report) -> None:
        """Send a report. Raises TransientError where it may be tried again."""


class Schedule:
    """The reports that are made by themselves."""

    def __init__(
        self,
        settings: Settings,
        *,
        engine: AsyncEngine,
        reports: Reports,
        ways: Mapping[str, Way],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._engine = engine
        self._reports = reports
        self._ways = ways
        self._clock = clock
        self._metrics = metrics
        self._wanted = settings.reports_every
        self._at = settings.report_at
        self._zone = settings.figures_time_zone

    async def run(self) -> None:
        """Until cancelled: make what is due."""
        while True:
            try:
                await self.look()
            except TransientError as error:
                log.info("reports_wait", error=str(error))
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> int:
        """Make what is due; returns how many were sent. Raises DatabaseUnavailable."""
        now = self._clock()
        async with database.transaction(self._engine) as connection:
            due = missed(self._wanted, await runs.made(connection), now, self._at, self._zone)
            if due:
                await runs.add(connection, due, now)
        sent = 0
        while (claimed := await self._claim()) is not None:
            sent += await self._make(claimed)
        return sent

    async def _claim(self) -> Claimed | None:
        now = self._clock()
        today = now.astimezone(self._zone).date()
        async with database.transaction(self._engine) as connection:
            return await runs.claim(connection, now, today, CLAIMED_FOR, MOST_ATTEMPTS)

    async def _make(self, claimed: Claimed) -> bool:
        with self._metrics.report_s.labels(claimed.run.every).time():
            return await self._try(claimed)

    async def _try(self, claimed: Claimed) -> bool:
        run = claimed.run
        try:
            report = await self._reports.make(run.first_day, run.last_day)
            for name in sorted(self._ways.keys() - claimed.delivered):
                await self._ways[name].send(run, report)
                async with database.transaction(self._engine) as connection:
                    await runs.deliver(connection, run, name)
        except TransientError as error:
            await self._put_off(claimed, error)
            return False
        async with database.transaction(self._engine) as connection:
            finished = await runs.finish(connection, run, self._clock())
            if finished:
                await outbox.put(connection, _made(run, report, sorted(self._ways)))
        self._metrics.report_runs.labels(run.every, "sent").inc()
        log.info("report_sent", every=run.every, first_day=run.first_day.isoformat(), ways=sorted(self._ways))
        return finished

    async def _put_off(self, claimed: Claimed, error: TransientError) -> None:
        self._metrics.report_runs.labels(claimed.run.every, "failed").inc()
        wait = min(FIRST_WAIT * 2 ** (claimed.attempts - 1), LONGEST_WAIT)
        async with database.transaction(self._engine) as connection:
            await runs.try_again(connection, claimed.run, self._clock() + wait)
        told = log.error if claimed.attempts == MOST_ATTEMPTS else log.warning
        told("report_not_sent", every=claimed.run.every, attempt=claimed.attempts, error=str(error))


def _made(run: Run, report: Report, ways: Sequence[str]) -> OutboxEvent:
    body = ReportMade(
        run_id=run.id,
        every=run.every,
        first_day=run.first_day,
        last_day=run.last_day,
        ways=list(ways),
        key_id=report["key_id"],
        signature=report["signature"],
    )
    return OutboxEvent(NOBODY, REPORT_MADE, body.model_dump(mode="json"))
