"""After an exclusion or a block is acknowledged no bet and no deposit is accepted, on any instance, whatever moves."""

import asyncio
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from shared import clock
from shared.broker import BrokerOptions
from shared.contracts.commands import Command
from shared.contracts.kinds import Kind, Reason, Status
from tests.reliability.support import Service
from tests.support import Database, as_administrator
from tests.wallet_service.client import Client
from tests.wallet_service.support import command

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(900)]

ROUNDS, PLAYERS = 50, 20
GUEST_DIES, GUEST_RETURNS = 15, 30
LONGEST_PAUSE_S = 0.02
REASONS = {Kind.EXCLUSION: Reason.SELF_EXCLUDED, Kind.FRAUD_BLOCK: Reason.FRAUD_BLOCKED}
BLOCK_ROUNDS = 8
# Whose bet or deposit the wallet accepted behind the exclusion, whatever the client heard.
ACCEPTED_AFTER = """
    SELECT t.user_id, t.position FROM wallet.transactions e JOIN wallet.transactions t
        ON t.lane = e.lane AND t.user_id = e.user_id AND t.position > e.position
    WHERE e.kind IN ('EXCLUSION', 'FRAUD_BLOCK') AND t.kind IN ('GAME_BET', 'DEPOSIT') AND t.status = 'posted'"""


def bet(user_id: int, number: int) -> Command:
    return command(Kind.GAME_BET, 100, user_id, reference_id=f"g-{user_id}-{number}")


async def restrict_and_try(client: Client, kind: Kind, users: range, draw: random.Random) -> int:
    """Restrict players in the middle of their bets, and try to play on as soon as each is told; returns the tries."""
    await client.ask(*(command(Kind.DEPOSIT, 10_000, user_id) for user_id in users))
    until: dict[str, Any] = {"until": clock.utc_now() + timedelta(days=1)} if kind is Kind.EXCLUSION else {}
    restricting = [command(kind, user_id=user_id, **until) for user_id in users]
    await client.send(*(bet(user_id, 1) for user_id in users), asking=False)
    await asyncio.sleep(draw.random() * LONGEST_PAUSE_S)
    await asyncio.gather(client.send(*restricting), client.send(*(bet(each, 2) for each in users), asking=False))
    told = {each.command_id: each.user_id for each in restricting}
    tries: set[UUID] = set()
    tried = 0
    # A reply may come twice while lanes move; it is to its command, and to no other.
    while tried < len(users):
        (reply,) = await client.replies(1)
        assert reply.transaction is not None
        if (user_id := told.pop(reply.command_id, None)) is not None:
            assert reply.transaction.status is Status.POSTED
            await asyncio.sleep(draw.random() * LONGEST_PAUSE_S / len(users))
            again = command(Kind.DEPOSIT, 100, user_id) if draw.random() < 0.3 else bet(user_id, 3)
            tries.add(again.command_id)
            await client.send(again)
        elif reply.command_id in tries:
            tries.remove(reply.command_id)
            assert (reply.transaction.status, reply.transaction.reason) == (Status.REFUSED, REASONS[kind])
            tried += 1
        else:
            assert reply.replayed
    return tried


async def test_a_thousand_tries_to_play_on_after_an_exclusion_are_refused(
    kafka: BrokerOptions, database: Database, service: Callable[..., Service]
) -> None:
    steady, guest = service(), service()
    draw, tried = random.Random(4), 0
    for each in (steady, guest):
        each.start()
    for each in (steady, guest):
        await each.until_ready()
    async with Client(kafka) as client:
        for number in range(ROUNDS):
            if number == GUEST_DIES:
                guest.kill()
            if number == GUEST_RETURNS:
                guest.start()
            first = 1 + number * PLAYERS
            tried += await restrict_and_try(client, Kind.EXCLUSION, range(first, first + PLAYERS), draw)
    assert tried == ROUNDS * PLAYERS
    assert await as_administrator(database, ACCEPTED_AFTER) == []


async def test_tries_to_play_on_after_a_block_for_fraud_are_refused(
    kafka: BrokerOptions, database: Database, service: Callable[..., Service]
) -> None:
    steady, guest = service(), service()
    draw, tried = random.Random(5), 0
    for each in (steady, guest):
        each.start()
    for each in (steady, guest):
        await each.until_ready()
    async with Client(kafka) as client:
        for number in range(BLOCK_ROUNDS):
            if number == BLOCK_ROUNDS // 2:
                guest.kill()
            first = 1 + number * PLAYERS
            tried += await restrict_and_try(client, Kind.FRAUD_BLOCK, range(first, first + PLAYERS), draw)
    assert tried == BLOCK_ROUNDS * PLAYERS
    assert await as_administrator(database, ACCEPTED_AFTER) == []
