"""Named features: what rules see of a player at a moment. All are integers; ratios are in permille."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from fraud_service.domain import luck
from fraud_service.domain.features import (
    BETS,
    BUCKET,
    CREDITED,
    CREDITS,
    DAY_MS,
    DAYS_KEPT,
    DEPOSITED,
    DEPOSITS,
    HOUR_MS,
    HOURS_KEPT,
    LARGEST_PAYOUT,
    MINUTE_MS,
    MINUTES_KEPT,
    PAID_OUT,
    PAYOUTS,
    WAGERED,
    WITHDRAWALS,
    WITHDRAWN,
    Features,
    Money,
    Round,
)

MOST_EVIDENCE = 10
NIGHT_HOURS = range(1, 5)
AFTER_RAISE_MS = HOUR_MS
# Of fewer there is no usual one.
FEW_PAYOUTS = 10


class Parameters(NamedTuple):
    """The settings that features and rules read. `deposit_limits`: per currency, minor units."""

    velocity_threshold: int = 10
    winning_streak_threshold: int = 20
    rapid_withdrawal_minutes: int = 5
    structuring_percent: int = 80
    deposit_limits: Mapping[str, int] = {}

    def named(self) -> dict[str, int]:
        """By the names that rules read them by."""
        return {
            "VELOCITY_THRESHOLD": self.velocity_threshold,
            "WINNING_STREAK_THRESHOLD": self.winning_streak_threshold,
            "RAPID_WITHDRAWAL_MINUTES": self.rapid_withdrawal_minutes,
        }


class Reading(NamedTuple):
    """A feature's value, when it was last so (milliseconds), and the events behind it."""

    value: int = 0
    at: int = 0
    evidence: tuple[str, ...] = ()


NAMES: Mapping[str, str] = {
    "peak_bets_per_minute": "the most bets in one minute of the last 6 hours",
    "minutes_over_velocity": "minutes of the last 6 hours with more than VELOCITY_THRESHOLD bets",
    "active_hours_24h": "hours of the last 24 with a bet",
    "bets_24h": "bets of the last 24 hours",
    "night_bets_permille": "of the bets of the last 72 hours, those between 01:00 and 05:00 UTC",
    "bets_72h": "bets of the last 72 hours",
    "winning_streak": "the longest run of wins among the last 64 rounds",
    "win_surprise": "so many wins in 30 days happen once in ten to the power of this, by the games' own chances",
    "rounds_30d": "rounds of 30 days whose chance is known",
    "opponent_rounds": "rounds of the last 64 against the most frequent opponent",
    "opponent_share_permille": "of the last 64 rounds with an opponent, those against the most frequent one",
    "opponent_one_sided_permille": "of the rounds against that opponent, those that ended as most did",
    "rapid_withdrawals": "withdrawals of the last 72 hours within RAPID_WITHDRAWAL_MINUTES of a deposit",
    "turnover_permille": "wagered to deposited over 72 hours, in the currency with the most withdrawals",
    "withdrawn_permille": "withdrawn to deposited over 72 hours, in that currency",
    "withdrawals_72h": "withdrawals of the last 72 hours, in that currency",
    "deposits_72h": "deposits of the last 72 hours, in that currency",
    "structured_deposits": "deposits of the last 72 hours just under the deposit limit",
    "failed_deposits_in_row": "deposits that failed since the last that came about",
    "failed_deposits_24h": "deposits that failed in the last 24 hours",
    "deposits_after_raise": "deposits within an hour after a limit was raised",
    "chargebacks_30d": "chargebacks of 30 days",
    "refunds_30d": "refunds of 30 days",
    "instruments_24h": "payment instruments used in the last 24 hours",
    "accounts_on_instrument": "accounts on one of the player's payment instruments, at most",
    "accounts_on_device": "accounts on one of the player's devices, at most",
    "region_changes_24h": "changes of country in the last 24 hours",
    "payout_spike": "the largest payout of 24 hours, in mean payouts of the 29 days before",
    "credits_30d": "credits without a deposit in 30 days",
    "credited_permille": "credits to deposits over 30 days",
    "account_age_hours": "since the player was first seen",
}

Readings = Mapping[str, Reading]
_Sums = list[int]

# Most players have nothing of most.
_NO_OPPONENTS = dict.fromkeys(("opponent_rounds", "opponent_share_permille", "opponent_one_sided_permille"), Reading())
_NO_ROUNDS = _NO_OPPONENTS | dict.fromkeys(("winning_streak", "win_surprise", "rounds_30d"), Reading())
_NO_MOVES = dict.fromkeys(
    (
        *("rapid_withdrawals", "turnover_permille", "withdrawn_permille", "withdrawals_72h", "deposits_72h"),
        *("structured_deposits", "deposits_after_raise"),
    ),
    Reading(),
)
_NO_ATTEMPTS = dict.fromkeys(
    ("failed_deposits_in_row", "failed_deposits_24h", "chargebacks_30d", "refunds_30d", "region_changes_24h"), Reading()
)
_NOTHING_SHARED = dict.fromkeys(("instruments_24h", "accounts_on_instrument", "accounts_on_device"), Reading())


def read(features: Features, parameters: Parameters, now: int) -> dict[str, Reading]:
    """Every feature at a moment in milliseconds. Pure: equal features and moments give equal readings."""
    found = {
        **_pace(features, parameters, now),
        **_play(features),
        **_moves(features, parameters, now),
        **_attempts(features, now),
        **_shared(features, now),
        **_days(features, now),
    }
    found["account_age_hours"] = Reading(max(now - features.first, 0) // HOUR_MS, features.latest)
    return found


def _pace(features: Features, parameters: Parameters, now: int) -> dict[str, Reading]:
    since, threshold = now // MINUTE_MS - MINUTES_KEPT, parameters.velocity_threshold
    over: list[tuple[int, str]] = []
    peak = (0, 0, "")
    for minute, (bets, ref) in features.minutes.items():
        if minute > since:
            if bets > threshold:
                over.append((minute, ref))
            peak = max(peak, (bets, minute, ref))
    over.sort()
    last = over[-1][0] if over else peak[1]
    evidence = tuple(ref for _, ref in over[-MOST_EVIDENCE:]) or ((peak[2],) if peak[0] else ())
    total, of_day, night, hours, ended = _hours_of_play(features, now)
    return {
        "peak_bets_per_minute": Reading(peak[0], last * MINUTE_MS, evidence),
        "minutes_over_velocity": Reading(len(over), last * MINUTE_MS, evidence),
        "active_hours_24h": Reading(hours, ended, evidence),
        "bets_24h": Reading(of_day, ended, evidence),
        "bets_72h": Reading(total, ended, evidence),
        "night_bets_permille": Reading(night * 1000 // total if total else 0, ended, evidence),
    }


def _hours_of_play(features: Features, now: int) -> tuple[int, int, int, int, int]:
    """Bets of 72 hours, of 24, and at night; hours of 24 with a bet; and when it ended."""
    oldest, yesterday = now // HOUR_MS - HOURS_KEPT, now // HOUR_MS - 24
    total = of_day = night = last = 0
    active: set[int] = set()
    for of in features.hours.values():
        for hour, sums in of.items():
            bets = sums[BETS]
            if bets and hour > oldest:
                total += bets
                last = max(last, hour)
                if hour % 24 in NIGHT_HOURS:
                    night += bets
                if hour > yesterday:
                    of_day += bets
                    active.add(hour)
    return total, of_day, night, len(active), min((last + 1) * HOUR_MS, features.latest) if last else 0


def _play(features: Features) -> dict[str, Reading]:
    rounds = features.rounds
    if not rounds:
        return _NO_ROUNDS
    best = start = best_end = 0
    against: dict[str, list[Round]] = {}
    for index, played in enumerate(rounds):
        if not played[2]:
            start = index + 1
        elif index + 1 - start >= best:
            best, best_end = index + 1 - start, index + 1
        if played[3]:
            against.setdefault(played[3], []).append(played)
    streak = rounds[best_end - min(best, MOST_EVIDENCE) : best_end]
    ended, recent = rounds[-1][0], _refs(rounds)
    known, lucky, chances = (sum(day[i] for day in features.luck.values()) for i in range(3))
    return {
        **(_opponents(against) if against else _NO_OPPONENTS),
        "winning_streak": Reading(best, rounds[best_end - 1][0] if best else 0, _refs(streak)),
        "win_surprise": Reading(luck.surprise(known, lucky, chances), ended, recent),
        "rounds_30d": Reading(known, ended, recent),
    }


def _opponents(against: Mapping[str, Sequence[Round]]) -> dict[str, Reading]:
    played = sum(len(rounds) for rounds in against.values())
    most = max(against.values(), key=lambda rounds: (len(rounds), rounds[-1]))
    wins = sum(won for _, _, won, _ in most)
    last, evidence = most[-1][0], _refs(most)
    return {
        "opponent_rounds": Reading(len(most), last, evidence),
        "opponent_share_permille": Reading(len(most) * 1000 // played, last, evidence),
        "opponent_one_sided_permille": Reading(max(wins, len(most) - wins) * 1000 // len(most), last, evidence),
    }


def _refs(entries: Sequence[Round] | Sequence[Money]) -> tuple[str, ...]:
    return tuple(entry[1] for entry in entries[-MOST_EVIDENCE:])


def _moves(features: Features, parameters: Parameters, now: int) -> dict[str, Reading]:
    since = now - HOURS_KEPT * HOUR_MS
    deposits = [entry for entry in features.deposits if entry[0] > since]
    withdrawals = [entry for entry in features.withdrawals if entry[0] > since]
    if not deposits and not withdrawals:
        return _NO_MOVES
    within = parameters.rapid_withdrawal_minutes * MINUTE_MS
    rapid: list[tuple[int, str, str]] = []
    for at, ref, _, currency in withdrawals:
        before = [d for d in deposits if d[3] == currency and 0 <= at - d[0] <= within]
        if before:
            rapid.append((at, before[-1][1], ref))
    structured = [
        (at, ref)
        for at, ref, amount, currency in deposits
        if (limit := parameters.deposit_limits.get(currency)) is not None
        and limit * parameters.structuring_percent <= amount * 100 < limit * 100
    ]
    raised = [
        (at, ref) for at, ref, _, _ in deposits if any(0 <= at - when <= AFTER_RAISE_MS for when, _ in features.raises)
    ]
    sums = _most_withdrawn(features, now)
    last = withdrawals[-1][0] if withdrawals else 0
    moved = _refs(sorted([*deposits, *withdrawals]))
    pairs = tuple(ref for _, *refs in rapid for ref in refs)
    return {
        "rapid_withdrawals": Reading(len(rapid), rapid[-1][0] if rapid else 0, pairs[-MOST_EVIDENCE:]),
        "turnover_permille": Reading(_permille(sums[WAGERED], sums[DEPOSITED]), last, moved),
        "withdrawn_permille": Reading(_permille(sums[WITHDRAWN], sums[DEPOSITED]), last, moved),
        "withdrawals_72h": Reading(sums[WITHDRAWALS], last, moved),
        "deposits_72h": Reading(sums[DEPOSITS], deposits[-1][0] if deposits else 0, moved),
        "structured_deposits": _several(structured),
        "deposits_after_raise": _several(raised),
    }


def _most_withdrawn(features: Features, now: int) -> _Sums:
    """72 hours' sums in the currency with the most withdrawals: amounts of two currencies are never added."""
    oldest = now // HOUR_MS - HOURS_KEPT
    best: tuple[int, int, str, _Sums] = (-1, -1, "", [0] * BUCKET)
    for currency, of in features.hours.items():
        sums = _sum(sums for hour, sums in of.items() if hour > oldest)
        best = max(best, (sums[WITHDRAWALS], sums[DEPOSITS], currency, sums))
    return best[3]


def _attempts(features: Features, now: int) -> dict[str, Reading]:
    if not (features.attempts or features.chargebacks or features.refunds or features.regions):
        return _NO_ATTEMPTS
    failed: list[tuple[int, str]] = []
    for at, ref, fine in features.attempts:
        failed = [] if fine else [*failed, (at, ref)]
    month = now - 30 * DAY_MS
    regions = [entry for entry in features.regions if entry[0] > now - DAY_MS]
    changes = [(after[0], after[1]) for before, after in pairwise(regions) if before[2] != after[2]]
    return {
        "failed_deposits_in_row": _several([entry for entry in failed if entry[0] > now - DAY_MS]),
        "failed_deposits_24h": _several(
            [(at, ref) for at, ref, fine in features.attempts if not fine and at > now - DAY_MS]
        ),
        "chargebacks_30d": _several([entry for entry in features.chargebacks if entry[0] > month]),
        "refunds_30d": _several([entry for entry in _gone_back(features) if entry[0] > month]),
        "region_changes_24h": _several(changes),
    }


def _gone_back(features: Features) -> Iterator[tuple[int, str]]:
    """The refunds that stand: one that failed or came back was given to the player again, by a reversal."""
    reversed_minor: Counter[str] = Counter()
    for _, _, command, amount in features.reversed_refunds:
        reversed_minor[command] += amount
    return ((at, ref) for at, ref, command, amount in features.refunds if reversed_minor[command] < amount)


def _shared(features: Features, now: int) -> dict[str, Reading]:
    if not features.instruments and not features.devices:
        return _NOTHING_SHARED
    used = [last for last, _ in features.instruments.values() if last > now - DAY_MS]
    found = {"instruments_24h": Reading(len(used), max(used, default=0))}
    for name, kept in (("accounts_on_instrument", features.instruments), ("accounts_on_device", features.devices)):
        most = max(((accounts, last, key) for key, (last, accounts) in kept.items()), default=None)
        if most is None:
            found[name] = Reading()
        else:
            found[name] = Reading(most[0], most[1], (most[2],))
    return found


def _days(features: Features, now: int) -> dict[str, Reading]:
    today = now // DAY_MS
    spike = credit = Reading()
    credits_30d = 0
    for of in features.days.values():
        kept = {day: sums for day, sums in of.items() if day > today - DAYS_KEPT}
        spike = max(spike, _spike(kept, today, features.latest))
        credited = [day for day, sums in kept.items() if sums[CREDITS]]
        if credited:
            credits_30d += sum(kept[day][CREDITS] for day in credited)
            share = _permille(sum(kept[day][CREDITED] for day in credited), sum(s[DEPOSITED] for s in kept.values()))
            credit = max(credit, Reading(share, min((max(credited) + 1) * DAY_MS, features.latest)))
    return {"payout_spike": spike, "credits_30d": Reading(credits_30d, credit.at), "credited_permille": credit}


def _spike(days: Mapping[int, _Sums], today: int, latest: int) -> Reading:
    """The largest payout of today and yesterday, beside the mean of the days before."""
    largest = last = paid = payouts = 0
    for day, sums in days.items():
        if day < today - 1:
            paid += sums[PAID_OUT]
            payouts += sums[PAYOUTS]
        elif sums[PAYOUTS]:
            largest, last = max(largest, sums[LARGEST_PAYOUT]), max(last, day)
    if not largest or not paid or payouts < FEW_PAYOUTS:
        return Reading()
    return Reading(largest * payouts // paid, min((last + 1) * DAY_MS, latest))


def _sum(buckets: Iterable[Sequence[int]]) -> _Sums:
    return [sum(column) for column in zip([0] * BUCKET, *buckets, strict=True)]


def _permille(part: int, whole: int) -> int:
    return part * 1000 // whole if whole else 0


def _several(entries: Sequence[tuple[int, str]]) -> Reading:
    if not entries:
        return Reading()
    return Reading(len(entries), entries[-1][0], tuple(ref for _, ref in entries[-MOST_EVIDENCE:]))
