"""How the ledger stands beside itself, as the wallet says it: reconciliations of a period, and the state of it all.

Inside the platform figures are minor units as text, since one that was tampered with may not fit 64 bits.
"""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from shared.contracts.fields import Moment, Text


class Period(BaseModel):
    """Half-open: what was decided at `from` or later, and before `to`."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    start: Moment = Field(alias="from")
    end: Moment = Field(alias="to", description="Later than `from`, and not in the future.")

    @field_validator("end")
    @classmethod
    def _is_later(cls, end: datetime, info: ValidationInfo) -> datetime:
        if "start" in info.data and end <= info.data["start"]:
            raise ValueError("must be later than from")
        return end


class AskedPeriod(Period):
    """A period, and who asks for its reconciliation."""

    requested_by: Text


class Discrepancy(BaseModel):
    """Two figures that should be one.

    - `balance`: the balances after a row are not those after the account's row before it and what the row moved.
    - `stored_balance`: an account's balance is not what its last row says.
    - `reserved`: an account's reserved balance is not the sum of what is set aside.
    - `position_gap`: a lane's rows are missing from `expected` on, up to the row at `found`; null: to the lane's end.
    - `conservation`: a lane's accounts of a currency do not sum to zero.

    The figures are amounts of `currency`, positions where there is none.
    """

    kind: str
    lane: int
    user_id: int | None
    currency: str | None
    account: str | None = Field(description="cash or reserved")
    position: int | None = Field(description="The row where it applies.")
    expected: str
    found: str | None


class ReconciliationSummary(Period):
    """A reconciliation. `rows` and `discrepancy_count` are known when it is finished, and count all there were."""

    id: UUID
    number: int = Field(description="The order in which they were requested.")
    cause: str = Field(description="on_demand or monthly")
    requested_by: str | None
    requested_at: datetime
    status: str = Field(description="requested, running, finished or failed")
    started_at: datetime | None
    finished_at: datetime | None
    rows: int | None
    discrepancy_count: int | None

    @property
    def has_ended(self) -> bool:
        """Whether it stays as it is."""
        return self.finished_at is not None


class Reconciliation(ReconciliationSummary):
    """A reconciliation with its discrepancies: the first thousand; `truncated` where there are more."""

    discrepancies: list[Discrepancy]
    truncated: bool


class LaneState(BaseModel):
    """A lane: its last row, its last checkpoint, and what is not under one yet."""

    lane: int
    position: int
    head: str = Field(description="The last row's checksum.")
    checkpoint_number: int | None
    checkpoint_position: int | None = Field(description="The last row under a checkpoint.")
    unsealed_rows: int
    oldest_unsealed_s: float | None = Field(description="Its age in seconds.")


class CurrencySum(BaseModel):
    """What all accounts of a currency sum to: zero, or money is not conserved."""

    currency: str
    sum: str


class LastReconciliation(Period):
    """The last reconciliation that finished."""

    id: UUID
    finished_at: datetime
    discrepancy_count: int


class LedgerState(BaseModel):
    """The ledger beside itself.

    `consistent`: money is conserved, no lane ends before its last checkpoint, and the last reconciliation that
    finished found nothing.
    """

    lanes: list[LaneState]
    conservation: list[CurrencySum]
    last_reconciliation: LastReconciliation | None
    consistent: bool
