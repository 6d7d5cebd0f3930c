"""The wallet's rules a second time, written from the design alone: what the domain is compared with.

It shares no code with `wallet_service`; it knows one player, one command at a time, and plain numbers. It keeps no
totals: what a limit has used is added up again from everything that was done.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

MOST = 2**63 - 1
COOLDOWN = "WITHDRAWAL_COOLDOWN_SECONDS"
LIMITS = {
    "deposit": {"DAILY_DEPOSIT_LIMIT": "day", "WEEKLY_DEPOSIT_LIMIT": "week", "MONTHLY_DEPOSIT_LIMIT": "month"},
    "loss": {"DAILY_LOSS_LIMIT": "day", "WEEKLY_LOSS_LIMIT": "week", "MONTHLY_LOSS_LIMIT": "month"},
    "wager": {"DAILY_WAGER_LIMIT": "day", "WEEKLY_WAGER_LIMIT": "week", "MONTHLY_WAGER_LIMIT": "month"},
}
BACK = {"day": timedelta(hours=24), "week": timedelta(days=7), "month": timedelta(days=30)}
# What a reversal of each does to the player's cash.
REVERSES = {
    **dict.fromkeys(("DEPOSIT", "ADJUSTMENT_CREDIT"), -1),
    **dict.fromkeys(("WITHDRAWAL", "WITHDRAWAL_CAPTURE", "CHARGEBACK", "REFUND", "ADJUSTMENT_DEBIT"), 1),
}
ABOUT_PLAYERS = ("EXCLUSION", "EXCLUSION_END", "KYC_TIER", "FRAUD_BLOCK", "FRAUD_UNBLOCK")
FOR_EVER = datetime.max.replace(tzinfo=UTC)
DISPUTES = ("DISPUTE", "DISPUTE_RESOLUTION")

Used = tuple[int, int, int]
Ruling = tuple[str | None, int] | tuple[str, int, Used]


@dataclass(frozen=True)
class House:
    """What the operator and the jurisdiction set: currency -> limit -> minor units, or seconds."""

    operator: dict[str, dict[str, int]]
    jurisdiction: dict[str, dict[str, int]]
    zone: str
    rolling: bool
    raise_wait: timedelta
    # tier -> whether it may withdraw, currency -> the most that it may deposit in all
    tiers: dict[str, tuple[bool, dict[str, int]]]
    initial: str

    def same_window(self, window: str, then: datetime, now: datetime) -> bool:
        """Whether what was done then still counts now."""
        if self.rolling:
            return then >= (now - BACK[window]).replace(second=0, microsecond=0)
        a, b = (moment.astimezone(ZoneInfo(self.zone)).date() for moment in (then, now))
        if window == "week":
            return a.isocalendar()[:2] == b.isocalendar()[:2]
        return (a.year, a.month) == (b.year, b.month) and (window == "month" or a == b)


class Outcome(NamedTuple):
    """What a row has to say: amounts and balances in minor units.

    `used`: where a limit refused, the limit, what is used of it, and what remains.
    """

    status: str
    reason: str | None
    moved: int
    cash: int
    reserved: int
    used: Used | None = None


class Overflow(Exception):
    """A balance that PostgreSQL could not hold."""


@dataclass
class Done:
    """A command that was decided."""

    kind: str
    posted: bool
    currency: str
    amount: int
    provider: str | None
    at: datetime
    reversed: int = 0
    disputed: bool = False


@dataclass
class Round:
    """The bets, or the payouts, of one reference and round."""

    posted: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    returned: int = 0
    # currency -> what waits in reserved
    held: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    cancelled: bool = False
    last: datetime | None = None


@dataclass
class Limit:
    """What is set for the player: by staff, by itself, and the raise that waits with its time."""

    override: int | None = None
    own: int | None = None
    pending: tuple[int, datetime] | None = None


@dataclass
class Wallet:
    """One player."""

    house: House
    cash: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    reserved: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    # reference -> [currency, remaining]
    holds: dict[str, list[Any]] = field(default_factory=dict)
    # (GAME_BET or GAME_PAYOUT, reference, round)
    rounds: dict[tuple[str, str, str], Round] = field(default_factory=lambda: defaultdict(Round))
    # (limit, currency)
    limits: dict[tuple[str, str], Limit] = field(default_factory=lambda: defaultdict(Limit))
    # what a limit counts: (deposit or loss, currency, amount, when)
    counted: list[tuple[str, str, int, datetime]] = field(default_factory=list)
    deposited: dict[str, datetime] = field(default_factory=dict)
    decided: dict[str, Done] = field(default_factory=dict)
    # the last moment of an exclusion: None is none, the end of time is for ever
    excluded: datetime | None = None
    # the same, of a block for fraud
    blocked: datetime | None = None
    tier: str | None = None

    def apply(self, command: dict[str, Any], now: datetime) -> Outcome:
        """Decide one command, given as the fields of its message."""
        kind, currency, amount = str(command["kind"]), command["currency"], command["amount_minor"]
        used = None
        try:
            reason, moved, *rest = self._rule(kind, command, currency, amount, now)
            used = rest[0] if rest else None
        except Overflow:
            reason, moved = "BALANCE_OVERFLOW", amount
        posted = reason in (None, "ORIGINAL_NOT_SEEN", "ALREADY_ROLLED_BACK")
        if (
            kind in DISPUTES
            or kind in ABOUT_PLAYERS
            or kind.startswith("LIMIT_")
            or (kind == "REVERSAL" and not posted)
        ):
            moved = 0
        done = Done(kind, posted, currency, moved, command.get("provider"), now)
        self.decided[str(command["command_id"])] = done
        status = "posted" if posted else "refused"
        return Outcome(status, reason, moved, self.cash[currency], self.reserved[currency], used)

    def _rule(self, kind: str, command: dict[str, Any], currency: str, amount: int, now: datetime) -> Ruling:
        expires = command.get("expires_at")
        if expires is not None and not now < expires:
            return "EXPIRED", amount
        if kind in DISPUTES:
            return self._dispute(kind, command), 0
        if kind in ABOUT_PLAYERS:
            return self._restrict(kind, command, now), 0
        if kind.startswith("LIMIT_"):
            return self._change_limit(kind, self.limits[command["reference_id"], currency], currency, amount, now), 0
        if kind.endswith("ROLLBACK"):
            return self._take_back(kind, command, currency, amount)
        match kind:
            case "DEPOSIT":
                return self._deposit(currency, amount, now)
            case "GAME_BET":
                return self._bet(command, currency, amount, now)
            case "GAME_PAYOUT":
                return self._payout(command, currency, amount, now)
            case "PAYOUT_RELEASE":
                return self._release_payout(command, currency, amount)
            case "WITHDRAWAL_HOLD":
                return self._hold(command, currency, amount, now)
            case "WITHDRAWAL_CAPTURE" | "WITHDRAWAL_RELEASE":
                return self._end_hold(kind, command, currency, amount)
            case "REVERSAL":
                return self._reverse(command, currency, amount)
        if kind == "WITHDRAWAL" and self._is_blocked(now):
            return "FRAUD_BLOCKED", amount
        if kind == "WITHDRAWAL" and not self._tier()[0]:
            return "KYC_REQUIRED", amount
        if kind == "WITHDRAWAL" and self._cools_down(currency, now):
            return "WITHDRAWAL_COOLDOWN", amount
        if kind in ("WITHDRAWAL", "ADJUSTMENT_DEBIT") and self.cash[currency] < amount:
            return "INSUFFICIENT_FUNDS", amount
        return self._move(currency, amount if kind == "ADJUSTMENT_CREDIT" else -amount, 0, amount)

    def _is_blocked(self, now: datetime) -> bool:
        return self.blocked is not None and now < self.blocked

    def _block(self, until: datetime, now: datetime) -> str | None:
        if until <= now or (self._is_blocked(now) and self.blocked is not None and until < self.blocked):
            return "BLOCK_SHORTENED"
        self.blocked = until
        return None

    def _restrict(self, kind: str, command: dict[str, Any], now: datetime) -> str | None:
        if kind == "FRAUD_BLOCK":
            return self._block(command.get("until") or FOR_EVER, now)
        if kind == "FRAUD_UNBLOCK":
            was, self.blocked = self._is_blocked(now), None
            return None if was else "NOT_BLOCKED"
        if kind == "KYC_TIER":
            if command["reference_id"] not in self.house.tiers:
                return "TIER_UNKNOWN"
            self.tier = command["reference_id"]
            return None
        in_force = self.excluded is not None and now < self.excluded
        if kind == "EXCLUSION":
            until = FOR_EVER if command["reference_id"] == "PERMANENT" else command["until"]
            if until <= now or (in_force and self.excluded is not None and until < self.excluded):
                return "EXCLUSION_SHORTENED"
            self.excluded = until
            return None
        if not in_force:
            return "NOT_EXCLUDED"
        if self.excluded == FOR_EVER:
            return "EXCLUSION_PERMANENT"
        self.excluded = None
        return None

    def _tier(self) -> tuple[bool, dict[str, int]]:
        """Whether the player may withdraw, and how much it may deposit in all."""
        return self.house.tiers[self.tier or self.house.initial]

    def _move(self, currency: str, cash: int, reserved: int, amount: int) -> tuple[None, int]:
        after = self.cash[currency] + cash, self.reserved[currency] + reserved
        if max(map(abs, after)) > MOST:
            raise Overflow
        self.cash[currency], self.reserved[currency] = after
        return None, amount

    def _limit(self, name: str, currency: str) -> int | None:
        """The limit that holds."""
        if currency not in self.house.operator:
            return None
        player = self.limits[name, currency]
        operators = self.house.operator[currency].get(name) if player.override is None else player.override
        values = [operators, self.house.jurisdiction.get(currency, {}).get(name), player.own]
        known = [value for value in values if value is not None]
        if not known:
            return None
        return max(known) if name == COOLDOWN else min(known)

    def _past_limit(self, counts: str, currency: str, amount: int, now: datetime) -> Ruling | None:
        if currency not in self.house.operator:
            return "CURRENCY_NOT_ALLOWED", amount
        least: tuple[str, Used] | None = None
        for name, window in LIMITS[counts].items():
            limit = self._limit(name, currency)
            used = sum(
                counted
                for what, of, counted, at in self.counted
                if (what, of) == (counts, currency) and self.house.same_window(window, at, now)
            )
            if limit is not None and used + amount > limit:
                left = max(0, limit - used)
                if least is None or left < least[1][2]:
                    least = name, (limit, used, left)
        return (least[0], amount, least[1]) if least else None

    def _cools_down(self, currency: str, now: datetime) -> bool:
        last, seconds = self.deposited.get(currency), self._limit(COOLDOWN, currency)
        return last is not None and seconds is not None and last + timedelta(seconds=seconds) > now

    def _deposit(self, currency: str, amount: int, now: datetime) -> Ruling:
        if self.excluded is not None and now < self.excluded:
            return "SELF_EXCLUDED", amount
        if self._is_blocked(now):
            return "FRAUD_BLOCKED", amount
        if (refusal := self._past_limit("deposit", currency, amount, now)) is not None:
            return refusal
        most = self._tier()[1].get(currency)
        used = sum(counted for what, of, counted, _ in self.counted if (what, of) == ("deposit", currency))
        if most is not None and used + amount > most:
            return "KYC_REQUIRED", amount, (most, used, max(0, most - used))
        ruling = self._move(currency, amount, 0, amount)
        self.counted.append(("deposit", currency, amount, now))
        self.deposited[currency] = now
        return ruling

    def _bet(self, command: dict[str, Any], currency: str, amount: int, now: datetime) -> Ruling:
        played = self._round("GAME_BET", command)
        if played.cancelled:
            return "ROUND_CANCELLED", amount
        if self.excluded is not None and now < self.excluded:
            return "SELF_EXCLUDED", amount
        if self._is_blocked(now):
            return "FRAUD_BLOCKED", amount
        largest = self._limit("MAX_BET_AMOUNT", currency)
        if largest is not None and amount > largest:
            return "MAX_BET_EXCEEDED", amount
        if self.cash[currency] < amount:
            return "INSUFFICIENT_FUNDS", amount
        for counts in ("loss", "wager"):
            if (refusal := self._past_limit(counts, currency, amount, now)) is not None:
                return refusal
        ruling = self._move(currency, -amount, 0, amount)
        self.counted += [(counts, currency, amount, now) for counts in ("loss", "wager")]
        played.posted[currency] += amount
        played.last = now
        return ruling

    def _payout(self, command: dict[str, Any], currency: str, amount: int, now: datetime) -> Ruling:
        played = self._round("GAME_PAYOUT", command)
        if played.cancelled or self._round("GAME_BET", command).cancelled:
            return "ROUND_CANCELLED", amount
        largest = self._limit("MAX_PAYOUT_AMOUNT", currency)
        held = largest is None or amount > largest
        ruling = self._move(currency, 0 if held else amount, amount if held else 0, amount)
        self.counted.append(("loss", currency, -amount, now))
        played.posted[currency] += amount
        played.held[currency] += amount if held else 0
        played.last = now
        return ruling

    def _round(self, kind: str, command: dict[str, Any]) -> Round:
        return self.rounds[kind, command["reference_id"], command.get("round_id") or ""]

    def _take_back(self, kind: str, command: dict[str, Any], currency: str, amount: int) -> Ruling:
        bet = kind == "BET_ROLLBACK"
        played = self._round("GAME_BET" if bet else "GAME_PAYOUT", command)
        if played.last is None:
            played.cancelled = True
            return "ORIGINAL_NOT_SEEN", 0
        if list(played.posted) != [currency]:
            return "CURRENCY_MISMATCH", amount
        left = played.posted[currency] - played.returned
        if left == 0:
            return "ALREADY_ROLLED_BACK", 0
        if amount > left:
            return "ROLLBACK_EXCEEDS_ORIGINAL", amount
        if 0 < played.held[currency] < amount:
            return "PAYOUT_HELD", amount
        if played.held[currency]:
            ruling = self._move(currency, 0, -amount, amount)
            played.held[currency] -= amount
        else:
            ruling = self._move(currency, amount if bet else -amount, 0, amount)
        played.returned += amount
        played.cancelled = True
        self.counted.append(("loss", currency, -amount if bet else amount, played.last))
        if bet:
            self.counted.append(("wager", currency, -amount, played.last))
        return ruling

    def _release_payout(self, command: dict[str, Any], currency: str, amount: int) -> Ruling:
        played = self._round("GAME_PAYOUT", command)
        if played.held[currency] == 0:
            return "PAYOUT_NOT_HELD", amount
        if amount > played.held[currency]:
            return "RELEASE_EXCEEDS_HELD", amount
        ruling = self._move(currency, amount, -amount, amount)
        played.held[currency] -= amount
        return ruling

    def _hold(self, command: dict[str, Any], currency: str, amount: int, now: datetime) -> Ruling:
        if command["reference_id"] in self.holds:
            return "HOLD_EXISTS", amount
        if self._is_blocked(now):
            return "FRAUD_BLOCKED", amount
        if not self._tier()[0]:
            return "KYC_REQUIRED", amount
        if self._cools_down(currency, now):
            return "WITHDRAWAL_COOLDOWN", amount
        if self.cash[currency] < amount:
            return "INSUFFICIENT_FUNDS", amount
        ruling = self._move(currency, -amount, amount, amount)
        self.holds[command["reference_id"]] = [currency, amount]
        return ruling

    def _end_hold(self, kind: str, command: dict[str, Any], currency: str, amount: int) -> Ruling:
        hold = self.holds.get(command["reference_id"])
        if hold is None:
            return "HOLD_NOT_FOUND", amount
        if hold[1] == 0:
            return "HOLD_CLOSED", amount
        if hold[0] != currency:
            return "CURRENCY_MISMATCH", amount
        if amount > hold[1]:
            return "HOLD_EXCEEDED", amount
        ruling = self._move(currency, amount if kind == "WITHDRAWAL_RELEASE" else 0, -amount, amount)
        hold[1] -= amount
        return ruling

    def _reverse(self, command: dict[str, Any], currency: str, amount: int) -> Ruling:
        original = self.decided.get(command["reference_id"])
        if original is None:
            return "ORIGINAL_NOT_FOUND", amount
        if not original.posted or original.kind not in REVERSES:
            return "NOT_REVERSIBLE", amount
        if original.provider != command.get("provider"):
            return "PROVIDER_MISMATCH", amount
        if original.currency != currency:
            return "CURRENCY_MISMATCH", amount
        left = original.amount - original.reversed
        if left == 0:
            return "ALREADY_REVERSED", amount
        if amount > left:
            return "REVERSAL_EXCEEDS_ORIGINAL", amount
        sign = REVERSES[original.kind]
        if sign < 0 and self.cash[currency] < amount:
            return "INSUFFICIENT_FUNDS", amount
        ruling = self._move(currency, sign * amount, 0, amount)
        original.reversed += amount
        if original.kind == "DEPOSIT":
            self.counted.append(("deposit", currency, -amount, original.at))
        return ruling

    def _dispute(self, kind: str, command: dict[str, Any]) -> str | None:
        original = self.decided.get(command["reference_id"])
        if original is None:
            return "ORIGINAL_NOT_FOUND"
        opens = kind == "DISPUTE"
        if original.disputed == opens:
            return "ALREADY_DISPUTED" if opens else "NOT_DISPUTED"
        original.disputed = opens
        return None

    def _change_limit(self, kind: str, limit: Limit, currency: str, amount: int, now: datetime) -> str | None:
        if kind in ("LIMIT_OVERRIDE", "LIMIT_REQUEST") and currency not in self.house.operator:
            return "CURRENCY_NOT_ALLOWED"
        if kind == "LIMIT_OVERRIDE":
            limit.override = amount
        elif kind == "LIMIT_OVERRIDE_REMOVAL":
            if limit.override is None:
                return "NO_OVERRIDE"
            limit.override = None
        elif kind == "LIMIT_REQUEST":
            if limit.own is None or amount <= limit.own:
                limit.own, limit.pending = amount, None
            else:
                limit.pending = amount, now + self.house.raise_wait
        elif limit.pending is None or (kind == "LIMIT_CONFIRMATION" and limit.pending[0] != amount):
            return "NO_PENDING_RAISE"
        elif kind == "LIMIT_CONFIRMATION":
            if now < limit.pending[1]:
                return "RAISE_WAITS"
            limit.own, limit.pending = amount, None
        else:
            limit.pending = None
        return None
