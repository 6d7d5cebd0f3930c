"""What the payments rooms need from whoever moves the money outside, as they see it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol
from uuid import UUID

from pydantic import JsonValue


class Direction(StrEnum):
    """Which way the money goes: to us, to the player, or back to where a deposit came from."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    REFUND = "refund"


class Outcome(StrEnum):
    """How a payment stands at its provider. UNKNOWN: it may have happened, and has to be looked up."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    REFUNDED = "refunded"
    CHARGED_BACK = "charged_back"


class ProviderRequest(NamedTuple):
    """One movement that a provider is asked for. `payment_id` is its idempotency key there."""

    payment_id: UUID
    user_id: int
    amount_minor: int
    currency: str
    method: str
    instrument: str | None  # a token


class ProviderAnswer(NamedTuple):
    """What a provider says of one payment."""

    outcome: Outcome
    reference: str | None
    reason: str | None
    action: Mapping[str, JsonValue] | None  # what the player's client has to do next


class ProviderEvent(NamedTuple):
    """What one webhook says of one payment. `reference` is the provider's name of what the event is about."""

    event_id: str
    payment_id: UUID | None
    reference: str | None
    direction: Direction
    outcome: Outcome
    amount_minor: int | None
    currency: str | None
    fee_minor: int | None
    reason: str | None
    instrument: str | None
    last4: str | None
    occurred_at: datetime


class Provider(Protocol):
    """A payment provider. Calls raise ServiceUnavailable only where it is certain that nothing was done."""

    name: str
    methods: frozenset[str]

    async def deposit(self, request: ProviderRequest) -> ProviderAnswer:
        """Take the amount from the player. May be asked again."""

    async def pay_out(self, request: ProviderRequest) -> ProviderAnswer:
        """Send the amount to the player's instrument. May be asked again."""

    async def refund(self, request: ProviderRequest, of_reference: str) -> ProviderAnswer:
        """Send the amount back to where a deposit came from. May be asked again."""

    async def look_up(self, direction: Direction, payment_id: UUID, reference: str | None) -> ProviderAnswer | None:
        """How a payment stands; None: the provider never heard of it."""

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Sequence[ProviderEvent]:
        """What a webhook says, which may be nothing of interest. Raises Unauthenticated, InvalidInput, TooLarge."""
