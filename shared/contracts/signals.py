"""What other services' events tell of a player beside the ledger: failed deposits, instruments, devices, countries.

Read tolerantly from `payments.events.v1` and `compliance.events.v1`: an event that has none of it is passed by.
"""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from shared.contracts.fields import Moment, Text, UserId


class SignalKind(StrEnum):
    """What an event is to fraud detection."""

    DEPOSIT_FAILED = "deposit_failed"
    OTHER = "other"


class PlayerSignal(BaseModel):
    """The fields that count, of any event about a player. Instruments and devices are opaque keys, never numbers."""

    model_config = ConfigDict(frozen=True, extra="ignore", title="PlayerSignal", validate_by_name=True)

    user_id: UserId
    kind: SignalKind = SignalKind.OTHER
    instrument_id: Text | None = Field(
        default=None,
        validation_alias=AliasChoices("instrument_id", "instrument"),
        description="The provider's token of a card or account; payments call it `instrument`.",
    )
    device_id: Text | None = None
    country: str | None = Field(default=None, pattern="^[A-Z]{2}$")
    occurred_at: Moment


# By CloudEvents type. What has a row in the ledger counts by that alone: deposits that came about or were charged back
# (`payments.deposit.completed.v1`, `payments.deposit.charged_back.v1`: of them the instrument counts), raised limits.
KINDS: Mapping[str, SignalKind] = {"payments.deposit.failed.v1": SignalKind.DEPOSIT_FAILED}
