"""What the endpoints need from the other side, as they see it."""

from typing import Protocol
from uuid import UUID

from shared.contracts.commands import Command
from shared.contracts.replies import Reply


class Asked(Protocol):
    """A command that is on its way."""

    async def reply(self, within_s: float) -> Reply | None:
        """The wallet's reply, or None where it did not come in time: the command is on Kafka, and will be decided.

        Raises BrokerUnavailable where Kafka did not take the command: it may still arrive, and the same idempotency
        key finds out.
        """


class WalletLink(Protocol):
    """The way to the wallet and back."""

    async def ask(self, command: Command, *, request_id: str, traceparent: str | None = None) -> Asked:
        """Send a command. Commands of one player are decided in the order in which they are asked.

        Raises ServiceUnavailable or BrokerUnavailable at once while the wallet or Kafka is known to be away, and
        CommandIdReused where this id was lately used for another player.
        """

    def pending(self, command_id: UUID) -> Command | None:
        """A command that was asked here and is not known to be decided."""
