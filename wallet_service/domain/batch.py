"""One batch: decisions one after another on a state that moves along, each chained to the row before it."""

from collections.abc import Mapping
from datetime import datetime

import orjson

from shared.contracts.commands import Command
from shared.contracts.kinds import (
    GAME_KINDS,
    HOLD_KINDS,
    LIMIT_KINDS,
    NEEDS_ORIGINAL,
    ROLLBACKS,
    Account,
    Entry,
    Kind,
    Status,
)
from shared.contracts.limits import LimitName
from shared.errors import CommandIdReused
from shared.signing import ChainedRow, ChainKeys
from wallet_service.domain.decisions import decide
from wallet_service.domain.limits import NO_PLAYER_LIMIT, Rules, Standing, Totals, Values, Window
from wallet_service.domain.needs import (
    AccountKey,
    Answer,
    Backdated,
    Changes,
    DecisionKey,
    DisputeChange,
    HouseKey,
    JournalRow,
    LaneState,
    LimitKey,
    Loaded,
    Opening,
    account_key,
    held_key,
    hold_key,
    limit_key,
    movement_key,
    original_key,
    reversal_key,
)
from wallet_service.domain.restrictions import UNRESTRICTED
from wallet_service.domain.state import Concerned, Decision, DisputeState, Movement, Original, PlayerAccount

_ABOUT_PAYOUTS = frozenset({Kind.GAME_PAYOUT, Kind.PAYOUT_ROLLBACK})
_WINDOWS = tuple(Window)
_NO_ACCOUNT, _NO_MOVEMENT = PlayerAccount(), Movement()


class Batch:
    """The state of one batch. Commands of a lane are decided in the order in which they are given."""

    def __init__(self, loaded: Loaded, keys: ChainKeys, rules: Rules) -> None:
        self._now = loaded.now
        self._keys = keys
        self._rules = rules
        self._lanes = loaded.lanes
        self._decisions = loaded.decisions
        self._accounts = loaded.accounts
        self._openings = loaded.openings
        self._limits = loaded.limits
        self._restrictions = loaded.restrictions
        self._holds = loaded.holds
        self._movements = loaded.movements
        self._held_minor = loaded.held_minor
        self._reversed_minor = loaded.reversed_minor
        self._disputes = loaded.disputes
        self._starts = {window: rules.windows.start(window, loaded.now) for window in Window}
        self._began: dict[AccountKey, dict[Window, Totals]] = {}
        self._values: dict[AccountKey, Values | None] = {}
        self._base: dict[str, Values | None] = {}
        self._limited = {(key.lane, key.user_id) for key in loaded.limits}
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
        concerned = self._concerned(lane, command)
        decision = decide(command, concerned, self._now)
        row = self._chained(lane, command, decision)
        self._keep(lane, command, concerned, decision, row)
        self._decisions[key] = row
        return Answer(row, replayed=False)

    def consider(self, lane: int, command: Command) -> Decision:
        """What the decision on a command would be. Nothing comes of it."""
        return decide(command, self._concerned(lane, command), self._now)

    def _concerned(self, lane: int, command: Command) -> Concerned:
        kind, key = command.kind, account_key(lane, command)
        account = self._accounts.get(key, _NO_ACCOUNT)
        standing = Standing(self._limits_of(key), account.totals, self._began_of(key, account), account.deposited_at)
        restrictions = self._restrictions.get((lane, command.user_id), UNRESTRICTED)
        if kind in GAME_KINDS:
            bet = self._movements.get(movement_key(lane, command, Kind.GAME_BET), _NO_MOVEMENT)
            own = ROLLBACKS.get(kind, kind)
            movement = (
                bet if own is Kind.GAME_BET else self._movements.get(movement_key(lane, command, own), _NO_MOVEMENT)
            )
            held_minor = self._held_minor.get(held_key(lane, command), 0) if kind in _ABOUT_PAYOUTS else 0
            return Concerned(
                account,
                self._rules,
                standing,
                None,
                movement,
                bet.cancelled,
                held_minor,
                restrictions=restrictions,
            )
        concerned = Concerned(account, self._rules, standing, restrictions=restrictions)
        if kind in HOLD_KINDS:
            return concerned._replace(hold=self._holds.get(hold_key(lane, command)))
        if kind is Kind.PAYOUT_RELEASE:
            return concerned._replace(held_minor=self._held_minor.get(held_key(lane, command), 0))
        if kind in NEEDS_ORIGINAL:
            return concerned._replace(original=self._original(original_key(lane, command)))
        if kind in LIMIT_KINDS:
            return concerned._replace(limit=self._limits.get(limit_key(lane, command), NO_PLAYER_LIMIT))
        return concerned

    def _limits_of(self, key: AccountKey) -> Values | None:
        if key in self._values:
            return self._values[key]
        if (key.lane, key.user_id) in self._limited:
            own = {name: self._limits.get(LimitKey(key.lane, key.user_id, name, key.currency)) for name in LimitName}
            values = self._rules.values(key.currency, {name: limit for name, limit in own.items() if limit is not None})
        else:
            if key.currency not in self._base:
                self._base[key.currency] = self._rules.values(key.currency, {})
            values = self._base[key.currency]
        self._values[key] = values
        return values

    def _began_of(self, key: AccountKey, account: PlayerAccount) -> dict[Window, Totals]:
        """The account's totals when each window began. Nothing was counted since in a window without an opening."""
        began = self._began.get(key)
        if began is None:
            began = self._began[key] = dict.fromkeys(_WINDOWS, account.totals) | self._openings.get(key, {})
        return began

    def _original(self, key: DecisionKey) -> Original | None:
        row = self._decisions.get(key)
        if row is None:
            return None
        content = row.content
        return Original(
            kind=Kind(content.kind),
            status=Status(content.status),
            user_id=content.user_id,
            amount_minor=content.amount_minor,
            currency=content.currency,
            entry=Entry(Account(content.debit), Account(content.credit)),
            provider=content.provider,
            posted_at=content.created_at,
            reversed_minor=self._reversed_minor.get(key, 0),
            dispute=self._disputes.get(key, DisputeState.NONE),
        )

    def _keep(self, lane: int, command: Command, concerned: Concerned, decision: Decision, row: JournalRow) -> None:
        """Take the state after a decision, for the commands behind it and for the database."""
        if decision.account != concerned.account:
            self._keep_account(account_key(lane, command), concerned.account, decision)
        if decision.hold is not None:
            held = hold_key(lane, command)
            self._holds[held] = self.changes.holds[held] = decision.hold
        if decision.movement is not None:
            movement = movement_key(lane, command, ROLLBACKS.get(command.kind, command.kind))
            self._movements[movement] = decision.movement
            if command.kind in ROLLBACKS:
                self.changes.cancellations[movement] = decision.movement
        if decision.held_minor is not None:
            payouts = held_key(lane, command)
            self._held_minor[payouts] = decision.held_minor
            self.changes.held_minor[payouts] += decision.held_minor - concerned.held_minor
        if decision.original is not None:
            self._keep_original(lane, command, decision.original, row)
        if decision.limit is not None:
            limited = limit_key(lane, command)
            self._limits[limited] = self.changes.limits[limited] = decision.limit
            self._limited.add((lane, command.user_id))
            self._values.pop(account_key(lane, command), None)
        if decision.restrictions is not None:
            player = (lane, command.user_id)
            self._restrictions[player] = self.changes.restrictions[player] = decision.restrictions
        if decision.status is Status.POSTED:
            self._fold_house(lane, command, decision)

    def _keep_account(self, key: AccountKey, before: PlayerAccount, decision: Decision) -> None:
        self._accounts[key] = self.changes.accounts[key] = decision.account
        opened_at = decision.account.opened_at
        if opened_at is not None and opened_at != before.opened_at:
            self.changes.openings[key] = Opening(opened_at, before.totals)
        if decision.counted_back is not None:
            self._count_back(key, *decision.counted_back)

    def _count_back(self, key: AccountKey, posted_at: datetime, totals: Totals) -> None:
        """Take it off the totals of every window and opening that began after it was counted."""
        self.changes.backdated.append(Backdated(key, posted_at, totals))
        began = self._began[key]
        for window, starts_at in self._starts.items():
            if starts_at > posted_at:
                began[window] = began[window].plus(totals, times=-1)
        opening = self.changes.openings.get(key)
        if opening is not None and opening.opened_at > posted_at:
            self.changes.openings[key] = opening._replace(totals=opening.totals.plus(totals, times=-1))

    def _keep_original(self, lane: int, command: Command, after: Original, row: JournalRow) -> None:
        key = original_key(lane, command)
        if command.kind is Kind.REVERSAL:
            self._reversed_minor[key] = after.reversed_minor
            reversal = reversal_key(key, command.user_id)
            self.changes.cancellations[reversal] = Movement(returned_minor=after.reversed_minor, cancelled=True)
        else:
            self._disputes[key] = after.dispute
            self.changes.disputes.append(DisputeChange(key.command_id, after.dispute, row))

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
    if account in (Account.CASH, Account.RESERVED, Account.NONE):
        return None
    return f"{account.value}:{provider}" if account is Account.CLEARING else account.value


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
