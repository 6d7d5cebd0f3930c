"""HTTP in: the audit log, what others add to it, and compliance audits."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance_service.domain.audit import AuditEntry, of_compliance_audit
from compliance_service.repository.audit import AuditLog, Sought, record
from compliance_service.repository.figures import ComplianceAudits, save_audit
from compliance_service.settings import Settings
from shared import database
from shared.clock import Clock
from shared.contracts.audit import AskedAudit, AuditEntryView, ComplianceAudit, ComplianceAuditHead, NewAuditEntries
from shared.contracts.fields import MAX_INT64, Moment
from shared.errors import NotFound
from shared.service import internal_only

MAX_PAGE_ROWS = 1000


def log(settings: Settings, audit_log: AuditLog) -> APIRouter:
    """The endpoints of the audit log."""
    endpoints = APIRouter(dependencies=[Depends(internal_only(settings))])

    @endpoints.post("/audit-entries", summary="Put on the record what another service did")
    async def post_entries(asked: NewAuditEntries) -> NewAuditEntries:
        await audit_log.add([AuditEntry(**dict(entry)) for entry in asked.entries])
        return asked

    @endpoints.get("/audit-log", summary="Entries of the audit log, the newest first")
    async def get_log(
        user_id: Annotated[int | None, Query(ge=1, le=MAX_INT64)] = None,
        actor: str | None = None,
        action: str | None = None,
        start: Annotated[Moment | None, Query()] = None,
        end: Annotated[Moment | None, Query()] = None,
        before: Annotated[int | None, Query(ge=1)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = 50,
    ) -> Sequence[AuditEntryView]:
        rows = await audit_log.page(Sought(user_id, actor, action, start, end), before=before, limit=limit)
        return [
            AuditEntryView.model_validate(
                {**row._mapping, "previous": row.previous.hex(), "checksum": row.checksum.hex()}
            )
            for row in rows
        ]

    return endpoints


def audits(settings: Settings, engine: AsyncEngine, made: ComplianceAudits, clock: Clock) -> APIRouter:
    """The endpoints of compliance audits."""
    endpoints = APIRouter(dependencies=[Depends(internal_only(settings))])

    @endpoints.post("/compliance-audits", summary="Audit a period, and keep what was found")
    async def post_audit(asked: AskedAudit) -> ComplianceAudit:
        found = ComplianceAudit(
            id=uuid4(),
            start=asked.start,
            end=asked.end,
            requested_at=clock(),
            requested_by=asked.requested_by,
            figures=await made.figures(asked.start, asked.end),
        )
        async with database.transaction(engine) as connection:
            await save_audit(connection, found)
            await record(connection, of_compliance_audit(found, asked.request_id))
        return found

    @endpoints.get("/compliance-audits", summary="The compliance audits that were made last, the newest first")
    async def get_audits(limit: Annotated[int, Query(ge=1, le=MAX_PAGE_ROWS)] = 50) -> Sequence[ComplianceAuditHead]:
        return await made.latest(limit)

    @endpoints.get("/compliance-audits/{audit_id}", summary="A compliance audit, as it was made")
    async def get_audit(audit_id: UUID) -> ComplianceAudit:
        found = await made.get(audit_id)
        if found is None:
            raise NotFound(f"there is no compliance audit {audit_id}")
        return found

    return endpoints
