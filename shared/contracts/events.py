"""`ledger.events.v1`: every decision of the wallet, refusals included, as it stands in the journal."""

from typing import NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, NonNegativeInt

from shared.contracts.fields import MAX_INT64, CurrencyOrNone, Moment, Provider, Text, UserId
from shared.contracts.kinds import Account, Kind, Reason, Status


class LedgerEvent(BaseModel):
    """One journal row.

    `amount_minor` is what moved from the `debit` to the `credit` account; on a refused row, what was asked, and
    nothing moved. `cash_minor` and `reserved_minor` are the player's balances in this currency after the row.
    `facts` are the further numbers that the decision rests on. `checksum` is the hex HMAC-SHA256, under the key
    named by `key_id`, over the previous row's checksum and this row's content (see `shared.signing`).
    """

    model_config = ConfigDict(frozen=True, extra="ignore", title="LedgerEvent")

    lane: NonNegativeInt
    position: int = Field(ge=1, description="Counts the lane's rows from 1, without a gap.")
    command_id: UUID
    kind: Kind | str = Field(
        union_mode="left_to_right", description="Kinds may be added: pass by those that are not known."
    )
    status: Status
    reason: Reason | str | None = Field(default=None, description="Machine-readable, on every refused row.")
    user_id: UserId
    amount_minor: int = Field(ge=0, le=MAX_INT64)
    currency: CurrencyOrNone
    debit: Account | str = Field(union_mode="left_to_right")
    credit: Account | str = Field(union_mode="left_to_right")
    provider: Provider | None = None
    reference_id: Text | None = None
    round_id: Text | None = None
    stated_reason: Text | None = Field(default=None, description="The human's reason that came with the command.")
    actor: Text | None = None
    cash_minor: int
    reserved_minor: int
    facts: dict[str, JsonValue] | None = None
    occurred_at: Moment
    created_at: Moment = Field(description="When the wallet decided, by its database's clock.")
    key_id: str
    checksum: str = Field(pattern="^[0-9a-f]{64}$")


class LaneHead(BaseModel):
    """Where a lane stands: its last position, that row's checksum (hex), and how far events were published."""

    model_config = ConfigDict(frozen=True, extra="ignore", title="LaneHead")

    lane: NonNegativeInt
    position: int = Field(ge=0)
    published: int = Field(ge=0)
    head: str


class LanePosition(NamedTuple):
    """A place in the journal."""

    lane: int
    position: int
