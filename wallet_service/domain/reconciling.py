"""Reconciliations: which period, and what does not agree in it."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from shared.contracts.integrity import CurrencySum, Discrepancy, LaneState, LastReconciliation, Period


class Cause(StrEnum):
    """Why a reconciliation is made."""

    ON_DEMAND = "on_demand"
    MONTHLY = "monthly"


class State(StrEnum):
    """How far it is. A finished or failed one stays as it is."""

    REQUESTED = "requested"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"


class Outcome(NamedTuple):
    """What a reconciliation found: the rows of the period, all its discrepancies counted, and the first of them."""

    rows: int
    discrepancy_count: int
    discrepancies: Sequence[Discrepancy]


def last_month(now: datetime, zone: ZoneInfo) -> Period:
    """The last calendar month that is over, where clocks show this zone's time."""
    end = now.astimezone(zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    year, month = (end.year, end.month - 1) if end.month > 1 else (end.year - 1, 12)
    return Period(start=end.replace(year=year, month=month), end=end)


def is_consistent(
    lanes: Sequence[LaneState], conservation: Sequence[CurrencySum], last: LastReconciliation | None
) -> bool:
    """Whether money is conserved, no lane ends before its last checkpoint, and what was last reconciled agrees."""
    return (
        all(each.sum == "0" for each in conservation)
        and all(lane.unsealed_rows >= 0 for lane in lanes)
        and (last is None or last.discrepancy_count == 0)
    )
