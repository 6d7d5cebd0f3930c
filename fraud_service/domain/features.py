"""What is remembered of a player: buckets, and the last few of what has an order.

The fold does not depend on the order of what it is given: buckets are sums, the few are the latest by their own
times, and what is older than a horizon behind the latest goes. So late events count where they belong, and reading
every topic again from its start gives the same, bit for bit, however the topics interleave and batches are cut.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from fraud_service.domain.observations import Observation, What

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

MINUTES_KEPT = 360
HOURS_KEPT = 72
DAYS_KEPT = 30
RECENT = 32
ROUNDS = 64
SUBJECTS = 16

# The fields of a bucket, by index: how many and how much, in minor units.
(
    DEPOSITS,
    DEPOSITED,
    WITHDRAWALS,
    WITHDRAWN,
    BETS,
    WAGERED,
    PAYOUTS,
    PAID_OUT,
    CREDITS,
    CREDITED,
) = range(10)
LARGEST_PAYOUT = 10
BUCKET = 11
# The fields of a day of rounds whose chance is known: rounds, wins, sum of chances in millionths.
KNOWN, WON, CHANCES_PPM = range(3)

_COUNTED = {
    What.DEPOSIT: DEPOSITS,
    What.WITHDRAWAL: WITHDRAWALS,
    What.BET: BETS,
    What.PAYOUT: PAYOUTS,
    What.CREDIT: CREDITS,
}

_CANONICAL = orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS
_FEW = ("deposits", "withdrawals", "attempts", "rounds", "chargebacks", "raises", "regions")

Minute = tuple[int, str]
Money = tuple[int, str, int, str]
Round = tuple[int, str, bool, str]
Refund = tuple[int, str, str, int]
Buckets = dict[str, dict[int, list[int]]]


@dataclass(slots=True)
class Features:
    """One player. Times are milliseconds since 1970; minutes, hours and days count from there too.

    `minutes`: bets, and the last of them. `hours` and `days`: by currency, sums as BUCKET has them. `deposits` and
    `withdrawals`: (at, ref, amount, currency). `attempts`: deposits (at, ref, whether it came about). `rounds`: (at,
    ref, won, opponent). `chargebacks`, `raises`: (at, ref). `refunds`, `reversed_refunds`: (at, ref, the refund's
    command, amount). `instruments`, `devices`: of each, its last use and how many accounts share it.
    """

    first: int = 0
    latest: int = 0
    minutes: dict[int, Minute] = field(default_factory=dict)
    hours: Buckets = field(default_factory=dict)
    days: Buckets = field(default_factory=dict)
    luck: dict[int, list[int]] = field(default_factory=dict)
    deposits: list[Money] = field(default_factory=list)
    withdrawals: list[Money] = field(default_factory=list)
    attempts: list[tuple[int, str, bool]] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    chargebacks: list[tuple[int, str]] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    reversed_refunds: list[Refund] = field(default_factory=list)
    raises: list[tuple[int, str]] = field(default_factory=list)
    regions: list[tuple[int, str, str]] = field(default_factory=list)
    instruments: dict[str, tuple[int, int]] = field(default_factory=dict)
    devices: dict[str, tuple[int, int]] = field(default_factory=dict)


def fold(features: Features, observations: Iterable[Observation]) -> Features:
    """The features after more was observed of this player; in any order, the same. What is given stays as it is."""
    made = _copied(features)
    absorb(made, observations)
    return made


def absorb(features: Features, observations: Iterable[Observation]) -> None:
    """As `fold`, into features that nobody else has, such as those that were read a moment ago."""
    for seen in observations:
        if seen.at < features.first or not features.first:
            features.first = seen.at
        if seen.at > features.latest:
            features.latest = seen.at
        _add(features, seen)
    _prune(features)


def _add(made: Features, seen: Observation) -> None:
    what = seen.what
    index = _COUNTED.get(what)
    if index is not None:
        _count(made, seen, index)
    if what is What.BET:
        bets, last = made.minutes.get(seen.at // MINUTE_MS, (0, ""))
        made.minutes[seen.at // MINUTE_MS] = (bets + 1, max(last, seen.ref))
    elif what is What.DEPOSIT:
        made.deposits.append((seen.at, seen.ref, seen.amount_minor, seen.currency))
        made.attempts.append((seen.at, seen.ref, True))
    elif what is What.WITHDRAWAL:
        made.withdrawals.append((seen.at, seen.ref, seen.amount_minor, seen.currency))
    elif what is What.DEPOSIT_FAILED:
        made.attempts.append((seen.at, seen.ref, False))
    elif what is What.ROUND:
        _add_round(made, seen)
    elif what is What.CHARGEBACK:
        made.chargebacks.append((seen.at, seen.ref))
    elif what is What.REFUND:
        made.refunds.append((seen.at, seen.ref, seen.subject, seen.amount_minor))
    elif what is What.REFUND_REVERSED:
        made.reversed_refunds.append((seen.at, seen.ref, seen.subject, seen.amount_minor))
    elif what is What.LIMIT_RAISED:
        made.raises.append((seen.at, seen.ref))
    elif what is What.REGION:
        made.regions.append((seen.at, seen.ref, seen.subject))
    elif what in (What.INSTRUMENT, What.DEVICE):
        kept = made.instruments if what is What.INSTRUMENT else made.devices
        last_used, accounts = kept.get(seen.subject, (0, 0))
        kept[seen.subject] = (max(last_used, seen.at), max(accounts, seen.number))


def _count(made: Features, seen: Observation, index: int) -> None:
    for buckets, length_ms in ((made.hours, HOUR_MS), (made.days, DAY_MS)):
        bucket = buckets.setdefault(seen.currency, {}).setdefault(seen.at // length_ms, [0] * BUCKET)
        bucket[index] += 1
        bucket[index + 1] += seen.amount_minor
        if seen.what is What.PAYOUT:
            bucket[LARGEST_PAYOUT] = max(bucket[LARGEST_PAYOUT], seen.amount_minor)


def _add_round(made: Features, seen: Observation) -> None:
    made.rounds.append((seen.at, seen.ref, seen.won, seen.subject))
    if seen.number:
        day = made.luck.setdefault(seen.at // DAY_MS, [0, 0, 0])
        day[KNOWN] += 1
        day[WON] += seen.won
        day[CHANCES_PPM] += seen.number


def _copied(features: Features) -> Features:
    return Features(
        first=features.first,
        latest=features.latest,
        minutes=dict(features.minutes),
        hours={currency: {k: list(b) for k, b in of.items()} for currency, of in features.hours.items()},
        days={currency: {k: list(b) for k, b in of.items()} for currency, of in features.days.items()},
        luck={day: list(of) for day, of in features.luck.items()},
        deposits=list(features.deposits),
        withdrawals=list(features.withdrawals),
        attempts=list(features.attempts),
        rounds=list(features.rounds),
        chargebacks=list(features.chargebacks),
        refunds=list(features.refunds),
        reversed_refunds=list(features.reversed_refunds),
        raises=list(features.raises),
        regions=list(features.regions),
        instruments=dict(features.instruments),
        devices=dict(features.devices),
    )


def _prune(made: Features) -> None:
    """Take out what is past its horizon. What goes now would have gone whenever it had come: `latest` only grows."""
    now = made.latest
    _expire(made.minutes, now // MINUTE_MS - MINUTES_KEPT)
    for buckets, since in ((made.hours, now // HOUR_MS - HOURS_KEPT), (made.days, now // DAY_MS - DAYS_KEPT)):
        for currency in list(buckets):
            _expire(buckets[currency], since)
            if not buckets[currency]:
                del buckets[currency]
    _expire(made.luck, now // DAY_MS - DAYS_KEPT)
    back = (made.chargebacks, made.refunds, made.reversed_refunds)
    for few in (made.deposits, made.withdrawals, made.attempts, *back, made.raises, made.regions):
        if few:
            _latest(few, RECENT)
    if made.rounds:
        _latest(made.rounds, ROUNDS)
    for kept in (made.instruments, made.devices):
        if len(kept) > SUBJECTS:
            for key in sorted(kept, key=lambda key: (kept[key], key))[: len(kept) - SUBJECTS]:
                del kept[key]


def _expire(buckets: dict[int, list[int]] | dict[int, Minute], since: int) -> None:
    for key in [key for key in buckets if key <= since]:
        del buckets[key]


def _latest(few: list[Any], most: int) -> None:
    few.sort()
    del few[:-most]


def encode(features: Features) -> str:
    """Canonical: equal features have equal texts."""
    return orjson.dumps(features, option=_CANONICAL).decode()


def decode(text: str) -> Features:
    """The inverse of `encode`."""
    raw = orjson.loads(text)
    return Features(
        first=raw["first"],
        latest=raw["latest"],
        minutes={int(key): (minute[0], minute[1]) for key, minute in raw["minutes"].items()},
        hours={currency: {int(key): sums for key, sums in of.items()} for currency, of in raw["hours"].items()},
        days={currency: {int(key): sums for key, sums in of.items()} for currency, of in raw["days"].items()},
        luck={int(key): day for key, day in raw["luck"].items()},
        **{name: list(map(tuple, raw[name])) for name in _FEW},
        # What was kept before refunds, or what they are of, were noticed: it has none, or names no command.
        refunds=[_refund(*refund) for refund in raw.get("refunds", ())],
        reversed_refunds=[_refund(*refund) for refund in raw.get("reversed_refunds", ())],
        instruments={key: (last, accounts) for key, (last, accounts) in raw["instruments"].items()},
        devices={key: (last, accounts) for key, (last, accounts) in raw["devices"].items()},
    )


def _refund(at: int, ref: str, command: str = "", amount_minor: int = 1) -> Refund:
    return at, ref, command, amount_minor
