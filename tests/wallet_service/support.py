"""Commands as the wallet's tests make them, and a wallet in memory that decides them."""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from shared import database
from shared.contracts.commands import Command
from shared.contracts.kinds import Kind
from shared.contracts.replies import Reply
from shared.lanes import lane_of
from shared.signing import GENESIS, ChainKeys
from wallet_service import repository
from wallet_service.domain.batch import Batch
from wallet_service.domain.limits import PlayerLimit, Rules, Totals, Window
from wallet_service.domain.needs import (
    AccountKey,
    Answer,
    Changes,
    DecisionKey,
    HeldKey,
    HoldKey,
    HouseKey,
    JournalRow,
    LaneState,
    LimitKey,
    Loaded,
    MovementKey,
    Needs,
    Placed,
    needs,
)
from wallet_service.domain.restrictions import Restrictions
from wallet_service.domain.state import DisputeState, Hold, Movement, PlayerAccount
from wallet_service.settings import LimitSettings

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
CHAIN_KEYS = "k2:" + "b2" * 32 + ",k1:" + "a1" * 32
CHECKPOINT_KEYS = "s1:" + "c3" * 32

# Limits that are far away, for what is not about them; USD and EUR.
_FAR = {
    "daily_deposit_limit": "9000000000",
    "daily_loss_limit": "9000000000",
    "weekly_loss_limit": "9000000000",
    "monthly_loss_limit": "9000000000",
    "max_bet_amount": "9000000000",
    "max_payout_amount": "9000000000",
    "withdrawal_cooldown_seconds": 0,
}
_NAMES = {name.upper(): value for name, value in _FAR.items() if name != "withdrawal_cooldown_seconds"}
FAR_LIMITS: dict[str, Any] = {**_FAR, "jurisdiction": "none", "currency_limits": {"EUR": _NAMES, "JPY": _NAMES}}
RULES = LimitSettings(**FAR_LIMITS).rules()
FAR_LIMITS_ENVIRONMENT = {
    name.upper(): value if isinstance(value, str) else json.dumps(value) for name, value in FAR_LIMITS.items()
}

_PROVIDER = {Kind.DEPOSIT, Kind.WITHDRAWAL, Kind.WITHDRAWAL_CAPTURE, Kind.CHARGEBACK, Kind.REFUND}
_OTHER = {Kind.REVERSAL, Kind.DISPUTE, Kind.DISPUTE_RESOLUTION}
_LIMIT = {
    *(Kind.LIMIT_OVERRIDE, Kind.LIMIT_OVERRIDE_REMOVAL),
    *(Kind.LIMIT_REQUEST, Kind.LIMIT_CONFIRMATION, Kind.LIMIT_REVOCATION),
}
_REFERENCE = {
    *(Kind.GAME_BET, Kind.GAME_PAYOUT, Kind.BET_ROLLBACK, Kind.PAYOUT_ROLLBACK),
    *(Kind.WITHDRAWAL_HOLD, Kind.WITHDRAWAL_CAPTURE, Kind.WITHDRAWAL_RELEASE),
    Kind.PAYOUT_RELEASE,
}
ABOUT_PLAYERS = {Kind.EXCLUSION: "TEMPORARY", Kind.EXCLUSION_END: "TEMPORARY", Kind.KYC_TIER: "VERIFIED"}
BLOCKS = {Kind.FRAUD_BLOCK, Kind.FRAUD_UNBLOCK}
_REASON = {
    *ABOUT_PLAYERS,
    *BLOCKS,
    *(Kind.ADJUSTMENT_CREDIT, Kind.ADJUSTMENT_DEBIT, Kind.PAYOUT_RELEASE),
    *(Kind.LIMIT_OVERRIDE, Kind.LIMIT_OVERRIDE_REMOVAL),
    *_OTHER,
}

_ids = itertools.count(1)


def command(kind: Kind, amount_minor: int = 1000, user_id: int = 42, **fields: Any) -> Command:
    """A command with what its kind needs, and an id of its own unless one is given."""
    given: dict[str, Any] = {"command_id": UUID(int=next(_ids)), "currency": "USD", "occurred_at": NOW}
    if kind in _PROVIDER:
        given["provider"] = "stripe"
    if kind in _REFERENCE:
        given["reference_id"] = "game_77"
    if kind in _OTHER:
        given["reference_id"] = str(UUID(int=1))
    if kind in _LIMIT:
        given["reference_id"] = "DAILY_LOSS_LIMIT"
    if kind in ABOUT_PLAYERS:
        given |= {"currency": "XXX", "reference_id": ABOUT_PLAYERS[kind]}
        amount_minor = 0
    if kind in BLOCKS:
        given["currency"], amount_minor = "XXX", 0
    if kind is Kind.EXCLUSION:
        given["until"] = NOW + timedelta(days=1)
    if kind in _REASON:
        given |= {"reason": "goodwill", "actor": "ann"}
    return Command(kind=kind, amount_minor=amount_minor, user_id=user_id, **(given | fields))


def fresh(kind: Kind = Kind.DEPOSIT, amount_minor: int = 1000, user_id: int = 42, **fields: Any) -> Command:
    """A command with an id that no other test has used."""
    return command(kind, amount_minor, user_id, command_id=uuid4(), **fields)


def decision(reply: Reply) -> tuple[str, str | None]:
    """The status and the reason of what was decided."""
    assert reply.transaction is not None
    return reply.transaction.status, reply.transaction.reason


async def all_published(reads: repository.Reads, lane: int, position: int) -> bool:
    """Whether a lane's rows up to that position, and no others, were published."""
    return [mark.published for mark in await reads.lanes() if mark.lane == lane] == [position]


class MemoryWallet:
    """Decides batches on tables in memory, which load and save as `wallet_service.repository` does."""

    def __init__(self, keys: ChainKeys | None = None, rules: Rules | None = None) -> None:
        self.keys = keys or ChainKeys.parse(CHAIN_KEYS)
        self.rules = rules or RULES
        self.rows: list[JournalRow] = []
        self.lanes: dict[int, LaneState] = {}
        self.accounts: dict[AccountKey, PlayerAccount] = {}
        self.holds: dict[HoldKey, Hold] = {}
        self.cancellations: dict[MovementKey, int] = {}
        self.house: dict[HouseKey, int] = defaultdict(int)
        self.held: dict[HeldKey, int] = defaultdict(int)
        self.limits: dict[LimitKey, PlayerLimit] = {}
        self.restrictions: dict[tuple[int, int], Restrictions] = {}
        self.openings: dict[tuple[AccountKey, datetime], Totals] = {}
        self.disputes: dict[DecisionKey, DisputeState] = {}

    def take(self, commands: Iterable[Command], lane: int = 0, now: datetime = NOW) -> list[Answer]:
        """Decide one batch of one lane."""
        return self.take_placed([Placed(lane, each) for each in commands], now)

    def take_placed(self, placed: Sequence[Placed], now: datetime = NOW) -> list[Answer]:
        """Decide one batch."""
        batch = Batch(self.load(needs(placed), now), self.keys, self.rules)
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
            openings={key: found for key in needed.counted if (found := self._opened(key, now))},
            limits={key: each for key, each in self.limits.items() if (key.lane, key.user_id) in players},
            restrictions={key: self.restrictions[key] for key in needed.players if key in self.restrictions},
            holds={key: self.holds[key] for key in needed.holds if key in self.holds},
            movements=self._movements(needed),
            held_minor={key: self.held[key] for key in needed.held if key in self.held},
            reversed_minor={
                original: self.cancellations[key]
                for key, original in needed.originals.items()
                if key in self.cancellations
            },
            disputes={key: self.disputes[key] for key in needed.originals.values() if key in self.disputes},
        )

    def _opened(self, account: AccountKey, now: datetime) -> dict[Window, Totals]:
        found: dict[Window, Totals] = {}
        for window in Window:
            starts_at = self.rules.windows.start(window, now)
            since = [at for key, at in self.openings if key == account and at >= starts_at]
            if since:
                found[window] = self.openings[account, min(since)]
        return found

    def save(self, changes: Changes) -> None:
        """What a batch decided becomes what these tables say."""
        self.rows += changes.rows
        self.lanes |= changes.lanes
        self.accounts |= changes.accounts
        self.holds |= changes.holds
        self.cancellations |= {key: each.returned_minor for key, each in changes.cancellations.items()}
        for key, amount in changes.house_minor.items():
            self.house[key] += amount
        for payouts, held in changes.held_minor.items():
            self.held[payouts] += held
        self.limits |= changes.limits
        self.restrictions |= changes.restrictions
        for account, posted_at, totals in changes.backdated:
            for opened, at in self.openings:
                if opened == account and at > posted_at:
                    self.openings[opened, at] = self.openings[opened, at].plus(totals, times=-1)
        for account, (opened_at, totals) in changes.openings.items():
            assert (account, opened_at) not in self.openings
            self.openings[account, opened_at] = totals
        for change in changes.disputes:
            self.disputes[DecisionKey(change.row.content.lane, change.disputed)] = change.state

    def _movements(self, needed: Needs) -> dict[MovementKey, Movement]:
        found: dict[MovementKey, Movement] = {}
        for key in needed.movements:
            posted = [row.content for row in self.rows if _is_of(row, key)]
            if posted:
                currencies = frozenset(row.currency for row in posted)
                found[key] = Movement(
                    currencies,
                    sum(row.amount_minor for row in posted),
                    posted_at=max(row.created_at for row in posted),
                )
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


async def decide(
    engine: AsyncEngine, commands: Iterable[Command], lanes: int, keys: ChainKeys, rules: Rules | None = None
) -> list[JournalRow]:
    """Decide one batch on the real tables, each command on its player's lane; returns the rows that it made."""
    placed = [Placed(lane_of(each.user_id, lanes), each) for each in commands]
    rules = rules or RULES
    async with database.transaction(engine) as connection:
        loaded = await repository.load(connection, needs(placed), rules.windows)
        batch = Batch(loaded, keys, rules)
        for lane, each in placed:
            batch.answer(lane, each)
        offsets = repository.Offsets(dict.fromkeys(range(lanes), 0), {})
        await repository.save(connection, batch.changes, offsets, loaded.now)
    return batch.changes.rows
