"""What the sandbox is asked, what it keeps, and what it does wrong on demand."""

from enum import StrEnum
from typing import Annotated, NamedTuple
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared import money

Probability = Annotated[float, Field(ge=0, le=1)]


class Direction(StrEnum):
    """Which way the money goes, as the platform sees it."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    REFUND = "refund"


class Outcome(StrEnum):
    """How a payment stands in the books."""

    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CHARGED_BACK = "charged_back"
    REINSTATED = "reinstated"


class Request(BaseModel):
    """A deposit, payout or refund that is asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    payment_id: UUID
    user_id: int = Field(gt=0, lt=2**63)
    amount_minor: int = Field(gt=0, le=money.MAX_AMOUNT_MINOR)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    method: str = Field(pattern=r"^[a-z_]{1,32}$")
    instrument: str | None = Field(default=None, max_length=128)
    # A refund's deposit, by its reference here.
    of_reference: str | None = Field(default=None, max_length=128)


class Faults(BaseModel):
    """What goes wrong, each with its probability, drawn with `seed` so that a run can be had again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    # A webhook is delayed by a time between 0 and this.
    delay_s: float = Field(default=0, ge=0, le=600)
    repeat: Probability = 0
    # The webhooks of a payment go out in the opposite order.
    reorder: Probability = 0
    # A webhook is never sent; a look-up alone tells.
    drop: Probability = 0
    # A webhook that says the opposite goes out as well, under a signature that is nobody's.
    forge: Probability = 0
    # The same, well signed: what the books say can only be looked up.
    contradict: Probability = 0
    decline: Probability = 0
    # It is done, and the answer is 500.
    no_answer: Probability = 0
    # It is not done, and the answer is 503.
    refuse: Probability = 0


class Payment(NamedTuple):
    """One payment in the books. Times are seconds since 1970."""

    payment_id: str
    direction: Direction
    user_id: int
    amount_minor: int
    currency: str
    method: str
    instrument: str | None
    of_reference: str | None
    reference: str
    outcome: Outcome
    reason: str | None
    fee_minor: int
    created_at: float

    def by_paypal(self) -> bool:
        """Whether it goes about as PayPal's do; all others go about as Stripe's."""
        return self.method == "paypal"


class Movement(NamedTuple):
    """What moved of a completed payment later on, and when. `back`: to us. A dispute takes a deposit and may bring it
    back; a payout or a refund comes back.
    """

    payment: Payment
    back: bool
    at: float
