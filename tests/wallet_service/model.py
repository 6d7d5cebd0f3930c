"""The wallet's rules a second time, written from the design alone: what the domain is compared with.

It shares no code with `wallet_service`; it knows one player, one command at a time, and plain numbers.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple


class Outcome(NamedTuple):
    """What a row has to say: amounts and balances in minor units."""

    status: str
    reason: str | None
    moved: int
    cash: int
    reserved: int


@dataclass
class Wallet:
    """One player."""

    cash: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    reserved: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    # reference -> [currency, remaining]
    holds: dict[str, list[Any]] = field(default_factory=dict)
    # (bet or payout, reference, round) -> currency -> amount that was posted
    played: dict[tuple[str, str, str], dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    # (bet or payout, reference, round) -> amount that was taken back
    cancelled: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def apply(self, command: dict[str, Any], now: datetime) -> Outcome:
        """Decide one command, given as the fields of its message."""
        currency, amount = command["currency"], command["amount_minor"]
        refusal, moved = self._rule(command, currency, amount, now)
        note = None if refusal in ("ORIGINAL_NOT_SEEN", "ALREADY_ROLLED_BACK") else refusal
        status = "refused" if note else "posted"
        return Outcome(status, refusal, moved, self.cash[currency], self.reserved[currency])

    def _rule(self, command: dict[str, Any], currency: str, amount: int, now: datetime) -> tuple[str | None, int]:
        kind, expires = command["kind"], command.get("expires_at")
        if expires is not None and not now < expires:
            return "EXPIRED", amount
        if kind.endswith("ROLLBACK"):
            return self._take_back(command, currency, amount)
        if kind in ("GAME_BET", "GAME_PAYOUT"):
            return self._play(command, currency, amount)
        if kind == "WITHDRAWAL_HOLD":
            return self._hold(command, currency, amount)
        if kind in ("WITHDRAWAL_CAPTURE", "WITHDRAWAL_RELEASE"):
            return self._end_hold(command, currency, amount)
        if kind in ("WITHDRAWAL", "ADJUSTMENT_DEBIT") and self.cash[currency] < amount:
            return "INSUFFICIENT_FUNDS", amount
        self.cash[currency] += amount if kind in ("DEPOSIT", "ADJUSTMENT_CREDIT") else -amount
        return None, amount

    def _play(self, command: dict[str, Any], currency: str, amount: int) -> tuple[str | None, int]:
        where = (command["reference_id"], command.get("round_id") or "")
        bet = command["kind"] == "GAME_BET"
        if ("bet", *where) in self.cancelled or (not bet and ("payout", *where) in self.cancelled):
            return "ROUND_CANCELLED", amount
        if bet and self.cash[currency] < amount:
            return "INSUFFICIENT_FUNDS", amount
        self.cash[currency] += -amount if bet else amount
        played = self.played["bet" if bet else "payout", *where]
        played[currency] = played.get(currency, 0) + amount
        return None, amount

    def _take_back(self, command: dict[str, Any], currency: str, amount: int) -> tuple[str | None, int]:
        bet = command["kind"] == "BET_ROLLBACK"
        where = ("bet" if bet else "payout", command["reference_id"], command.get("round_id") or "")
        played = self.played.get(where, {})
        if not played:
            self.cancelled.setdefault(where, 0)
            return "ORIGINAL_NOT_SEEN", 0
        if list(played) != [currency]:
            return "CURRENCY_MISMATCH", amount
        left = played[currency] - self.cancelled.get(where, 0)
        if left == 0:
            return "ALREADY_ROLLED_BACK", 0
        if amount > left:
            return "ROLLBACK_EXCEEDS_ORIGINAL", amount
        self.cancelled[where] = self.cancelled.get(where, 0) + amount
        self.cash[currency] += amount if bet else -amount
        return None, amount

    def _hold(self, command: dict[str, Any], currency: str, amount: int) -> tuple[str | None, int]:
        if command["reference_id"] in self.holds:
            return "HOLD_EXISTS", amount
        if self.cash[currency] < amount:
            return "INSUFFICIENT_FUNDS", amount
        self.holds[command["reference_id"]] = [currency, amount]
        self.cash[currency] -= amount
        self.reserved[currency] += amount
        return None, amount

    def _end_hold(self, command: dict[str, Any], currency: str, amount: int) -> tuple[str | None, int]:
        hold = self.holds.get(command["reference_id"])
        if hold is None:
            return "HOLD_NOT_FOUND", amount
        if hold[1] == 0:
            return "HOLD_CLOSED", amount
        if hold[0] != currency:
            return "CURRENCY_MISMATCH", amount
        if amount > hold[1]:
            return "HOLD_EXCEEDED", amount
        hold[1] -= amount
        self.reserved[currency] -= amount
        if command["kind"] == "WITHDRAWAL_RELEASE":
            self.cash[currency] += amount
        return None, amount
