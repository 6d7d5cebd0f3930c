"""The pack's page: what a person reads first. It repeats the records beside it, and is signed as they are."""

from collections import Counter
from dataclasses import dataclass, field
from html import escape

from ops.evidence.manifest import AuditReceipt, Scope
from shared import clock
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import EXCLUSION_KINDS, LIMIT_KINDS, Kind, Status

# A person reads no more of one sort; the files have all.
MAX_LISTED = 1000

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}
table{border-collapse:collapse;width:100%;font-size:13px}th,td{border-bottom:1px solid #ccc;padding:.3rem .5rem;
text-align:left;vertical-align:top;overflow-wrap:anywhere}caption{text-align:left;padding:.5rem 0}"""
_ROW_COLUMNS = ("at", "player", "what", "reference", "amount (minor units)", "status", "reason", "place", "receipt")
_AUDIT_COLUMNS = ("number", "at", "player", "actor", "action", "why", "before", "after", "receipt")


@dataclass(slots=True)
class Page:
    """Collects what is listed, as rows of a table, and counts what is not."""

    listed: dict[str, list[str]] = field(default_factory=dict)
    counted: Counter[str] = field(default_factory=Counter)

    def add(self, event: LedgerEvent, *, sealed: bool) -> None:
        """List a journal row."""
        amount = f"{event.amount_minor} {event.currency}"
        place = f"lane {event.lane}, position {event.position}"
        what = (event.reference_id or "", amount, event.status, event.reason or event.stated_reason or "", place)
        self._list(_sort(event), (clock.to_text(event.created_at), event.user_id, event.kind, *what, _receipt(sealed)))

    def add_entry(self, entry: AuditReceipt) -> None:
        """List an entry of the audit log."""
        who = (entry.number, clock.to_text(entry.at), entry.user_id or "", entry.actor, entry.action)
        what = (entry.reason or "", entry.before or "", entry.after or "", _receipt(entry.checkpoint is not None))
        self._list("Audit log", (*who, *what))

    def html(self, scope: Scope, made_at: str) -> str:
        """The page."""
        whose = "all players" if scope.user_id is None else f"player {scope.user_id}"
        start, end = (clock.to_text(moment) if moment else "…" for moment in scope[1:])
        tables = "\n".join(self._table(name) for name in sorted(self.counted))
        return (
            f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Evidence: {whose}</title>'
            f"<style>{_STYLE}</style>\n<h1>Evidence: {whose}</h1>\n<p>From {start} to {end}, made {made_at}.</p>\n"
            "<p>Each record has a receipt in the files beside this page. Verify all of it, offline, with "
            "<code>langsense verify-evidence FILE --public-keys KEYS</code>.</p>\n"
            f"{tables or '<p>Nothing was found.</p>'}\n</html>\n"
        )

    def _list(self, name: str, cells: tuple[object, ...]) -> None:
        self.counted[name] += 1
        if self.counted[name] <= MAX_LISTED:
            self.listed.setdefault(name, []).append(_line("td", cells))

    def _table(self, name: str) -> str:
        rows, count = self.listed[name], self.counted[name]
        more = f", the first {len(rows)} of them" if count > len(rows) else ""
        columns = _AUDIT_COLUMNS if name == "Audit log" else _ROW_COLUMNS
        head = f"<caption><h2>{name}</h2>{count} records{more}</caption>{_line('th', columns)}"
        return f"<table>{head}{''.join(rows)}</table>"


def _sort(event: LedgerEvent) -> str:
    if event.status is Status.REFUSED:
        return "Refusals"
    if event.kind in LIMIT_KINDS:
        return "Limit changes"
    if event.kind in EXCLUSION_KINDS:
        return "Exclusions"
    return "Tiers" if event.kind == Kind.KYC_TIER else "Transactions"


def _line(tag: str, cells: tuple[object, ...]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(str(cell))}</{tag}>' for cell in cells)}</tr>\n"


def _receipt(sealed: bool) -> str:
    return "yes" if sealed else "not sealed yet"
