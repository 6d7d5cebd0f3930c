"""What other services' events tell of a player beside the ledger: failed deposits, instruments, devices, countries.

Read tolerantly from `payments.events.v1` and `compliance.events.v1`: an event that has none of it is passed by.
"""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.fields import Moment, Text, UserId


class SignalKind(StrEnum):
    """What an event is to fraud detection."""

    DEPOSIT_FAILED = "deposit_failed"
    LIMIT_RAISED = "limit_raised"
    OTHER = "other"


class PlayerSignal(BaseModel):
    """The fields that count, of any event about a player. Instruments and devices are opaque keys, never numbers."""

    model_config = ConfigDict(frozen=True, extra="ignore", title="PlayerSignal")

    user_id: UserId
    kind: SignalKind = SignalKind.OTHER
    instrument_id: Text | None = Field(default=None, description="The provider's token of a card or account.")
    device_id: Text | None = None
    country: str | None = Field(default=None, pattern="^[A-Z]{2}$")
    occurred_at: Moment


# By CloudEvents type.
KINDS: Mapping[str, SignalKind] = {
    "payments.deposit.failed.v1": SignalKind.DEPOSIT_FAILED,
    "compliance.limit.raised.v1": SignalKind.LIMIT_RAISED,
}
