"""Commands as the wallet's tests make them, and a wallet in memory that decides them."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database
from shared.contracts.commands import Command
from shared.contracts.kinds import Kind
from shared.lanes import lane_of
from shared.signing import GENESIS, ChainKeys
from wallet_service import repository
from wallet_service.domain.batch import (
    AccountKey,
    Answer,
    Batch,
    Changes,
    DecisionKey,
    HoldKey,
    HouseKey,
    JournalRow,
    LaneState,
    Loaded,
    MovementKey,
    Needs,
    Placed,
    needs,
)
from wallet_service.domain.decisions import Hold, Movement, PlayerAccount

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
CHAIN_KEYS = "k2:" + "b2" * 32 + ",k1:" + "a1" * 32
CHECKPOINT_KEYS = "s1:" + "c3" * 32

_PROVIDER = {Kind.DEPOSIT, Kind.WITHDRAWAL, Kind.WITHDRAWAL_CAPTURE, Kind.CHARGEBACK, Kind.REFUND}
_REFERENCE = {
    *(Kind.GAME_BET, Kind.GAME_PAYOUT, Kind.BET_ROLLBACK, Kind.PAYOUT_ROLLBACK),
    *(Kind.WITHDRAWAL_HOLD, Kind.WITHDRAWAL_CAPTURE, Kind.WITHDRAWAL_RELEASE),
}
_REASON = {Kind.ADJUSTMENT_CREDIT, Kind.ADJUSTMENT_DEBIT}

_ids = itertools.count(1)


def command(kind: Kind, amount_minor: int = 1000, user_id: int = 42, **fields: Any) -> Command:
    """A command with what its kind needs, and an id of its own unless one is given."""
    given: dict[str, Any] = {"command_id": UUID(int=next(_ids)), "currency": "USD", "occurred_at": NOW}
    if kind in _PROVIDER:
        given["provider"] = "stripe"
    if kind in _REFERENCE:
        given["reference_id"] = "game_77"
    if kind in _REASON:
        given |= {"reason": "goodwill", "actor": "ann"}
    return Command(kind=kind, amount_minor=amount_minor, user_id=user_id, **(given | fields))


class MemoryWallet:
    """Decides batches on tables in memory, which load and save as `wallet_service.repository` does."""

    def __init__(self, keys: ChainKeys | None = None) -> None:
        self.keys = keys or ChainKeys.parse(CHAIN_KEYS)
        self.rows: list[JournalRow] = []
        self.lanes: dict[int, LaneState] = {}
        self.accounts: dict[AccountKey, PlayerAccount] = {}
        self.holds: dict[HoldKey, Hold] = {}
        self.cancellations: dict[MovementKey, int] = {}
        self.house: dict[HouseKey, int] = defaultdict(int)

    def take(self, commands: Iterable[Command], lane: int = 0, now: datetime = NOW) -> list[Answer]:
        """Decide one batch of one lane."""
        return self.take_placed([Placed(lane, each) for each in commands], now)

    def take_placed(self, placed: Sequence[Placed], now: datetime = NOW) -> list[Answer]:
        """Decide one batch."""
        batch = Batch(self.load(needs(placed), now), self.keys)
        answers = [batch.answer(lane, each) for lane, each in placed]
        self.save(batch.changes)
        return answers

    def one(self, each: Command, lane: int = 0, now: datetime = NOW) -> Answer:
        """Decide one command by itself."""
        (answer,) = self.take([each], lane, now)
        return answer

    def load(self, needed: Needs, now: datetime = NOW) -> Loaded:
        """What these tables say before a batch."""
        wanted = set(needed.decisions)
        players = set(needed.players)
        decided = {DecisionKey(row.content.lane, row.content.command_id): row for row in self.rows}
        return Loaded(
            now=now,
            lanes={lane: self.lanes.get(lane, LaneState(0, GENESIS)) for lane in needed.lanes},
            decisions={key: row for key, row in decided.items() if key in wanted},
            accounts={key: each for key, each in self.accounts.items() if (key.lane, key.user_id) in players},
            holds={key: self.holds[key] for key in needed.holds if key in self.holds},
            movements=self._movements(needed),
        )

    def save(self, changes: Changes) -> None:
        """What a batch decided becomes what these tables say."""
        self.rows += changes.rows
        self.lanes |= changes.lanes
        self.accounts |= changes.accounts
        self.holds |= changes.holds
        self.cancellations |= {key: each.returned_minor for key, each in changes.cancellations.items()}
        for key, amount in changes.house_minor.items():
            self.house[key] += amount

    def _movements(self, needed: Needs) -> dict[MovementKey, Movement]:
        found: dict[MovementKey, Movement] = {}
        for key in needed.movements:
            posted = [row.content for row in self.rows if _is_of(row, key)]
            if posted:
                currencies = frozenset(row.currency for row in posted)
                found[key] = Movement(currencies, sum(row.amount_minor for row in posted))
        for key in needed.cancellations:
            if key in self.cancellations:
                returned = self.cancellations[key]
                found[key] = found.get(key, Movement())._replace(returned_minor=returned, cancelled=True)
        return found


def _is_of(row: JournalRow, key: MovementKey) -> bool:
    content = row.content
    return content.status == "posted" and key == MovementKey(
        content.lane, content.user_id, Kind(content.kind), content.reference_id or "", content.round_id or ""
    )


async def decide(engine: AsyncEngine, commands: Iterable[Command], lanes: int, keys: ChainKeys) -> list[JournalRow]:
    """Decide one batch on the real tables, each command on its player's lane; returns the rows that it made."""
    placed = [Placed(lane_of(each.user_id, lanes), each) for each in commands]
    async with database.transaction(engine) as connection:
        loaded = await repository.load(connection, needs(placed))
        batch = Batch(loaded, keys)
        for lane, each in placed:
            batch.answer(lane, each)
        offsets = repository.Offsets(dict.fromkeys(range(lanes), 0), {})
        await repository.save(connection, batch.changes, offsets, loaded.now)
    return batch.changes.rows
