"""Compliance audits that are made by themselves: of each week and month, once, whichever instance is first."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_service.domain.audit import of_compliance_audit
from compliance_service.domain.periods import Due, due
from compliance_service.repository.audit import record
from compliance_service.repository.figures import ComplianceAudits, save_audit
from compliance_service.settings import Settings
from shared import database, logs
from shared.clock import Clock
from shared.contracts import actors
from shared.contracts.audit import ComplianceAudit
from shared.errors import TransientError

log = logs.get(__name__)

LOOK_EVERY_S = 60.0


class AuditSchedule:
    """Makes the audits that are due. After a stop, of the last week and month alone; others are asked for."""

    def __init__(self, settings: Settings, *, engine: AsyncEngine, audits: ComplianceAudits, clock: Clock) -> None:
        self._settings = settings
        self._engine = engine
        self._audits = audits
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled: make what is due."""
        while True:
            try:
                await self.look()
            except TransientError as error:
                log.warning("compliance_audit_waits", code=error.code)
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> int:
        """Make what is due; returns how many. Raises DatabaseUnavailable."""
        periods = due(self._settings.compliance_audits_every, self._clock(), self._settings.platform_time_zone)
        return sum([await self._make(period) for period in periods])

    async def _make(self, period: Due) -> bool:
        if await self._audits.get(period.id) is not None:
            return False
        figures = await self._audits.figures(period.start, period.end)
        if not figures.players:
            # Nobody has played yet: there is nothing to audit.
            return False
        made = ComplianceAudit(
            id=period.id,
            start=period.start,
            end=period.end,
            requested_at=self._clock(),
            requested_by=actors.COMPLIANCE,
            figures=figures,
        )
        async with database.transaction(self._engine) as connection:
            if not await save_audit(connection, made):
                return False
            await record(connection, of_compliance_audit(made, None))
        log.info("compliance_audit_made", id=str(made.id), breaches=figures.breach_count)
        return True
