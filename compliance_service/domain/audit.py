"""What goes into the audit log, and how entries are chained."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import orjson
from pydantic import JsonValue

from shared.audit import AuditRow, content
from shared.contracts import actors
from shared.contracts.audit import ComplianceAudit
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import LIMIT_KINDS, NEEDS_REASON, PLAYER_KINDS
from shared.signing import ChainKeys

# Facts of a row that say what held before it; the rest says what holds since.
_BEFORE = "before"
_AFTER = "after"
# Of what is for the record whoever did it: staff, or the player itself.
_ALWAYS = LIMIT_KINDS | PLAYER_KINDS


class AuditEntry(NamedTuple):
    """One act: who did what to whom, why, and what it changed.

    Never a KYC value in `before` or `after`: states, tiers, and the names of fields only.
    """

    action: str
    user_id: int | None
    actor: str
    reason: str | None
    before: dict[str, JsonValue] | None
    after: dict[str, JsonValue] | None
    request_id: str | None


class Head(NamedTuple):
    """Where the chain stands: its last entry's number, time and checksum."""

    number: int
    at: datetime
    checksum: bytes


class ChainedEntry(NamedTuple):
    """A row of the log, and both of its checksums."""

    row: AuditRow
    previous: bytes
    checksum: bytes


def chained(head: Head, entries: Sequence[AuditEntry], now: datetime, keys: ChainKeys) -> list[ChainedEntry]:
    """These entries as the rows after the head, at one time: never before the head's, whatever a clock does."""
    at, previous, made = max(now, head.at), head.checksum, []
    for number, entry in enumerate(entries, start=head.number + 1):
        row = AuditRow(
            number=number,
            at=at,
            actor=entry.actor,
            action=entry.action,
            user_id=entry.user_id,
            reason=entry.reason,
            before=_json(entry.before),
            after=_json(entry.after),
            request_id=entry.request_id,
            key_id=keys.current,
        )
        checksum = keys.checksum_of(previous, keys.current, content(row))
        made.append(ChainedEntry(row, previous, checksum))
        previous = checksum
    return made


def of_ledger(events: Iterable[LedgerEvent]) -> Iterator[AuditEntry]:
    """The entries of the ledger's rows that are for the record: what staff did, and every change of a player's limits,
    exclusions and tier. A refused one is for the record too."""
    for event in events:
        if event.kind not in _ALWAYS and not _is_somebodys(event):
            continue
        before, after = _changed(event.facts or {})
        told = {
            "status": event.status.value,
            "refusal": event.reason,
            "reference_id": event.reference_id,
            "amount_minor": event.amount_minor,
            "currency": event.currency,
            "lane": event.lane,
            "position": event.position,
            "decided_at": event.created_at.isoformat(),
        }
        yield AuditEntry(
            action=str(event.kind),
            user_id=event.user_id,
            actor=event.actor or f"player:{event.user_id}",
            reason=event.stated_reason,
            before=before or None,
            after=after | {name: value for name, value in told.items() if value is not None},
            request_id=str(event.command_id),
        )


def _is_somebodys(event: LedgerEvent) -> bool:
    """Whether somebody is named who did it, other than the payments service moving money as its providers do.

    Of kinds that need no actor alone: whoever writes to Kafka could leave that out as well.
    """
    by_payments = event.actor == actors.PAYMENTS and event.kind not in NEEDS_REASON
    return event.actor is not None and not by_payments


def of_compliance_audit(made: ComplianceAudit, request_id: str | None) -> AuditEntry:
    """The entry of a compliance audit."""
    period: dict[str, JsonValue] = {
        "id": str(made.id),
        "from": made.start.isoformat(),
        "to": made.end.isoformat(),
        "breaches": made.figures.breach_count,
    }
    return AuditEntry("COMPLIANCE_AUDIT", None, made.requested_by, None, None, period, request_id)


def _changed(facts: Mapping[str, JsonValue]) -> tuple[dict[str, JsonValue], dict[str, JsonValue]]:
    """A row's facts as what held before and what holds since, both under the same names."""
    before: dict[str, JsonValue] = {}
    after: dict[str, JsonValue] = {}
    for name, value in facts.items():
        if name.startswith(_BEFORE):
            before[name.removeprefix(_BEFORE).lstrip("_") or "value"] = value
        else:
            after[name.removeprefix(_AFTER).lstrip("_") or "value"] = value
    return before, after


def _json(value: Mapping[str, JsonValue] | None) -> str | None:
    return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
