"""What a provider asks for a payment, as an event of `payments.events.v1` says it.

Read tolerantly: an event that names no fee is passed by, whatever its type.
"""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.fields import MAX_INT64, Currency, Moment, Provider


class PaymentFee(BaseModel):
    """The fee of one payment, in minor units. A later event of the same payment replaces it."""

    model_config = ConfigDict(frozen=True, extra="ignore", title="PaymentFee")

    payment_id: UUID
    provider: Provider
    currency: Currency
    fee_minor: int = Field(ge=0, le=MAX_INT64)
    occurred_at: Moment
