"""What a journal row counts as: its day, its game, what it changes of what is owed to players.

A row belongs to the day of its `created_at`, when the wallet decided it, in the platform's time zone: the client's
`occurred_at` is a claim, and a figure that was reported must not change because a late row says that it is old.
"""

from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import GAME_KINDS, Account, Kind, Status

# A reference names a game up to the first of these: `game_77`, `game_77:spin-9`.
GAME_ENDS_AT = ":/#"
# A reversal's fact: the kind of what it takes back.
REVERSED_KIND = "reversed_kind"

# How the figures of a report are made of its kinds; it stands on every report.
FORMULAS: Mapping[str, str] = {
    "deposits": "DEPOSIT - reversals of DEPOSIT",
    "withdrawals": "WITHDRAWAL + WITHDRAWAL_CAPTURE - reversals of both",
    "bets": "GAME_BET - BET_ROLLBACK",
    "payouts": "GAME_PAYOUT - PAYOUT_ROLLBACK",
    "ggr": "bets - payouts",
    "refunds": "REFUND - reversals of REFUND",
    "chargebacks": "CHARGEBACK - reversals of CHARGEBACK",
    "adjustments": "ADJUSTMENT_CREDIT - ADJUSTMENT_DEBIT - reversals of both: what was given to players",
    "net_revenue": "ggr - refunds - chargebacks - provider_fees - adjustments",
    "hold_percentage": "100 x ggr / bets",
    "average_stake": "GAME_BET / the number of GAME_BET",
    "active_players": "players with a bet",
    "new_players": "players whose first movement of money in the currency this is",
    "liabilities": "cash_owed + reserved_owed: what is owed to players at the end",
}

# Each figure, and the sign with which a kind counts in it.
SIGNS: Mapping[str, Mapping[str, int]] = {
    "deposits": {Kind.DEPOSIT: 1},
    "withdrawals": {Kind.WITHDRAWAL: 1, Kind.WITHDRAWAL_CAPTURE: 1},
    "bets": {Kind.GAME_BET: 1, Kind.BET_ROLLBACK: -1},
    "payouts": {Kind.GAME_PAYOUT: 1, Kind.PAYOUT_ROLLBACK: -1},
    "refunds": {Kind.REFUND: 1},
    "chargebacks": {Kind.CHARGEBACK: 1},
    "adjustments": {Kind.ADJUSTMENT_CREDIT: 1, Kind.ADJUSTMENT_DEBIT: -1},
}


class Owed(NamedTuple):
    """How what is owed to players changes, or stands: minor units in cash and in reserved."""

    cash_minor: int
    reserved_minor: int

    def and_also(self, other: "Owed") -> "Owed":
        """Both together."""
        return Owed(self.cash_minor + other.cash_minor, self.reserved_minor + other.reserved_minor)


# A batch writes its one moment of decision into many rows.
@lru_cache(maxsize=4096)
def hour_of(moment: datetime, zone: ZoneInfo) -> tuple[date, int]:
    """The day of a moment, and the hour of that day, by the clock on the wall."""
    there = moment.astimezone(zone)
    return there.date(), there.hour


def game_of(kind: str, reference_id: str | None) -> str:
    """The game of a row; empty where it is about none."""
    if kind not in GAME_KINDS or reference_id is None:
        return ""
    for end in GAME_ENDS_AT:
        reference_id = reference_id.partition(end)[0]
    return reference_id


def reversed_kind(event: LedgerEvent) -> str:
    """The kind that a posted reversal takes back; empty on every other row, and where the row does not say."""
    if event.kind != Kind.REVERSAL or event.facts is None:
        return ""
    return str(event.facts.get(REVERSED_KIND, ""))


def owed_by(event: LedgerEvent) -> Owed:
    """What a row changes of what is owed to players."""
    if event.status is not Status.POSTED:
        return Owed(0, 0)
    return Owed(_change(event, Account.CASH), _change(event, Account.RESERVED))


def _change(event: LedgerEvent, account: Account) -> int:
    return event.amount_minor * ((event.credit == account) - (event.debit == account))


def signed(figure: str, kind: str, of_kind: str) -> int:
    """How posted rows of a kind count in a figure: 1, -1, or 0. What takes another back counts the other way."""
    return -SIGNS[figure].get(of_kind, 0) if of_kind else SIGNS[figure].get(kind, 0)
