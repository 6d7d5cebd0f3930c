"""One batch: decisions one after another on a state that moves along, each chained to the row before it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import orjson

from shared.contracts.commands import Command
from shared.contracts.kinds import GAME_KINDS, HOLD_KINDS, ROLLBACKS, Account, Kind, Status
from shared.errors import CommandIdReused
from shared.signing import ChainedRow, ChainKeys
from wallet_service.domain.decisions import Concerned, Decision, Hold, Movement, PlayerAccount, decide


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
    holds: list[HoldKey]
    # Whether a rollback came for it: asked by every bet and payout.
    cancellations: list[MovementKey]
    # What was posted: asked by rollbacks alone, which are few.
    movements: list[MovementKey]


@dataclass(slots=True)
class Loaded:
    """What the database says before the batch."""

    now: datetime
    lanes: dict[int, LaneState]
    decisions: dict[DecisionKey, JournalRow]
    accounts: dict[AccountKey, PlayerAccount]
    holds: dict[HoldKey, Hold]
    movements: dict[MovementKey, Movement]


@dataclass(slots=True)
class Changes:
    """What the database has to take after the batch: whole new states, and increments for house accounts."""

    rows: list[JournalRow] = field(default_factory=list)
    lanes: dict[int, LaneState] = field(default_factory=dict)
    accounts: dict[AccountKey, PlayerAccount] = field(default_factory=dict)
    holds: dict[HoldKey, Hold] = field(default_factory=dict)
    cancellations: dict[MovementKey, Movement] = field(default_factory=dict)
    house_minor: dict[HouseKey, int] = field(default_factory=lambda: defaultdict(int))


def needs(batch: Iterable[Placed]) -> Needs:
    """What to load, without repetition, in a stable order."""
    lanes: dict[int, None] = {}
    decisions: dict[DecisionKey, None] = {}
    players: dict[tuple[int, int], None] = {}
    holds: dict[HoldKey, None] = {}
    cancellations: dict[MovementKey, None] = {}
    movements: dict[MovementKey, None] = {}
    for lane, command in batch:
        lanes[lane] = None
        decisions[DecisionKey(lane, command.command_id)] = None
        players[lane, command.user_id] = None
        if command.kind in HOLD_KINDS:
            holds[_hold_key(lane, command)] = None
        elif command.kind in GAME_KINDS:
            cancellations[_movement_key(lane, command, Kind.GAME_BET)] = None
            own = _movement_key(lane, command, ROLLBACKS.get(command.kind, command.kind))
            cancellations[own] = None
            if command.kind in ROLLBACKS:
                movements[own] = None
    return Needs(sorted(lanes), list(decisions), list(players), list(holds), list(cancellations), list(movements))


class Batch:
    """The state of one batch. Commands of a lane are decided in the order in which they are given."""

    def __init__(self, loaded: Loaded, keys: ChainKeys) -> None:
        self._now = loaded.now
        self._keys = keys
        self._lanes = loaded.lanes
        self._decisions = loaded.decisions
        self._accounts = loaded.accounts
        self._holds = loaded.holds
        self._movements = loaded.movements
        self.changes = Changes()

    def answer(self, lane: int, command: Command) -> Answer:
        """The decision on a command: the one that is there, or a new one.

        Raises CommandIdReused where the id was decided with other content.
        """
        key = DecisionKey(lane, command.command_id)
        existing = self._decisions.get(key)
        if existing is not None:
            _same_command(command, existing.content)
            return Answer(existing, replayed=True)
        row = self._chained(lane, command, self._decided(lane, command))
        self._decisions[key] = row
        return Answer(row, replayed=False)

    def _decided(self, lane: int, command: Command) -> Decision:
        account_key = AccountKey(lane, command.user_id, command.currency)
        account = self._accounts.get(account_key, PlayerAccount())
        kind = command.kind
        if kind in GAME_KINDS:
            movement_key = _movement_key(lane, command, ROLLBACKS.get(kind, kind))
            bet = self._movements.get(_movement_key(lane, command, Kind.GAME_BET), Movement())
            movement = self._movements.get(movement_key, Movement())
            concerned = Concerned(account, movement=movement, bet_cancelled=bet.cancelled)
        elif kind in HOLD_KINDS:
            concerned = Concerned(account, hold=self._holds.get(_hold_key(lane, command)))
        else:
            concerned = Concerned(account)
        decision = decide(command, concerned, self._now)
        if decision.account != account:
            self._accounts[account_key] = self.changes.accounts[account_key] = decision.account
        if decision.hold is not None:
            hold_key = _hold_key(lane, command)
            self._holds[hold_key] = self.changes.holds[hold_key] = decision.hold
        if decision.movement is not None:
            self._movements[movement_key] = decision.movement
            if kind in ROLLBACKS:
                self.changes.cancellations[movement_key] = decision.movement
        if decision.status is Status.POSTED:
            self._fold_house(lane, command, decision)
        return decision

    def _fold_house(self, lane: int, command: Command, decision: Decision) -> None:
        for account, amount in (
            (decision.entry.debit, -decision.amount_minor),
            (decision.entry.credit, decision.amount_minor),
        ):
            name = house_name(account, command.provider)
            if name is not None and amount:
                self.changes.house_minor[HouseKey(lane, name, command.currency)] += amount

    def _chained(self, lane: int, command: Command, decision: Decision) -> JournalRow:
        position, head = self._lanes[lane]
        content = ChainedRow(
            lane,
            position + 1,
            command.command_id,
            str(command.kind),
            str(decision.status),
            str(decision.reason) if decision.reason else None,
            command.user_id,
            decision.amount_minor,
            command.currency,
            str(decision.entry.debit),
            str(decision.entry.credit),
            command.provider,
            command.reference_id,
            command.round_id,
            command.reason,
            command.actor,
            decision.account.cash_minor,
            decision.account.reserved_minor,
            orjson.dumps(decision.facts, option=orjson.OPT_SORT_KEYS).decode() if decision.facts else None,
            command.occurred_at,
            self._now,
            self._keys.current,
        )
        row = JournalRow(content, self._keys.checksum(head, content))
        self._lanes[lane] = self.changes.lanes[lane] = LaneState(position + 1, row.checksum)
        self.changes.rows.append(row)
        return row


def house_name(account: Account, provider: str | None) -> str | None:
    """The name of a house account; None for a player's own accounts."""
    if account in (Account.CASH, Account.RESERVED):
        return None
    return f"{account.value}:{provider}" if account is Account.CLEARING else account.value


def _hold_key(lane: int, command: Command) -> HoldKey:
    assert command.reference_id is not None
    return HoldKey(lane, command.user_id, command.reference_id)


def _movement_key(lane: int, command: Command, kind: Kind) -> MovementKey:
    assert command.reference_id is not None
    return MovementKey(lane, command.user_id, kind, command.reference_id, command.round_id or "")


def asked_minor(row: ChainedRow) -> int:
    """What the command of a row asked for: more than it moved only where a rollback found nothing to move."""
    facts: Mapping[str, int] = orjson.loads(row.facts) if row.facts else {}
    return facts.get("asked_minor", row.amount_minor)


def _same_command(command: Command, row: ChainedRow) -> None:
    # Not compared: the times and the actor, which differ between honest repetitions of one command.
    for name, now, then in (
        ("kind", str(command.kind), row.kind),
        ("user_id", command.user_id, row.user_id),
        ("amount", command.amount_minor, asked_minor(row)),
        ("currency", command.currency, row.currency),
        ("reference_id", command.reference_id, row.reference_id),
        ("round_id", command.round_id, row.round_id),
        ("provider", command.provider, row.provider),
        ("reason", command.reason, row.stated_reason),
    ):
        if now != then:
            raise CommandIdReused(name)
