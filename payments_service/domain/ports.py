"""What payments need from the other side, as they see it: providers, the wallet, players' risk."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable
from uuid import UUID

from pydantic import JsonValue

from shared.contracts.commands import Command
from shared.contracts.events import LedgerEvent
from shared.contracts.readings import Check


class Direction(StrEnum):
    """Which way the money goes: to us, to the player, or back to where a deposit came from."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    REFUND = "refund"


class Outcome(StrEnum):
    """What a provider says of a payment, or that it could not be asked."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    REFUNDED = "refunded"
    CHARGED_BACK = "charged_back"
    REINSTATED = "reinstated"


class ProviderRequest(NamedTuple):
    """What is asked of a provider. The payment's id is its idempotency key, the instrument a token."""

    payment_id: UUID
    user_id: int
    amount_minor: int
    currency: str
    method: str
    instrument: str | None


class ProviderAnswer(NamedTuple):
    """What a provider answers. `action` is what the player's client has to do next.

    `disputed_minor` is what a dispute moved. A provider that has disputes says it: a refund may have come back
    meanwhile, and what is left of a deposit by what is known here is not what its provider took.
    """

    outcome: Outcome
    reference: str | None
    reason: str | None
    action: Mapping[str, JsonValue] | None
    disputed_minor: int | None = None


# Of a provider that finds a payment by its own name for it alone, and has not told that yet: only the same request,
# sent again under the same key, tells.
UNNAMED = ProviderAnswer(Outcome.UNKNOWN, None, "no_reference", None)


class ProviderEvent(NamedTuple):
    """What a provider says by itself, over its signature. `of_reference` is the deposit that a refund is of."""

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
    of_reference: str | None = None


class Provider(Protocol):
    """One provider. `refund_only` are those of its methods by which money goes back as refunds of deposits alone.

    Calls raise ServiceUnavailable only where it is certain that nothing was done; all else that fails is UNKNOWN.
    """

    name: str
    methods: frozenset[str]
    refund_only: frozenset[str]

    async def deposit(self, request: ProviderRequest) -> ProviderAnswer:
        """Take money from a player."""

    def can_pay_out(self, method: str, instrument: str | None) -> bool:
        """Whether `pay_out` can send money there."""

    async def pay_out(self, request: ProviderRequest) -> ProviderAnswer:
        """Send money to a player."""

    async def refund(self, request: ProviderRequest, of_reference: str) -> ProviderAnswer:
        """Send some of a deposit back to where it came from."""

    async def look_up(
        self, direction: Direction, payment_id: UUID, reference: str | None, of_reference: str | None = None
    ) -> ProviderAnswer | None:
        """How a payment stands; None where the provider never heard of it, UNNAMED where it cannot be asked.

        `of_reference` is a refund's deposit.
        """

    async def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Sequence[ProviderEvent]:
        """The events of a webhook. Raises Unauthenticated, UnreadableWebhook, OversizedWebhook."""


@runtime_checkable
class Cancels(Protocol):
    """A provider at which a deposit stays open until its player goes on with it, or we cancel it."""

    async def cancel(self, payment_id: UUID, reference: str) -> ProviderAnswer | None:
        """Cancel a deposit that its player has left; how it stands then. Raises ServiceUnavailable."""


@runtime_checkable
class ReportSource(Protocol):
    """Where a provider's settlement report comes from by itself."""

    async def settlement_report(self, currency: str, day: date) -> bytes | None:
        """A day's report as the provider writes it, or None while there is none. Raises ServiceUnavailable."""


class Wallet(Protocol):
    """The wallet as payments see it."""

    async def ask(self, command: Command, within_s: float) -> LedgerEvent | None:
        """As `shared.asking.Asker.ask`."""

    async def check(self, command: Command) -> Check:
        """What the decision on a command would be now. Raises ServiceUnavailable."""

    async def is_blocked(self, user_id: int) -> bool:
        """Whether a player is blocked for fraud now. Raises ServiceUnavailable."""


class Risk(Protocol):
    """How risky a player is."""

    async def is_risky(self, user_id: int) -> bool:
        """Whether somebody has to look before money leaves to this player. Raises ServiceUnavailable."""


class Attendant(Protocol):
    """What is done for a payment at once, after it was saved; what fails is done by the loops."""

    async def attend(self, *payment_ids: UUID) -> None:
        """Do what there is to do now, for one after another. Raises nothing of what others fail with."""

    def wake(self) -> None:
        """Look for what is due now, and wait for nothing."""


class Inbound(Protocol):
    """What keeps providers' events."""

    async def take(self, provider: str, said: Sequence[ProviderEvent]) -> list[str]:
        """Keep what was said, all of it or nothing; returns what became of each: duplicate, or as it is kept."""


class Settling(Protocol):
    """What settles batches."""

    async def settle(self, batch_id: UUID, report: bytes | None) -> None:
        """Match a batch, with this report where there is one. Raises NotFound, InvalidInput, TooLarge."""
