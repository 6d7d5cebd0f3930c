"""The audit log and compliance audits, as the compliance service answers them. Money is in minor units."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, NonNegativeInt, StringConstraints

from shared.contracts.fields import CurrencyOrNone, Moment, Text, UserId
from shared.contracts.integrity import Period

MAX_ENTRIES = 100
Action = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class NewAuditEntry(_Part):
    """An act for the record: who did what, to whom, why, and what it changed. Never a KYC value."""

    action: Action
    user_id: UserId | None = None
    actor: Text
    reason: Text | None = None
    before: dict[str, JsonValue] | None = None
    after: dict[str, JsonValue] | None = None
    request_id: Text | None = None


class NewAuditEntries(_Part):
    """Acts for the record, in order: all of them or none."""

    entries: list[NewAuditEntry] = Field(min_length=1, max_length=MAX_ENTRIES)


class AuditEntryView(_Part):
    """An entry of the audit log. `number` counts from 1 without a gap; the checksums are hex."""

    number: int
    at: Moment
    actor: str
    action: str
    user_id: int | None
    reason: str | None
    before: dict[str, JsonValue] | None
    after: dict[str, JsonValue] | None
    request_id: str | None
    key_id: str
    previous: str
    checksum: str


class AskedAudit(Period):
    """A compliance audit that is asked for."""

    requested_by: Text
    request_id: Text | None = None


class Breach(_Part):
    """A bet or deposit that was accepted in spite of an exclusion, by both rows' positions on their lane."""

    user_id: int
    lane: int
    position: int
    excluded_at: int
    at: Moment
    kind: str


class AmlDeposit(_Part):
    """A large deposit; or, with `deposits`, so many just under the threshold within the window, and their sum."""

    user_id: int
    currency: CurrencyOrNone
    amount: int = Field(description="Minor units.")
    at: Moment
    deposits: int = 1
    lane: int | None = None
    position: int | None = None


class AmlDeposits(_Part):
    """How many there are, and the first of them."""

    count: NonNegativeInt
    listed: list[AmlDeposit]


class Waits(_Part):
    """Raises of players' own limits that were confirmed: how long they had waited, and how many not long enough."""

    confirmed: NonNegativeInt
    early: NonNegativeInt
    shortest_s: int | None
    longest_s: int | None


class Figures(_Part):
    """What a compliance audit found. `positions` are the ledger's, by lane, that the figures are true for."""

    players: NonNegativeInt
    verified: NonNegativeInt
    tiers: dict[str, NonNegativeInt]
    exclusions_in_force: dict[str, NonNegativeInt]
    breach_count: NonNegativeInt
    breaches: list[Breach]
    limit_changes: dict[str, NonNegativeInt]
    raises_requested: NonNegativeInt
    waits: Waits
    large_deposits: AmlDeposits
    structured_deposits: AmlDeposits
    positions: dict[str, NonNegativeInt]
    # Verified players' documents by the month of their last day; players under review by how long they have waited.
    documents_expiring: dict[str, NonNegativeInt] = Field(default_factory=dict)
    reviews_open: dict[str, NonNegativeInt] = Field(default_factory=dict)


class ComplianceAuditHead(Period):
    """What a list of compliance audits says of each."""

    id: UUID
    requested_at: Moment
    requested_by: str
    breach_count: NonNegativeInt


class ComplianceAudit(Period):
    """A compliance audit of a period, as it was made."""

    id: UUID
    requested_at: Moment
    requested_by: str
    figures: Figures
