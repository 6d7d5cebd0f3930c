"""How reconciliations and the ledger's state read outside: figures as decimal strings."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.contracts.integrity import Discrepancy, LedgerState, Reconciliation, ReconciliationSummary
from shared.money import exponents, to_decimal


class ReconciliationPage(BaseModel):
    """Reconciliations, the newest first. `next_cursor` is null on the last page."""

    model_config = ConfigDict(extra="forbid")

    reconciliations: list[ReconciliationSummary]
    next_cursor: str | None


def reconciliation(found: Reconciliation) -> dict[str, Any]:
    """A reconciliation with its figures as decimal strings."""
    discrepancies = [_in_decimals(each) for each in found.discrepancies]
    return found.model_copy(update={"discrepancies": discrepancies}).model_dump(mode="json")


def page(found: Sequence[ReconciliationSummary], next_cursor: str | None) -> dict[str, Any]:
    """Some reconciliations as a ReconciliationPage."""
    return ReconciliationPage(reconciliations=list(found), next_cursor=next_cursor).model_dump(mode="json")


def ledger_state(found: LedgerState) -> dict[str, Any]:
    """The ledger's state with its sums as decimal strings."""
    sums = [each.model_copy(update={"sum": _figure(each.sum, each.currency)}) for each in found.conservation]
    return found.model_copy(update={"conservation": sums}).model_dump(mode="json")


def _in_decimals(each: Discrepancy) -> Discrepancy:
    expected = _figure(each.expected, each.currency)
    found = None if each.found is None else _figure(each.found, each.currency)
    return each.model_copy(update={"expected": expected, "found": found})


def _figure(minor: str, currency: str | None) -> str:
    # A position has no currency, and a row that was tampered with may have one that does not exist.
    return to_decimal(int(minor), currency) if currency in exponents() else minor
