"""What is told of exclusions: to the audit log, and to whoever hears the service's events."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import JsonValue

from compliance_service.domain.audit import AuditEntry
from compliance_service.domain.exclusions import Actor, Change, Exclusion, Step
from shared import clock
from shared.contracts.exclusions import Incident

_TOLD: Mapping[Step, str] = {
    Step.REQUEST: "compliance.exclusion.requested.v1",
    Step.ACKNOWLEDGE: "compliance.exclusion.started.v1",
    Step.REQUEST_END: "compliance.exclusion.end-requested.v1",
    Step.REVOKE_END: "compliance.exclusion.end-revoked.v1",
    Step.REFUSE_END: "compliance.exclusion.end-revoked.v1",
    Step.END: "compliance.exclusion.ended.v1",
    Step.REPLACE: "compliance.exclusion.ended.v1",
    Step.EXPIRE: "compliance.exclusion.expired.v1",
}
SUSPENDED = "compliance.player.suspended.v1"


def told(change: Change) -> tuple[str, dict[str, JsonValue]] | None:
    """The type and body of the event that tells of a change; None where nobody is told. No free text is in it."""
    kind = _TOLD.get(change.step)
    return None if kind is None else (kind, body(change.after))


def suspended(incident: Incident, request_id: str | None) -> tuple[AuditEntry, dict[str, JsonValue]]:
    """What is told of a suspension, beside its exclusion's own: for the audit log, and as the body of an event."""
    found: dict[str, JsonValue] = {
        "user_id": incident.user_id,
        "incident_id": str(incident.id),
        "exclusion_id": str(incident.exclusion_id),
    }
    entry = AuditEntry("PLAYER_SUSPEND", incident.user_id, incident.actor, incident.reason, None, found, request_id)
    return entry, found


def body(exclusion: Exclusion) -> dict[str, JsonValue]:
    """An exclusion as events have it."""
    return {
        "exclusion_id": str(exclusion.id),
        "user_id": exclusion.user_id,
        "type": exclusion.type.value,
        "time_out": exclusion.time_out,
        "state": exclusion.state.value,
        "since": _text(exclusion.since),
        "until": _text(exclusion.until),
        "ends_at": _text(exclusion.ends_at),
        "ended_at": _text(exclusion.ended_at),
        "replaced_by": None if exclusion.replaced_by is None else str(exclusion.replaced_by),
        "lane": exclusion.lane,
        "position": exclusion.position,
    }


def audited(change: Change, by: Actor) -> AuditEntry:
    """The entry of the audit log for a change that did not come from the ledger, whose rows have their own."""
    after = change.after
    return AuditEntry(
        action=f"EXCLUSION_{change.step.name}",
        user_id=after.user_id,
        actor=by.name,
        reason=after.reason,
        before=None if change.before is None else body(change.before),
        after=body(after),
        request_id=by.request_id,
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else clock.to_text(moment)
