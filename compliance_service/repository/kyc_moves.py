"""A case's moves: each in one transaction with its event, its entry in the audit log and the tier's command."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from compliance_service.domain import kyc as domain
from compliance_service.domain.audit import AuditEntry
from compliance_service.domain.encryption import Index, KycKeys
from compliance_service.domain.kyc import PENDING, By, Case, Move, Verdict
from compliance_service.repository import kyc
from shared.contracts.kyc import KycSubmission
from shared.jurisdictions import Pack
from shared.outbox import OutboxEvent


class Actor(NamedTuple):
    """Who moves a case, and by which request."""

    name: str
    request_id: str | None = None


async def move(
    connection: AsyncConnection, pack: Pack, case: Case, verdict: Verdict, by: By | None, actor: Actor, now: datetime
) -> Case | None:
    """Move a locked case, and save it. None where it has no such move."""
    after = domain.moved(case, verdict, by, now)
    return None if after is None else await _saved(connection, pack, case, after, verdict, actor, now)


async def submit(
    connection: AsyncConnection,
    pack: Pack,
    keys: KycKeys,
    submission: KycSubmission,
    case: Case,
    actor: Actor,
    now: datetime,
    indexes: Sequence[Index],
) -> Case:
    """Keep a submission in a locked case."""
    after = domain.submitted(case, uuid4(), now)
    after = await _saved(connection, pack, case, after, Verdict(Move.SUBMIT, PENDING), actor, now)
    await kyc.put_fields(connection, keys, after, cells_of(submission), indexes[0])
    return after


def cells_of(submission: KycSubmission) -> dict[str, str | None]:
    """The values of a submission, by their columns."""
    return {
        "name": submission.name,
        "birth_date": submission.birth_date.isoformat(),
        **submission.address.model_dump(),
        "country": submission.country,
        "document_type": submission.document_type.value,
        "document_number": submission.document_number,
        "document_expires_on": submission.document_expires_on.isoformat(),
        "phone": submission.phone,
    }


async def _saved(
    connection: AsyncConnection, pack: Pack, before: Case, after: Case, verdict: Verdict, actor: Actor, now: datetime
) -> Case:
    after = domain.with_tier(replace(after, changed_at=now), pack, uuid4(), now)
    kind, body = domain.told(before, after, verdict)
    entry = AuditEntry(
        action=f"KYC_{verdict.move.name}",
        user_id=after.user_id,
        actor=actor.name,
        reason=verdict.why.staff,
        before={"state": before.state.value, "tier": before.tier.name},
        after={"state": after.state.value, "tier": after.tier.asked or after.tier.name},
        request_id=actor.request_id,
    )
    await kyc.save(connection, after, entry=entry, event=OutboxEvent(after.user_id, kind, body))
    return after
