"""How a player stands with its limits and what it played, for whoever asks. Read, and decided by nobody."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.contracts.kinds import Kind
from shared.contracts.limits import IN_SECONDS, LimitName
from shared.contracts.readings import (
    BlockReading,
    Check,
    Counts,
    CurrencyMetrics,
    LimitReading,
    LimitUse,
    PendingRaise,
    PlayerMetrics,
    RestrictionsReading,
    WindowUse,
)
from wallet_service.domain.limits import NO_PLAYER_LIMIT, WINDOWED, PlayerLimit, Rules, Standing
from wallet_service.domain.needs import AccountKey, LimitKey, Loaded, Needs, needs
from wallet_service.domain.restrictions import UNRESTRICTED
from wallet_service.domain.state import Decision, PlayerAccount

_WINDOWED = {limit.name: limit for limit in WINDOWED}


def needs_of(lane: int, user_id: int, rules: Rules) -> Needs:
    """What says how a player stands in every currency that there are limits in."""
    counted = [AccountKey(lane, user_id, currency) for currency in rules.operator]
    return needs(())._replace(lanes=[lane], players=[(lane, user_id)], counted=counted)


def limits_of(lane: int, user_id: int, loaded: Loaded, rules: Rules) -> list[LimitReading]:
    """Every limit of a player in every currency that there are limits in, by currency, in the order of the names."""
    return [
        _limit(name, AccountKey(lane, user_id, currency), loaded, rules)
        for currency in sorted(rules.operator)
        for name in LimitName
    ]


def _limit(name: LimitName, key: AccountKey, loaded: Loaded, rules: Rules) -> LimitReading:
    player = loaded.limits.get(LimitKey(key.lane, key.user_id, name, key.currency), NO_PLAYER_LIMIT)
    effective = rules.limit(name, key.currency, player)
    return LimitReading(
        name=name,
        currency=key.currency,
        effective=effective,
        operator=rules.operator[key.currency].get(name),
        override=player.override,
        jurisdiction=rules.jurisdiction.get(key.currency, {}).get(name),
        own=player.own,
        pending=_pending(player),
        window=_use(name, effective, key, loaded, rules),
        withdrawals_from=_withdrawals_from(name, effective, key, loaded),
    )


def _pending(player: PlayerLimit) -> PendingRaise | None:
    if player.pending is None or player.pending_from is None:
        return None
    return PendingRaise(value=player.pending, confirmable_from=player.pending_from)


def _use(name: LimitName, effective: int | None, key: AccountKey, loaded: Loaded, rules: Rules) -> WindowUse | None:
    if name not in _WINDOWED:
        return None
    _, measure, window = _WINDOWED[name]
    account = loaded.accounts.get(key, PlayerAccount())
    began = loaded.openings.get(key, {}).get(window, account.totals)
    used = Standing(None, account.totals, {window: began}).used_minor(measure, window)
    return WindowUse(
        mode=rules.windows.mode,
        starts_at=rules.windows.start(window, loaded.now),
        used=used,
        remaining=None if effective is None else max(effective - used, 0),
    )


def _withdrawals_from(name: LimitName, effective: int | None, key: AccountKey, loaded: Loaded) -> datetime | None:
    deposited_at = loaded.accounts.get(key, PlayerAccount()).deposited_at
    if name not in IN_SECONDS or effective is None or deposited_at is None:
        return None
    ends_at = deposited_at + timedelta(seconds=effective)
    return ends_at if ends_at > loaded.now else None


def restrictions_of(lane: int, user_id: int, loaded: Loaded, rules: Rules) -> RestrictionsReading:
    """What is in force for a player now."""
    found, now = loaded.restrictions.get((lane, user_id), UNRESTRICTED), loaded.now
    excluded, block = found.excluded(now), found.block if found.blocked(now) else None
    return RestrictionsReading(
        user_id=user_id,
        exclusion=found.exclusion if excluded else None,
        excluded_until=found.excluded_until if excluded else None,
        tier=found.tier or rules.tiers.initial,
        blocked=block is not None,
        block=None if block is None else BlockReading(since=block.since, until=block.until, reason=block.reason),
    )


def check_of(decision: Decision, currency: str) -> Check:
    """A decision that was considered alone."""
    return Check(
        status=decision.status,
        reason=decision.reason,
        amount_minor=decision.amount_minor,
        currency=currency,
        credit=decision.entry.credit,
        cash_minor=decision.account.cash_minor,
        reserved_minor=decision.account.reserved_minor,
        facts=dict(decision.facts) if decision.facts else None,
    )


class Activity(NamedTuple):
    """What a player did of one kind in one currency. Amounts in minor units; what was taken back is taken off."""

    currency: str
    kind: Kind
    amount_minor: int
    times: int
    largest_minor: int


class Played(NamedTuple):
    """What a player did since a moment, and on how many days."""

    since: datetime
    activities: list[Activity]
    days_active: int


def metrics_of(
    user_id: int, days: int, loaded: Loaded, played: Played, limits: Iterable[LimitReading]
) -> PlayerMetrics:
    """A player's last days."""
    uses: dict[str, dict[LimitName, LimitUse]] = {}
    for limit in limits:
        of_currency = uses.setdefault(limit.currency, {})
        if limit.window is not None:
            of_currency[limit.name] = LimitUse(
                limit_minor=limit.effective, used_minor=limit.window.used, remaining_minor=limit.window.remaining
            )
    done: dict[str, dict[Kind, Activity]] = {}
    for activity in played.activities:
        done.setdefault(activity.currency, {})[activity.kind] = activity
    return PlayerMetrics(
        user_id=user_id,
        days=days,
        since=played.since,
        until=loaded.now,
        days_active=played.days_active,
        currencies={
            currency: _metrics(currency, done.get(currency, {}), uses.get(currency, {}))
            for currency in sorted(uses.keys() | done.keys())
        },
    )


def _metrics(currency: str, done: Mapping[Kind, Activity], uses: dict[LimitName, LimitUse]) -> CurrencyMetrics:
    deposits, bets, payouts, whole, captured = (
        done.get(kind, Activity(currency, kind, 0, 0, 0))
        for kind in (Kind.DEPOSIT, Kind.GAME_BET, Kind.GAME_PAYOUT, Kind.WITHDRAWAL, Kind.WITHDRAWAL_CAPTURE)
    )
    return CurrencyMetrics(
        deposits_minor=deposits.amount_minor,
        bets_minor=bets.amount_minor,
        payouts_minor=payouts.amount_minor,
        net_minor=bets.amount_minor - payouts.amount_minor,
        withdrawals_minor=whole.amount_minor + captured.amount_minor,
        largest_bet_minor=bets.largest_minor,
        largest_payout_minor=payouts.largest_minor,
        counts=Counts(
            deposits=deposits.times, bets=bets.times, payouts=payouts.times, withdrawals=whole.times + captured.times
        ),
        limits=uses,
    )
