"""Streams of commands in which everything happens: few players, few references, small amounts and limits, so that they
meet; and moments at which a day, a week or a month ends, or the clocks change.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from hypothesis import strategies as st

from shared import money
from shared.contracts.commands import Command
from shared.contracts.kinds import (
    BLOCK_KINDS,
    LIMIT_KINDS,
    NEEDS_ORIGINAL,
    NEEDS_PROVIDER,
    PLAYER_KINDS,
    REQUEST_KINDS,
    REVERSIBLE,
    Kind,
)
from tests.wallet_service import model
from tests.wallet_service.support import NOW, command
from wallet_service.domain.limits import Rules
from wallet_service.domain.restrictions import Tier, Tiers
from wallet_service.settings import LimitSettings

T = TypeVar("T")

PLAYERS = (7, 42, 44)
# Without the first ones nothing else has anything to move.
KINDS = [
    *[Kind.DEPOSIT] * 8,
    *[Kind.GAME_BET] * 10,
    *[Kind.GAME_PAYOUT, Kind.WITHDRAWAL_HOLD, Kind.REVERSAL, Kind.REVERSAL],
    *[Kind.BET_ROLLBACK, Kind.ADJUSTMENT_CREDIT] * 3,
    *[Kind.LIMIT_OVERRIDE, Kind.LIMIT_REQUEST, Kind.LIMIT_REQUEST, Kind.KYC_TIER],
    *Kind,
]
FUNDS = (Kind.DEPOSIT, Kind.ADJUSTMENT_CREDIT)
# What a command of each kind may be about.
FOLLOWS: dict[Kind, frozenset[Kind]] = {
    **dict.fromkeys((Kind.GAME_PAYOUT, Kind.BET_ROLLBACK), frozenset({Kind.GAME_BET})),
    **dict.fromkeys((Kind.PAYOUT_ROLLBACK, Kind.PAYOUT_RELEASE), frozenset({Kind.GAME_PAYOUT})),
    **dict.fromkeys((Kind.WITHDRAWAL_CAPTURE, Kind.WITHDRAWAL_RELEASE), frozenset({Kind.WITHDRAWAL_HOLD})),
    **dict.fromkeys(REQUEST_KINDS, frozenset({Kind.LIMIT_REQUEST})),
    Kind.LIMIT_OVERRIDE_REMOVAL: frozenset({Kind.LIMIT_OVERRIDE}),
    Kind.REVERSAL: REVERSIBLE | {Kind.GAME_BET, Kind.REVERSAL},
    Kind.DISPUTE: frozenset(Kind) - {Kind.DISPUTE},
    Kind.DISPUTE_RESOLUTION: frozenset({Kind.DISPUTE}),
}
ABOUT_ROUNDS = (Kind.GAME_PAYOUT, Kind.BET_ROLLBACK, Kind.PAYOUT_ROLLBACK, Kind.PAYOUT_RELEASE)
LIMITS = ("DAILY_LOSS_LIMIT", "DAILY_WAGER_LIMIT", "WEEKLY_DEPOSIT_LIMIT", "MAX_BET_AMOUNT")
STAFFS_LIMITS = (*LIMITS, "MAX_PAYOUT_AMOUNT", "WITHDRAWAL_COOLDOWN_SECONDS")

# What the streams reach: minor units, or seconds. There is no entry for GBP.
OPERATOR = {
    "USD": {
        "DAILY_DEPOSIT_LIMIT": 6000,
        "DAILY_LOSS_LIMIT": 900,
        "WEEKLY_LOSS_LIMIT": 1300,
        "MONTHLY_LOSS_LIMIT": 1600,
        "MAX_BET_AMOUNT": 800,
        "MAX_PAYOUT_AMOUNT": 600,
    },
    "EUR": {
        "DAILY_DEPOSIT_LIMIT": 4000,
        "WEEKLY_DEPOSIT_LIMIT": 5000,
        "DAILY_LOSS_LIMIT": 700,
        "WEEKLY_WAGER_LIMIT": 2500,
        "WEEKLY_LOSS_LIMIT": 700,
        "MONTHLY_LOSS_LIMIT": 900,
        "MAX_BET_AMOUNT": 900,
        "MAX_PAYOUT_AMOUNT": 900,
    },
}
COOLDOWN_S = 3600
JURISDICTION = {
    "USD": {"MONTHLY_DEPOSIT_LIMIT": 12_000, "MAX_BET_AMOUNT": 700},
    "EUR": {"WITHDRAWAL_COOLDOWN_SECONDS": 7200},
    "GBP": {"MAX_PAYOUT_AMOUNT": 500},
}
RAISE_WAIT = timedelta(hours=24)
# Whether the tier may withdraw, and the most that it may deposit in all.
TIERS: dict[str, tuple[bool, dict[str, int]]] = {
    "UNVERIFIED": (True, {"USD": 9000}),
    "VERIFIED": (True, {}),
    "REJECTED": (False, {"USD": 0, "EUR": 0}),
}

REGIMES = [(rolling, zone) for zone in ("Europe/Malta", "America/New_York", "America/Santiago") for rolling in (0, 1)]
Regime = tuple[int, str]

# Shortly before: a month's end, a leap day, a new ISO year, and what the clocks do in the zones above.
STARTS = [
    datetime(2044, 2, 28, 22, 59, 30, tzinfo=UTC),
    datetime(2045, 1, 1, 4, 50, tzinfo=UTC),
    datetime(2044, 3, 27, 0, 30, tzinfo=UTC),
    datetime(2044, 10, 29, 21, 59, 59, tzinfo=UTC),
    datetime(2044, 3, 13, 4, 58, tzinfo=UTC),
    datetime(2044, 11, 6, 3, 30, tzinfo=UTC),
    datetime(2044, 9, 4, 3, 30, tzinfo=UTC),
    datetime(2044, 4, 3, 1, 30, tzinfo=UTC),
]
GAPS_S = [1, 59, 61, 1800, 3600, 3601, 39_600, 86_399, 86_400, 90_000, 2 * 86_400, 6 * 86_400, 20 * 86_400]


class Timed(NamedTuple):
    """A command, and when it is decided."""

    at: datetime
    command: Command


def house(regime: Regime) -> model.House:
    """The limits as the model takes them."""
    rolling, zone = regime
    cooldown = {"WITHDRAWAL_COOLDOWN_SECONDS": COOLDOWN_S}
    operator = {currency: limits | cooldown for currency, limits in OPERATOR.items()}
    return model.House(operator, JURISDICTION, zone, bool(rolling), RAISE_WAIT, TIERS, "UNVERIFIED")


@cache
def rules(regime: Regime) -> Rules:
    """The same limits as the wallet's settings say them."""
    rolling, zone = regime
    settings: dict[str, Any] = {
        "currency_limits": _as_settings(OPERATOR),
        "jurisdiction_limits": _as_settings(JURISDICTION),
        "withdrawal_cooldown_seconds": COOLDOWN_S,
        "limit_raise_wait_seconds": int(RAISE_WAIT.total_seconds()),
        "limit_windows": "rolling" if rolling else "calendar",
        "platform_time_zone": zone,
    }
    tiers = Tiers("UNVERIFIED", {name: Tier(*tier) for name, tier in TIERS.items()})
    return LimitSettings(**settings).rules()._replace(tiers=tiers)


def _as_settings(limits: dict[str, dict[str, int]]) -> dict[str, dict[str, str]]:
    return {
        currency: {
            name: str(value) if name.endswith("SECONDS") else money.to_decimal(value, currency)
            for name, value in of_currency.items()
        }
        for currency, of_currency in limits.items()
    }


class Draft(NamedTuple):
    """A command before it has its place in a stream.

    `follows`: which of the commands that it could be about it is about, from the last one back; 0 is none. `twist`:
    what of that one it has not.
    """

    kind: Kind
    amount_minor: int
    user_id: int
    currency: str
    reference_id: str
    round_id: str | None
    provider: str
    late_s: int | None
    follows: int
    twist: str


def drafts() -> st.SearchStrategy[Draft]:
    """One draft of any kind."""
    return st.builds(
        Draft,
        st.sampled_from(KINDS),
        st.integers(1, 9).map(lambda hundreds: hundreds * 100),
        st.sampled_from([42, 42, *PLAYERS]),
        st.sampled_from(["USD"] * 7 + ["EUR", "EUR", "GBP"]),
        st.sampled_from("abcdef"),
        st.sampled_from([None, "r1", "r2"]),
        st.sampled_from(["stripe", "adyen"]),
        st.sampled_from([None] * 27 + [-1, 0, 60]),
        st.sampled_from([1, 1, 1, 2, 3, 0]),
        st.sampled_from([""] * 6 + ["amount"] * 4 + ["user_id", "currency", "provider"]),
    )


def settled(draft: Draft, earlier: Sequence[Command], at: datetime) -> Command:
    """A draft as the next command of a stream."""
    kind = draft.kind
    fields: dict[str, Any] = {"command_id": UUID(int=len(earlier) + 1), "currency": draft.currency}
    if kind in NEEDS_PROVIDER:
        fields["provider"] = draft.provider
    if kind in PLAYER_KINDS:
        return _about_the_player(draft, fields["command_id"], at)
    if kind in LIMIT_KINDS:
        names = LIMITS if kind in REQUEST_KINDS else STAFFS_LIMITS
        fields["reference_id"] = names[ord(draft.reference_id) % len(names)]
    elif kind not in NEEDS_ORIGINAL | {Kind.DEPOSIT, Kind.WITHDRAWAL}:
        fields |= {"reference_id": draft.reference_id, "round_id": draft.round_id}
    fields |= {"user_id": draft.user_id, "amount_minor": draft.amount_minor * (4 if kind in FUNDS else 1)}
    followed = [each for each in earlier if each.kind in FOLLOWS.get(kind, ())]
    if followed and draft.follows:
        about = followed[max(-draft.follows, -len(followed))]
        fields |= {name: value for name, value in _of(about, kind).items() if name != draft.twist}
    if draft.late_s is not None:
        fields["expires_at"] = at + timedelta(seconds=draft.late_s)
    return command(kind, **fields)


def _about_the_player(draft: Draft, command_id: UUID, at: datetime) -> Command:
    choice = "abcdef".index(draft.reference_id)
    fields: dict[str, Any] = {"command_id": command_id, "user_id": draft.user_id}
    if draft.kind is Kind.KYC_TIER:
        fields["reference_id"] = (*TIERS, "NONE")[choice % 4]
    elif draft.kind not in BLOCK_KINDS:
        # Most of them short, so that what comes after is not all refused.
        fields["reference_id"] = "PERMANENT" if choice == 5 and draft.round_id == "r2" else "TEMPORARY"
    if draft.kind is Kind.EXCLUSION:
        until = at + timedelta(hours=(1, 1, 2, 24, 24 * 20, -1)[choice])
        fields["until"] = None if fields["reference_id"] == "PERMANENT" else until
    if draft.kind is Kind.FRAUD_BLOCK:
        open_ended = choice == 5 and draft.round_id == "r2"
        fields["until"] = None if open_ended else at + timedelta(hours=(1, 1, 2, 24, 24 * 20, -1)[choice])
    if draft.late_s is not None:
        fields["expires_at"] = at + timedelta(seconds=draft.late_s)
    return command(draft.kind, **fields)


def _of(about: Command, kind: Kind) -> dict[str, Any]:
    """What a command of this kind has of the one that it is about."""
    taken: dict[str, Any] = {
        "user_id": about.user_id,
        "currency": about.currency,
        "amount_minor": about.amount_minor,
        "reference_id": about.reference_id,
    }
    if kind is Kind.LIMIT_REQUEST:
        del taken["amount_minor"]
    if kind in NEEDS_ORIGINAL and about.kind is not Kind.DISPUTE:
        taken |= {"reference_id": str(about.command_id)}
    elif kind in ABOUT_ROUNDS:
        taken |= {"round_id": about.round_id}
    return taken | ({"provider": about.provider} if kind is Kind.REVERSAL else {})


def streams(max_size: int = 30) -> st.SearchStrategy[list[Command]]:
    """A stream of commands that are decided at one moment, each with an id of its own."""
    return lists_of(drafts(), max_size).map(_at_one_moment)


def timed_streams(max_size: int = 30) -> st.SearchStrategy[list[Timed]]:
    """A stream of commands over days and months."""
    steps = lists_of(st.tuples(st.sampled_from([0] * 12 + GAPS_S), drafts()), max_size)
    return st.tuples(st.sampled_from(STARTS), steps).map(lambda drawn: _over_time(*drawn))


def regimes() -> st.SearchStrategy[Regime]:
    """Rolling or calendar windows, and the platform's time zone."""
    return st.sampled_from(REGIMES)


def lists_of(elements: st.SearchStrategy[T], max_size: int) -> st.SearchStrategy[list[T]]:
    """Lists of every length alike. Left to itself, hypothesis draws short ones, in which too little happens."""
    return st.integers(1, max_size).flatmap(lambda size: st.lists(elements, min_size=size, max_size=size))


def _at_one_moment(drawn: Iterable[Draft]) -> list[Command]:
    made: list[Command] = []
    for each in drawn:
        made.append(settled(each, made, NOW))
    return made


def _over_time(at: datetime, steps: Iterable[tuple[int, Draft]]) -> list[Timed]:
    made: list[Command] = []
    timed: list[Timed] = []
    for gap_s, drawn in steps:
        at += timedelta(seconds=gap_s)
        made.append(settled(drawn, made, at))
        timed.append(Timed(at, made[-1]))
    return timed
