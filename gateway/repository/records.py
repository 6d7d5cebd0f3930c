"""The audit log and compliance audits, which the compliance service owns. Money is in minor units in here."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import httpx2
from pydantic import TypeAdapter

from gateway.repository import decoded, get, post
from shared.contracts.audit import (
    AskedAudit,
    AuditEntryView,
    ComplianceAudit,
    ComplianceAuditHead,
    NewAuditEntries,
    NewAuditEntry,
)

_ENTRIES = TypeAdapter(list[AuditEntryView])
_AUDIT = TypeAdapter(ComplianceAudit)
_HEADS = TypeAdapter(list[ComplianceAuditHead])


class Sought(NamedTuple):
    """Which entries are asked for; what is None is not asked. `start` is in, `end` is not."""

    user_id: int | None
    actor: str | None
    action: str | None
    start: datetime | None
    end: datetime | None


class Records:
    """What is on the record. All raise ServiceUnavailable where there is no answer."""

    def __init__(self, compliance: httpx2.AsyncClient) -> None:
        self._compliance = compliance

    async def add(self, *entries: NewAuditEntry) -> None:
        """Put on the record what is about to be done here. What cannot be recorded is not to be done."""
        await post(self._compliance, "/audit-entries", NewAuditEntries(entries=list(entries)))

    async def page(self, sought: Sought, *, limit: int, before: int | None) -> Sequence[AuditEntryView]:
        """At most `limit` entries below a number, the newest first."""
        asked = {**sought._asdict(), "limit": limit, "before": before}
        query = {name: _text(value) for name, value in asked.items() if value is not None}
        return decoded(_ENTRIES, await get(self._compliance, "/audit-log", query))

    async def make_audit(self, asked: AskedAudit) -> ComplianceAudit:
        """Audit a period."""
        return decoded(_AUDIT, await post(self._compliance, "/compliance-audits", asked))

    async def audits(self, limit: int) -> Sequence[ComplianceAuditHead]:
        """The compliance audits that were made last, the newest first."""
        return decoded(_HEADS, await get(self._compliance, "/compliance-audits", {"limit": str(limit)}))

    async def audit(self, audit_id: UUID) -> ComplianceAudit:
        """A compliance audit. Raises NotFound."""
        return decoded(_AUDIT, await get(self._compliance, f"/compliance-audits/{audit_id}"))


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
