"""How the audit log and compliance audits read outside: amounts as decimal strings, and as a page for people."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from gateway.domain.callers import Caller
from shared.contracts.audit import AmlDeposits, AuditEntryView, ComplianceAudit, ComplianceAuditHead, NewAuditEntry
from shared.money import to_decimal

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem}th,td{border:1px solid #999;padding:.25rem .75rem;"
    "text-align:left}caption{text-align:left;font-weight:600;white-space:nowrap}.bad{color:#a00;font-weight:600}"
)


class AuditLogPage(BaseModel):
    """Entries of the audit log, the newest first. `next_cursor` is null on the last page."""

    model_config = ConfigDict(extra="forbid")

    entries: list[AuditEntryView]
    next_cursor: str | None


def page(found: Sequence[AuditEntryView], next_cursor: str | None) -> dict[str, Any]:
    """Some entries as an AuditLogPage."""
    return AuditLogPage(entries=list(found), next_cursor=next_cursor).model_dump(mode="json")


def entry(
    action: str,
    caller: Caller,
    request_id: str,
    *,
    user_id: int | None = None,
    after: dict[str, JsonValue] | None = None,
) -> NewAuditEntry:
    """What a caller does here, for the record."""
    return NewAuditEntry(action=action, user_id=user_id, actor=caller.subject, after=after, request_id=request_id)


class ComplianceAudits(BaseModel):
    """Compliance audits, the newest first."""

    compliance_audits: list[ComplianceAuditHead]


def audits(found: Sequence[ComplianceAuditHead]) -> dict[str, Any]:
    """A list of compliance audits."""
    return ComplianceAudits(compliance_audits=list(found)).model_dump(mode="json")


def audit(found: ComplianceAudit) -> dict[str, Any]:
    """A compliance audit, its amounts as decimal strings."""
    view = found.model_dump(mode="json")
    for name in ("large_deposits", "structured_deposits"):
        for deposit in view["figures"][name]["listed"]:
            deposit["amount"] = to_decimal(deposit["amount"], deposit["currency"])
    return view


def audit_page(found: ComplianceAudit) -> str:
    """A compliance audit as a page that needs nothing else: no script, no other server."""
    figures = found.figures
    period = f"{_at(found.start)} to {_at(found.end)}"
    made = f"made {_at(found.requested_at)} for {found.requested_by}, number {found.id}"
    waits = figures.waits
    parts = (
        f"<h1>Compliance audit</h1><p>{escape(period)}<br>{escape(made)}</p>",
        _breaches(found),
        f"<h2>Players</h2><p>{figures.verified} of {figures.players} are verified ({_share(found)}).</p>",
        _counts("Players by tier", "Tier", figures.tiers),
        _counts("Documents of verified players by the month of their last day", "Month", figures.documents_expiring),
        _counts("Open reviews by their age", "Age", figures.reviews_open),
        "<h2>Exclusions</h2>",
        _counts("In force at the end of the period", "Type", figures.exclusions_in_force),
        "<h2>Limits</h2>",
        _counts("Changes in the period", "Kind", figures.limit_changes),
        f"<p>{figures.raises_requested} raises were asked for; {waits.confirmed} were confirmed, {waits.early} of them "
        f"before their wait was over. Shortest wait: {_hours(waits.shortest_s)}, longest: {_hours(waits.longest_s)}."
        "</p>",
        "<h2>Deposits</h2>",
        _deposits("Large", figures.large_deposits),
        _deposits("Several just under the threshold", figures.structured_deposits),
        _counts("Ledger positions that these figures are true for", "Lane", figures.positions),
    )
    head = f'<meta charset="utf-8"><title>Compliance audit {escape(period)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>'


def _breaches(found: ComplianceAudit) -> str:
    count = found.figures.breach_count
    if not count:
        return "<p>No bet and no deposit was accepted in spite of an exclusion.</p>"
    rows = (
        (
            each.user_id,
            each.kind,
            _at(each.at),
            f"lane {each.lane}, position {each.position}",
            each.excluded_at,
        )
        for each in found.figures.breaches
    )
    told = f'<p class="bad">{count} bets or deposits were accepted in spite of an exclusion.</p>'
    return told + _table("Breaches", ("Player", "Kind", "At", "Row", "Exclusion at position"), rows)


def _deposits(caption: str, found: AmlDeposits) -> str:
    rows = (
        (
            each.user_id,
            each.deposits,
            f"{to_decimal(each.amount, each.currency)} {each.currency}",
            _at(each.at),
        )
        for each in found.listed
    )
    return _table(f"{caption}: {found.count}", ("Player", "Deposits", "Amount", "At"), rows)


def _counts(caption: str, name: str, counts: Mapping[str, int]) -> str:
    return _table(caption, (name, "Count"), counts.items())


def _table(caption: str, names: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = list(rows)
    if not rows:
        return f"<p><b>{escape(caption)}</b>: none</p>"
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{body}</table>"


def _share(found: ComplianceAudit) -> str:
    figures = found.figures
    return f"{figures.verified * 100 // figures.players} %" if figures.players else "no player is known"


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _hours(seconds: int | None) -> str:
    return "none" if seconds is None else f"{seconds // 3600} h {seconds % 3600 // 60} min"
