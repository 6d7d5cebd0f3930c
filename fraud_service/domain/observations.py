"""What is noticed about a player, whichever topic it came from, as `features.fold` takes it."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind, Status
from shared.contracts.rounds import GameRound, Outcome
from shared.contracts.signals import PlayerSignal, SignalKind

MS_PER_DAY = 24 * 60 * 60 * 1000


class What(StrEnum):
    """What was noticed."""

    BET = "bet"
    PAYOUT = "payout"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    CREDIT = "credit"
    CHARGEBACK = "chargeback"
    REFUND = "refund"
    REFUND_REVERSED = "refund_reversed"
    LIMIT_RAISED = "limit_raised"
    ROUND = "round"
    DEPOSIT_FAILED = "deposit_failed"
    INSTRUMENT = "instrument"
    DEVICE = "device"
    REGION = "region"
    # Something that no feature counts; it only says that the player was there.
    OTHER = "other"


class Observation(NamedTuple):
    """One thing about one player.

    `at` is in milliseconds since 1970, UTC; amounts are minor units. `ref` names the event behind it:
    `<lane>:<position>` of the journal, or the id of a round or signal. `subject` is a country, an opponent, the
    key of an instrument or device, or the command of a refund, of its reversal too; `number` is how many accounts share
    that, or a round's chance to win in millionths.
    """

    user_id: int
    at: int
    what: What
    ref: str
    amount_minor: int = 0
    currency: str = ""
    subject: str = ""
    number: int = 0
    won: bool = False


_WHAT = {
    Kind.GAME_BET: What.BET,
    Kind.GAME_PAYOUT: What.PAYOUT,
    Kind.DEPOSIT: What.DEPOSIT,
    Kind.WITHDRAWAL: What.WITHDRAWAL,
    Kind.WITHDRAWAL_HOLD: What.WITHDRAWAL,
    Kind.ADJUSTMENT_CREDIT: What.CREDIT,
    Kind.CHARGEBACK: What.CHARGEBACK,
    Kind.REFUND: What.REFUND,
    Kind.LIMIT_CONFIRMATION: What.LIMIT_RAISED,
}


def milliseconds(moment: datetime) -> int:
    """Since 1970, UTC; exact."""
    seconds = int(moment.replace(microsecond=0).timestamp())
    return seconds * 1000 + moment.microsecond // 1000


def of_ledger(events: Iterable[LedgerEvent]) -> Iterator[Observation]:
    """What rows of the journal say; their time is when the wallet decided, for a client's is a claim."""
    for event in events:
        what = _of_row(event)
        subject = ""
        if what is What.REFUND:
            subject = str(event.command_id)
        elif what is What.REFUND_REVERSED:
            subject = event.reference_id or ""
        yield Observation(
            event.user_id,
            milliseconds(event.created_at),
            what,
            f"{event.lane}:{event.position}",
            event.amount_minor,
            event.currency,
            subject,
        )


def _of_row(event: LedgerEvent) -> What:
    if event.status is not Status.POSTED or not isinstance(event.kind, Kind):
        return What.OTHER
    if event.kind is Kind.REVERSAL and (event.facts or {}).get("reversed_kind") == Kind.REFUND:
        return What.REFUND_REVERSED
    return _WHAT.get(event.kind, What.OTHER)


def bounded(claimed: datetime, recorded_ms: int) -> int:
    """A game server's or provider's time, held to the day before Kafka took its record.

    The record keeps its time, so reading it again gives the same. A broker for development may keep none.
    """
    if recorded_ms <= 0:
        return milliseconds(claimed)
    return max(min(milliseconds(claimed), recorded_ms), recorded_ms - MS_PER_DAY)


def of_round(played: GameRound, recorded_ms: int) -> Iterator[Observation]:
    """What a round says of its player. A round without a winner or loser says nothing of luck."""
    at = bounded(played.occurred_at, recorded_ms)
    if played.outcome in (Outcome.WIN, Outcome.LOSS):
        yield Observation(
            played.user_id,
            at,
            What.ROUND,
            played.round_id,
            subject="" if played.opponent_user_id is None else str(played.opponent_user_id),
            number=played.win_probability_ppm or 0,
            won=played.outcome is Outcome.WIN,
        )
    if played.country is not None:
        yield Observation(played.user_id, at, What.REGION, played.round_id, subject=played.country)


def of_signal(signal: PlayerSignal, ref: str, recorded_ms: int) -> Iterator[Observation]:
    """What a signal says; what it links to other players is `links`."""
    at = bounded(signal.occurred_at, recorded_ms)
    if signal.kind is SignalKind.DEPOSIT_FAILED:
        yield Observation(signal.user_id, at, What.DEPOSIT_FAILED, ref)
    if signal.country is not None:
        yield Observation(signal.user_id, at, What.REGION, ref, subject=signal.country)


class Link(NamedTuple):
    """A player used an instrument or a device."""

    what: What
    key: str
    user_id: int
    at: int


# So many accounts on one instrument or device are told apart; more are as many.
MOST_ACCOUNTS = 50


def shared(use: Link, accounts: int) -> Observation:
    """What a player's use of something says, once it is known how many accounts use it too."""
    return Observation(use.user_id, use.at, use.what, use.key, subject=use.key, number=min(accounts, MOST_ACCOUNTS))


def links(signal: PlayerSignal, recorded_ms: int) -> Iterator[Link]:
    """What a signal ties its player to."""
    at = bounded(signal.occurred_at, recorded_ms)
    if signal.instrument_id is not None:
        yield Link(What.INSTRUMENT, signal.instrument_id, signal.user_id, at)
    if signal.device_id is not None:
        yield Link(What.DEVICE, signal.device_id, signal.user_id, at)
