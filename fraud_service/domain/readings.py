"""Named features: what rules see of a player at a moment. All are integers; ratios are in permille."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from fraud_service.domain import luck
from fraud_service.domain.features import (
    BETS,
    CREDITED,
    CREDITS,
    DAY_MS,
    DEPOSITED,
    DEPOSITS,
    HOUR_MS,
    LARGEST_PAYOUT,
    MINUTE_MS,
    PAID_OUT,
    PAYOUTS,
    WAGERED,
    WITHDRAWALS,
    WITHDRAWN,
    Features,
)

MOST_EVIDENCE = 10
NIGHT_HOURS = range(1, 5)
AFTER_RAISE_MS = HOUR_MS


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
    since = now // MINUTE_MS - 360
    minutes = [(minute, bets, ref) for minute, (bets, ref) in features.minutes.items() if minute > since]
    over = sorted(entry for entry in minutes if entry[1] > parameters.velocity_threshold)
    peak = max(minutes, key=lambda entry: (entry[1], entry[0]), default=(0, 0, ""))
    last = over[-1][0] if over else peak[0]
    evidence = tuple(ref for _, _, ref in over[-MOST_EVIDENCE:]) or ((peak[2],) if peak[1] else ())
    by_hour: dict[int, int] = {}
    for of in features.hours.values():
        for hour, sums in of.items():
            by_hour[hour] = by_hour.get(hour, 0) + sums[BETS]
    hours = {hour: bets for hour, bets in by_hour.items() if bets and hour > now // HOUR_MS - 72}
    day = {hour: bets for hour, bets in hours.items() if hour > now // HOUR_MS - 24}
    bets = sum(hours.values())
    night = sum(count for hour, count in hours.items() if hour % 24 in NIGHT_HOURS)
    ended = (max(hours, default=0) + 1) * HOUR_MS if hours else 0
    ended = min(ended, features.latest)
    return {
        "peak_bets_per_minute": Reading(peak[1], last * MINUTE_MS, evidence),
        "minutes_over_velocity": Reading(len(over), last * MINUTE_MS, evidence),
        "active_hours_24h": Reading(len(day), ended, evidence),
        "bets_24h": Reading(sum(day.values()), ended, evidence),
        "bets_72h": Reading(bets, ended, evidence),
        "night_bets_permille": Reading(night * 1000 // bets if bets else 0, ended, evidence),
    }


def _play(features: Features) -> dict[str, Reading]:
    best: list[str] = []
    run: list[str] = []
    at = ended = 0
    for when, ref, won, _ in features.rounds:
        run = [*run, ref] if won else []
        if won and len(run) >= len(best):
            best, at = run, when
        ended = when
    against: dict[str, list[tuple[bool, int, str]]] = {}
    for when, ref, won, opponent in features.rounds:
        if opponent:
            against.setdefault(opponent, []).append((won, when, ref))
    played = sum(len(rounds) for rounds in against.values())
    most = max(against.values(), key=lambda rounds: (len(rounds), rounds[-1]), default=[])
    wins = sum(won for won, _, _ in most)
    last = most[-1][1] if most else 0
    evidence = tuple(ref for _, _, ref in most[-MOST_EVIDENCE:])
    one_sided = max(wins, len(most) - wins) * 1000 // len(most) if most else 0
    known, lucky, chances = (sum(day[i] for day in features.luck.values()) for i in range(3))
    recent = tuple(ref for _, ref, _, _ in features.rounds[-MOST_EVIDENCE:])
    return {
        "winning_streak": Reading(len(best), at, tuple(best[-MOST_EVIDENCE:])),
        "win_surprise": Reading(luck.surprise(known, lucky, chances), ended, recent),
        "rounds_30d": Reading(known, ended, recent),
        "opponent_rounds": Reading(len(most), last, evidence),
        "opponent_share_permille": Reading(len(most) * 1000 // played if played else 0, last, evidence),
        "opponent_one_sided_permille": Reading(one_sided, last, evidence),
    }


def _moves(features: Features, parameters: Parameters, now: int) -> dict[str, Reading]:
    since = now - 72 * HOUR_MS
    deposits = [entry for entry in features.deposits if entry[0] > since]
    withdrawals = [entry for entry in features.withdrawals if entry[0] > since]
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
    sums = _most_withdrawn(features, now)
    last = withdrawals[-1][0] if withdrawals else 0
    moved = tuple(ref for _, ref, _, _ in sorted([*deposits, *withdrawals])[-MOST_EVIDENCE:])
    pairs = tuple(ref for _, *refs in rapid for ref in refs)
    raised = [
        (at, ref) for at, ref, _, _ in deposits if any(0 <= at - when <= AFTER_RAISE_MS for when, _ in features.raises)
    ]
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
    found = [
        (_sum(sums for hour, sums in of.items() if hour > now // HOUR_MS - 72), currency)
        for currency, of in features.hours.items()
    ]
    none = ([0] * 11, "")
    return max(found, key=lambda entry: (entry[0][WITHDRAWALS], entry[0][DEPOSITS], entry[1]), default=none)[0]


def _attempts(features: Features, now: int) -> dict[str, Reading]:
    failed: list[tuple[int, str]] = []
    for at, ref, fine in features.attempts:
        failed = [] if fine else [*failed, (at, ref)]
    back = [entry for entry in features.chargebacks if entry[0] > now - 30 * DAY_MS]
    regions = [entry for entry in features.regions if entry[0] > now - DAY_MS]
    changes = [(after[0], after[1]) for before, after in pairwise(regions) if before[2] != after[2]]
    return {
        "failed_deposits_in_row": _several([entry for entry in failed if entry[0] > now - DAY_MS]),
        "failed_deposits_24h": _several(
            [(at, ref) for at, ref, fine in features.attempts if not fine and at > now - DAY_MS]
        ),
        "chargebacks_30d": _several(back),
        "region_changes_24h": _several(changes),
    }


def _shared(features: Features, now: int) -> dict[str, Reading]:
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
    for _, of in sorted(features.days.items()):
        kept = {day: sums for day, sums in of.items() if day > today - 30}
        sums = _sum(kept.values())
        recent = {day: sums for day, sums in kept.items() if day >= today - 1 and sums[PAYOUTS]}
        before = _sum(sums for day, sums in kept.items() if day < today - 1)
        if recent and before[PAID_OUT] and before[PAYOUTS] >= 10:
            largest = max(sums[LARGEST_PAYOUT] for sums in recent.values())
            times = largest * before[PAYOUTS] // before[PAID_OUT]
            spike = max(spike, Reading(times, min((max(recent) + 1) * DAY_MS, features.latest)))
        credited = [day for day, sums in kept.items() if sums[CREDITS]]
        if credited:
            credits_30d += sums[CREDITS]
            at = min((max(credited) + 1) * DAY_MS, features.latest)
            credit = max(credit, Reading(_permille(sums[CREDITED], sums[DEPOSITED]), at))
    return {
        "payout_spike": spike,
        "credits_30d": Reading(credits_30d, credit.at),
        "credited_permille": credit,
    }


def _sum(buckets: Iterable[Sequence[int]]) -> _Sums:
    return [sum(column) for column in zip([0] * 11, *buckets, strict=True)]


def _permille(part: int, whole: int) -> int:
    return part * 1000 // whole if whole else 0


def _several(entries: Sequence[tuple[int, str]]) -> Reading:
    if not entries:
        return Reading()
    return Reading(len(entries), entries[-1][0], tuple(ref for _, ref in entries[-MOST_EVIDENCE:]))
