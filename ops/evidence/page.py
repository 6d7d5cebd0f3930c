"""The pack's page: what a person reads first. It repeats the records beside it, and is signed as they are."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from typing import NamedTuple

import orjson

from ops.evidence.manifest import AuditReceipt, Scope
from shared import clock
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import EXCLUSION_KINDS, LIMIT_KINDS, Kind, Status

# A person reads no more of one sort; the files have all.
MAX_LISTED = 1000

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:90rem;padding:0 1rem}
table{border-collapse:collapse;font-size:13px;margin-bottom:2rem}caption{text-align:left;padding:.5rem 0}
th,td{border-bottom:1px solid #ddd;padding:.3rem .75rem .3rem 0;text-align:left;vertical-align:top}
th{border-bottom-color:#888;white-space:nowrap}tr:hover td{background:#f6f6f6}dl,dd{margin:0}
dt{color:#666;float:left;clear:left;margin-right:.4em}td.at{white-space:nowrap;font-variant-numeric:tabular-nums}"""
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
        self._list(_sort(event), (_At(event.created_at), event.user_id, event.kind, *what, _receipt(sealed)))

    def add_entry(self, entry: AuditReceipt) -> None:
        """List an entry of the audit log."""
        who = (entry.number, _At(entry.at), entry.user_id or "", entry.actor, entry.action)
        what = (entry.reason or "", _fields(entry.before), _fields(entry.after), _receipt(entry.checkpoint is not None))
        self._list("Audit log", (*who, *what))

    def html(self, scope: Scope, made_at: str) -> str:
        """The page."""
        whose = "all players" if scope.user_id is None else f"player {scope.user_id}"
        start, end = (f"{moment:%Y-%m-%d %H:%M:%S %Z}" if moment else None for moment in scope[1:])
        when = f"From {start or 'the first record'} to {end or 'the last one'}"
        tables = "\n".join(self._table(name) for name in sorted(self.counted))
        return (
            f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Evidence: {whose}</title>'
            f"<style>{_STYLE}</style>\n<h1>Evidence: {whose}</h1>\n<p>{when}, made {made_at}.</p>\n"
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


class _At(NamedTuple):
    """A moment in a cell."""

    moment: datetime


def _line(tag: str, cells: tuple[object, ...]) -> str:
    return f"<tr>{''.join(_cell(tag, cell) for cell in cells)}</tr>\n"


def _cell(tag: str, cell: object) -> str:
    if isinstance(cell, _At):
        moment = cell.moment.astimezone(UTC)
        return f'<{tag} class="at" title="{clock.to_text(moment)}">{moment:%Y-%m-%d %H:%M:%S}</{tag}>'
    if isinstance(cell, Mapping):
        known = ((name, value) for name, value in cell.items() if value is not None)
        items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in known)
        return f"<{tag}><dl>{items}</dl></{tag}>"
    return f"<{tag}>{escape(str(cell))}</{tag}>"


def _fields(text: str | None) -> object:
    return "" if text is None else orjson.loads(text)


def _receipt(sealed: bool) -> str:
    return "yes" if sealed else "not sealed yet"
