"""What a batch needs from the database before it can be decided, and what it gives back after."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from shared.contracts.commands import Command
from shared.contracts.kinds import GAME_KINDS, HOLD_KINDS, NEEDS_ORIGINAL, ROLLBACKS, Kind
from shared.contracts.limits import LimitName
from shared.signing import ChainedRow
from wallet_service.domain.limits import PlayerLimit, Totals, Window
from wallet_service.domain.restrictions import Restrictions
from wallet_service.domain.state import DisputeState, Hold, Movement, PlayerAccount


class Placed(NamedTuple):
    """A command and the lane it came on."""

    lane: int
    command: Command


class JournalRow(NamedTuple):
    """One row of the journal."""

    content: ChainedRow
    checksum: bytes


class LaneState(NamedTuple):
    """Where a lane stands: its last position, and that row's checksum."""

    position: int
    head: bytes


class AccountKey(NamedTuple):
    """One player's account in one currency."""

    lane: int
    user_id: int
    currency: str


class HoldKey(NamedTuple):
    """One hold: named by the payment's reference."""

    lane: int
    user_id: int
    reference_id: str


class MovementKey(NamedTuple):
    """The bets, or the payouts, of one reference in one round. No round is the empty text."""

    lane: int
    user_id: int
    kind: Kind
    reference_id: str
    round_id: str


class LimitKey(NamedTuple):
    """One limit of a player in one currency."""

    lane: int
    user_id: int
    name: LimitName
    currency: str


class Opening(NamedTuple):
    """An account's totals when a period began in which something was counted."""

    opened_at: datetime
    totals: Totals


class Backdated(NamedTuple):
    """What is counted back on an account: in the openings of earlier batches, of those after it had been counted."""

    account: AccountKey
    posted_at: datetime
    totals: Totals


class DisputeChange(NamedTuple):
    """The row that opened or resolved a dispute, and the transaction that it is about."""

    disputed: UUID
    state: DisputeState
    row: "JournalRow"


class HeldKey(NamedTuple):
    """The held payouts of one reference in one round and currency. No round is the empty text."""

    lane: int
    user_id: int
    currency: str
    reference_id: str
    round_id: str


class HouseKey(NamedTuple):
    """One of the operator's accounts on one lane, such as `revenue` or `clearing:stripe`."""

    lane: int
    account: str
    currency: str


class DecisionKey(NamedTuple):
    """A command id, unique on its lane."""

    lane: int
    command_id: UUID


class Answer(NamedTuple):
    """The row that decides a command. `replayed`: an earlier delivery made it."""

    row: JournalRow
    replayed: bool


class Needs(NamedTuple):
    """What has to be loaded before the commands of a batch can be decided."""

    lanes: list[int]
    decisions: list[DecisionKey]
    players: list[tuple[int, int]]
    # Accounts on which something may be deposited or bet: what their windows have already.
    counted: list[AccountKey]
    holds: list[HoldKey]
    # What may be reversed or disputed, by where it is kept what was reversed of it: with the player that asks.
    originals: dict[MovementKey, DecisionKey]
    # Whether a rollback came for it: asked by every bet and payout.
    cancellations: list[MovementKey]
    # What was posted, and what of it is held: asked by rollbacks and releases alone, which are few.
    movements: list[MovementKey]
    held: list[HeldKey]


@dataclass(slots=True)
class Loaded:
    """What the database says before the batch."""

    now: datetime
    lanes: dict[int, LaneState]
    decisions: dict[DecisionKey, JournalRow]
    accounts: dict[AccountKey, PlayerAccount]
    openings: dict[AccountKey, dict[Window, Totals]]
    limits: dict[LimitKey, PlayerLimit]
    # By lane and player.
    restrictions: dict[tuple[int, int], Restrictions]
    holds: dict[HoldKey, Hold]
    movements: dict[MovementKey, Movement]
    held_minor: dict[HeldKey, int]
    # What was reversed of a transaction, and how its dispute stands. The transactions are among the decisions.
    reversed_minor: dict[DecisionKey, int]
    disputes: dict[DecisionKey, DisputeState]

    @classmethod
    def nothing(cls, now: datetime) -> "Loaded":
        """What a database says that has decided nothing yet."""
        return cls(now, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {})


@dataclass(slots=True)
class Changes:
    """What the database has to take after the batch: whole new states, and increments for house accounts and for what
    is held of payouts."""

    rows: list[JournalRow] = field(default_factory=list)
    lanes: dict[int, LaneState] = field(default_factory=dict)
    accounts: dict[AccountKey, PlayerAccount] = field(default_factory=dict)
    holds: dict[HoldKey, Hold] = field(default_factory=dict)
    cancellations: dict[MovementKey, Movement] = field(default_factory=dict)
    house_minor: dict[HouseKey, int] = field(default_factory=lambda: defaultdict(int))
    held_minor: dict[HeldKey, int] = field(default_factory=lambda: defaultdict(int))
    limits: dict[LimitKey, PlayerLimit] = field(default_factory=dict)
    restrictions: dict[tuple[int, int], Restrictions] = field(default_factory=dict)
    openings: dict[AccountKey, Opening] = field(default_factory=dict)
    backdated: list[Backdated] = field(default_factory=list)
    disputes: list[DisputeChange] = field(default_factory=list)


def needs(batch: Iterable[Placed]) -> Needs:
    """What to load, without repetition, in a stable order."""
    lanes: dict[int, None] = {}
    decisions: dict[DecisionKey, None] = {}
    players: dict[tuple[int, int], None] = {}
    counted: dict[AccountKey, None] = {}
    holds: dict[HoldKey, None] = {}
    originals: dict[MovementKey, DecisionKey] = {}
    cancellations: dict[MovementKey, None] = {}
    movements: dict[MovementKey, None] = {}
    held: dict[HeldKey, None] = {}
    for lane, command in batch:
        kind = command.kind
        lanes[lane] = None
        decisions[DecisionKey(lane, command.command_id)] = None
        players[lane, command.user_id] = None
        if kind in _CHECKED:
            counted[account_key(lane, command)] = None
        if kind in HOLD_KINDS:
            holds[hold_key(lane, command)] = None
        elif kind in GAME_KINDS:
            cancellations[movement_key(lane, command, Kind.GAME_BET)] = None
            own = movement_key(lane, command, ROLLBACKS.get(kind, kind))
            cancellations[own] = None
            if kind in ROLLBACKS:
                movements[own] = None
        elif kind in NEEDS_ORIGINAL:
            original = original_key(lane, command)
            originals[reversal_key(original, command.user_id)] = original
            decisions[original] = None
        if kind in _TAKES_HELD:
            held[held_key(lane, command)] = None
    return Needs(
        sorted(lanes),
        list(decisions),
        list(players),
        list(counted),
        list(holds),
        originals,
        list(cancellations),
        list(movements),
        list(held),
    )


# What a limit on deposits or losses is asked about.
_CHECKED = frozenset({Kind.DEPOSIT, Kind.GAME_BET})
# What may take from a payout that is held.
_TAKES_HELD = frozenset({Kind.PAYOUT_ROLLBACK, Kind.PAYOUT_RELEASE})


def account_key(lane: int, command: Command) -> AccountKey:
    """The account that a command moves."""
    return AccountKey(lane, command.user_id, command.currency)


def original_key(lane: int, command: Command) -> DecisionKey:
    """The transaction that a reversal or dispute is about."""
    assert command.reference_id is not None
    return DecisionKey(lane, UUID(command.reference_id))


def limit_key(lane: int, command: Command) -> LimitKey:
    """The limit that a command is about."""
    assert command.reference_id is not None
    return LimitKey(lane, command.user_id, LimitName(command.reference_id), command.currency)


def reversal_key(original: DecisionKey, user_id: int) -> MovementKey:
    """Where it is kept what was reversed of a transaction: among what was taken back, under the transaction's id."""
    return MovementKey(original.lane, user_id, Kind.REVERSAL, str(original.command_id), "")


def hold_key(lane: int, command: Command) -> HoldKey:
    """The hold that a command is about."""
    assert command.reference_id is not None
    return HoldKey(lane, command.user_id, command.reference_id)


def movement_key(lane: int, command: Command, kind: Kind) -> MovementKey:
    """The bets, or the payouts, that a command is about."""
    assert command.reference_id is not None
    return MovementKey(lane, command.user_id, kind, command.reference_id, command.round_id or "")


def held_key(lane: int, command: Command) -> HeldKey:
    """The held payouts that a command is about."""
    assert command.reference_id is not None
    return HeldKey(lane, command.user_id, command.currency, command.reference_id, command.round_id or "")
