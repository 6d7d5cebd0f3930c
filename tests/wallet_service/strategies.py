"""Streams of commands in which everything happens: few players, few references, small amounts, so that they meet."""

from datetime import timedelta
from uuid import UUID

from hypothesis import strategies as st

from shared.contracts.commands import Command
from shared.contracts.kinds import MOVES_NOTHING, Kind
from tests.wallet_service.support import NOW, command

PLAYERS = (7, 42)
LATER = MOVES_NOTHING | {Kind.REVERSAL, Kind.PAYOUT_RELEASE}
# Deposits and bets are most of what a wallet hears; without them nothing else has anything to move.
KINDS = [
    *(kind for kind in Kind if kind not in LATER),
    Kind.DEPOSIT,
    Kind.DEPOSIT,
    Kind.GAME_BET,
    Kind.GAME_BET,
    Kind.BET_ROLLBACK,
]


@st.composite
def commands(draw: st.DrawFn) -> Command:
    """One command. Its id is the caller's to make unique."""
    kind = draw(st.sampled_from(KINDS))
    fields: dict[str, object] = {"currency": draw(st.sampled_from(["USD", "USD", "USD", "EUR"]))}
    if kind not in (Kind.DEPOSIT, Kind.WITHDRAWAL):
        fields["reference_id"] = draw(st.sampled_from(["a", "b"]))
        fields["round_id"] = draw(st.sampled_from([None, "r1"]))
    late_s = draw(st.sampled_from([None] * 8 + [-1, 0, 60]))
    if late_s is not None:
        fields["expires_at"] = NOW + timedelta(seconds=late_s)
    return command(kind, draw(st.integers(1, 9)) * 100, draw(st.sampled_from(PLAYERS)), **fields)


def streams(min_size: int = 1, max_size: int = 30) -> st.SearchStrategy[list[Command]]:
    """A stream of commands, each with an id of its own."""
    return st.lists(commands(), min_size=min_size, max_size=max_size).map(
        lambda made: [each.model_copy(update={"command_id": UUID(int=n)}) for n, each in enumerate(made, start=1)]
    )
