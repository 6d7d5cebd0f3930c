"""The commands that the benchmarks decide: a casino's usual mix, from a seed; within every limit."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

from shared.contracts.commands import Command
from shared.contracts.kinds import Kind

PLAYERS = 10_000
_SEED = 11
_MOMENT = datetime(2026, 11, 24, 10, tzinfo=UTC)


def commands(count: int) -> Iterator[Command]:
    """A deposit for every player, then bets, and a payout after every third of them."""
    source = random.Random(_SEED)  # noqa: S311 - a load, not a secret
    for number in range(count):
        user_id = number + 1 if number < PLAYERS else source.randint(1, PLAYERS)
        command_id = UUID(int=source.getrandbits(128), version=4)
        if number < PLAYERS:
            yield Command(
                command_id=command_id,
                kind=Kind.DEPOSIT,
                user_id=user_id,
                amount_minor=1_000_000,
                currency="USD",
                provider="stripe",
                occurred_at=_MOMENT,
            )
        else:
            yield Command(
                command_id=command_id,
                kind=Kind.GAME_PAYOUT if number % 4 == 0 else Kind.GAME_BET,
                user_id=user_id,
                amount_minor=source.randint(1, 500),
                currency="USD",
                reference_id=f"game-{number}",
                round_id=f"r-{number // 4}",
                occurred_at=_MOMENT,
            )
