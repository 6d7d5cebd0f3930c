"""Asking the wallet over Kafka, for services that take no replies: a command out, and its decision read back."""

import asyncio
from typing import Protocol

import httpx2
from pydantic import ValidationError

from shared.broker import Publisher
from shared.contracts import topics
from shared.contracts.commands import Command, encode
from shared.contracts.events import LedgerEvent
from shared.contracts.headers import COMMAND_TYPE, cloud_event
from shared.errors import ServiceUnavailable
from shared.lanes import key_of

FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.25
# The last look has a moment for its answer, however little of the bound is left.
SHORTEST_LOOK_S = 0.1


class Asker(Protocol):
    """The wallet as its askers see it."""

    async def ask(self, command: Command, within_s: float) -> LedgerEvent | None:
        """The decision on a command, or None where there is none within the bound: it may still come.

        Raises BrokerUnavailable where Kafka did not take the command in time (it may still arrive), and
        ServiceUnavailable where the wallet service does not answer.
        """


class WalletAsker:
    """Publishes commands and looks up their decisions. A command may be asked any number of times: its id is one."""

    def __init__(self, publisher: Publisher, wallet: httpx2.AsyncClient, *, source: str) -> None:
        self._publisher = publisher
        self._wallet = wallet
        self._source = source

    async def ask(self, command: Command, within_s: float) -> LedgerEvent | None:
        """As `Asker.ask`."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + within_s
        await self._publisher.publish(
            topics.WALLET_COMMANDS,
            key=key_of(command.user_id),
            value=encode(command),
            headers=cloud_event(
                event_id=str(command.command_id),
                event_type=COMMAND_TYPE,
                source=self._source,
                subject=str(command.user_id),
                time=command.occurred_at,
            ),
            timeout_s=within_s,
        )
        pause_s = FIRST_PAUSE_S
        while (left_s := ends_at - loop.time()) > 0:
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            decision = await self._decision(command, max(ends_at - loop.time(), SHORTEST_LOOK_S))
            if decision is not None:
                return decision
        return None

    async def _decision(self, command: Command, within_s: float) -> LedgerEvent | None:
        try:
            response = await self._wallet.get(f"/transactions/{command.command_id}", timeout=within_s)
        except httpx2.TransportError as error:
            raise ServiceUnavailable(f"the wallet service does not answer: {type(error).__name__}") from error
        if response.status_code == httpx2.codes.NOT_FOUND:
            return None
        if response.status_code != httpx2.codes.OK:
            raise ServiceUnavailable(f"the wallet service answers {response.status_code}")
        try:
            return LedgerEvent.model_validate_json(response.content)
        except ValidationError as error:
            raise ServiceUnavailable("the wallet service answers in a form that is not the contract's") from error
