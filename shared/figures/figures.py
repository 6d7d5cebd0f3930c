"""Figures of a period: pure functions over facts. Money is in minor units; ratios are exact until they are rounded."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from shared.contracts.kinds import Kind, Status
from shared.figures.facts import Facts, HourLine, Line, Win
from shared.figures.rules import SIGNS, Owed, signed
from shared.money import NO_CURRENCY, to_decimal

# So many games have a line of their own, the most played ones; the others are one line.
MOST_GAMES = 30
OTHER_GAMES = "(other games)"
_OF_GAMES = ("bets", "payouts")
_OF_HOURS = ("deposits", "withdrawals", *_OF_GAMES)
_OF_PROVIDERS = ("deposits", "withdrawals", "refunds", "chargebacks")


@dataclass(slots=True)
class KindFigures:
    """Rows of one kind: posted, refused, and what the posted ones moved."""

    posted: int = 0
    refused: int = 0
    amount_minor: int = 0


@dataclass(slots=True)
class Headline:
    """The figures that a day and a period both have, of one currency."""

    deposits_minor: int = 0
    withdrawals_minor: int = 0
    bets_minor: int = 0
    payouts_minor: int = 0
    ggr_minor: int = 0
    refunds_minor: int = 0
    chargebacks_minor: int = 0
    provider_fees_minor: int = 0
    adjustments_minor: int = 0
    net_revenue_minor: int = 0
    hold_percentage: str | None = None
    average_stake_minor: int | None = None
    bet_count: int = 0
    active_players: int = 0
    new_players: int = 0
    refused: int = 0
    cash_owed_minor: int = 0
    reserved_owed_minor: int = 0
    liabilities_minor: int = 0


@dataclass(slots=True)
class GameFigures:
    """One game's figures."""

    bets_minor: int = 0
    payouts_minor: int = 0
    ggr_minor: int = 0
    bet_count: int = 0
    hold_percentage: str | None = None


@dataclass(slots=True)
class ProviderFigures:
    """What went through one provider."""

    deposits_minor: int = 0
    withdrawals_minor: int = 0
    refunds_minor: int = 0
    chargebacks_minor: int = 0
    fees_minor: int = 0


@dataclass(slots=True)
class HourFigures:
    """What one hour of a day moved."""

    deposits_minor: int = 0
    withdrawals_minor: int = 0
    bets_minor: int = 0
    payouts_minor: int = 0
    ggr_minor: int = 0


@dataclass(slots=True)
class WinFigures:
    """One of the largest wins."""

    amount_minor: int
    user_id: int
    game: str
    date: str
    lane: int
    position: int


@dataclass(slots=True)
class CurrencyFigures(Headline):
    """One currency's figures of a period. Refusals are counted by reason."""

    kinds: dict[str, KindFigures] = field(default_factory=lambda: defaultdict(KindFigures))
    refusals: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    games: dict[str, GameFigures] = field(default_factory=lambda: defaultdict(GameFigures))
    providers: dict[str, ProviderFigures] = field(default_factory=lambda: defaultdict(ProviderFigures))
    largest_wins: list[WinFigures] = field(default_factory=list)


Days = dict[str, dict[date, Headline]]


def of_period(facts: Facts) -> dict[str, CurrencyFigures]:
    """The figures of the whole period, by currency."""
    found: dict[str, CurrencyFigures] = defaultdict(CurrencyFigures)
    for line in _of_currencies(facts.lines):
        if line.day is None:
            _count(found[line.currency], line)
            _break_down(found[line.currency], line)
    for players in facts.active:
        if players.day is None:
            found[players.currency].active_players = players.number
    for players in facts.new:
        if players.day is None:
            found[players.currency].new_players = players.number
    for fee in facts.fees:
        found[fee.currency].provider_fees_minor += fee.fee_minor
        found[fee.currency].providers[fee.provider].fees_minor += fee.fee_minor
    for change in facts.owed:
        _owe(found[change.currency], change.change)
    for win in facts.wins:
        found[win.currency].largest_wins.append(_win(win))
    for figures in found.values():
        _conclude(figures)
        figures.games = _most_played(figures.games)
        figures.kinds = dict(sorted(figures.kinds.items()))
        figures.refusals = dict(sorted(figures.refusals.items()))
        figures.providers = dict(sorted(figures.providers.items()))
    return dict(sorted(found.items()))


def of_days(facts: Facts) -> Days:
    """The figures of each day, by currency: every day of the period, whether or not something happened."""
    found: Days = {currency: {day: Headline() for day in days_of(facts)} for currency in sorted(_currencies(facts))}
    for line in _of_currencies(facts.lines):
        if line.day is not None:
            _count(found[line.currency][line.day], line)
    for active in facts.active:
        if active.day is not None:
            found[active.currency][active.day].active_players = active.number
    for new in facts.new:
        if new.day is not None:
            found[new.currency][new.day].new_players = new.number
    for fee in facts.fees:
        found[fee.currency][fee.day].provider_fees_minor += fee.fee_minor
    _add_up_owed(facts, found)
    for days in found.values():
        for figures in days.values():
            _conclude(figures)
    return found


def of_hours(lines: Iterable[HourLine], currency: str) -> dict[int, HourFigures]:
    """The figures of each hour in which something was posted."""
    found: dict[int, HourFigures] = defaultdict(HourFigures)
    for line in lines:
        if line.currency == currency:
            _add(found[line.hour], _OF_HOURS, line.kind, line.of_kind, line.amount_minor)
    for figures in found.values():
        figures.ggr_minor = figures.bets_minor - figures.payouts_minor
    return dict(sorted(found.items()))


def days_of(facts: Facts) -> Iterator[date]:
    """Each day of the period."""
    return (facts.first + timedelta(days=count) for count in range((facts.last - facts.first).days + 1))


def percentage(part: int, whole: int) -> str | None:
    """Of two whole numbers, with two decimals, half to even: (1, 3) is "33.33". None of nothing."""
    if whole == 0:
        return None
    return to_decimal(rounded(part * 10_000, whole), "USD")


def rounded(dividend: int, divisor: int) -> int:
    """The nearest whole number to a fraction, of two that are as near the even one."""
    if divisor < 0:
        dividend, divisor = -dividend, -divisor
    whole, left = divmod(dividend, divisor)
    return whole + (2 * left > divisor or (2 * left == divisor and whole % 2))


def in_decimals(value: Any, currency: str) -> Any:
    """A tree with every `…_minor` in it, null or not, as a decimal string under its name without that ending."""
    if isinstance(value, list):
        return [in_decimals(inner, currency) for inner in value]
    if not isinstance(value, Mapping):
        return value
    return {
        name.removesuffix("_minor"): to_decimal(inner, currency)
        if name.endswith("_minor") and inner is not None
        else in_decimals(inner, currency)
        for name, inner in value.items()
    }


def _currencies(facts: Facts) -> set[str]:
    of_all = (facts.lines, facts.active, facts.new, facts.owed, facts.fees)
    return {each.currency for some in of_all for each in some} - {NO_CURRENCY}


def _of_currencies(lines: Iterable[Line]) -> Iterator[Line]:
    # What is about a player as a whole is no figure of any currency.
    return (line for line in lines if line.currency != NO_CURRENCY)


def _count(figures: Headline, line: Line) -> None:
    if line.status != Status.POSTED:
        figures.refused += line.rows
        return
    _add(figures, SIGNS, line.kind, line.of_kind, line.amount_minor)
    if line.kind == Kind.GAME_BET:
        figures.bet_count += line.rows
        # The sum of all stakes until `_conclude` divides it.
        figures.average_stake_minor = (figures.average_stake_minor or 0) + line.amount_minor


def _add(figures: object, names: Iterable[str], kind: str, of_kind: str, amount_minor: int) -> None:
    for name in names:
        if sign := signed(name, kind, of_kind):
            field_name = f"{name}_minor"
            setattr(figures, field_name, getattr(figures, field_name) + sign * amount_minor)


def _break_down(figures: CurrencyFigures, line: Line) -> None:
    kind = figures.kinds[line.kind]
    if line.status != Status.POSTED:
        kind.refused += line.rows
        figures.refusals[line.reason] += line.rows
        return
    kind.posted += line.rows
    kind.amount_minor += line.amount_minor
    if line.game:
        game = figures.games[line.game]
        _add(game, _OF_GAMES, line.kind, line.of_kind, line.amount_minor)
        game.bet_count += line.rows if line.kind == Kind.GAME_BET else 0
    if line.provider:
        _add(figures.providers[line.provider], _OF_PROVIDERS, line.kind, line.of_kind, line.amount_minor)


def _owe(figures: Headline, owed: Owed) -> None:
    figures.cash_owed_minor += owed.cash_minor
    figures.reserved_owed_minor += owed.reserved_minor


def _add_up_owed(facts: Facts, found: Days) -> None:
    changes: dict[tuple[str, date], Owed] = defaultdict(lambda: Owed(0, 0))
    for each in facts.owed:
        day = max(each.day, facts.first)
        changes[each.currency, day] = changes[each.currency, day].and_also(each.change)
    for currency, days in found.items():
        owed = Owed(0, 0)
        for day, figures in days.items():
            owed = owed.and_also(changes[currency, day])
            _owe(figures, owed)


def _conclude(figures: Headline) -> None:
    figures.ggr_minor = figures.bets_minor - figures.payouts_minor
    figures.net_revenue_minor = (
        figures.ggr_minor
        - figures.refunds_minor
        - figures.chargebacks_minor
        - figures.provider_fees_minor
        - figures.adjustments_minor
    )
    figures.hold_percentage = percentage(figures.ggr_minor, figures.bets_minor)
    if figures.average_stake_minor is not None:
        figures.average_stake_minor = rounded(figures.average_stake_minor, figures.bet_count)
    figures.liabilities_minor = figures.cash_owed_minor + figures.reserved_owed_minor


def _most_played(games: Mapping[str, GameFigures]) -> dict[str, GameFigures]:
    ranked = sorted(games.items(), key=lambda item: (-item[1].bets_minor, item[0]))
    shown = dict(ranked[:MOST_GAMES])
    if len(ranked) > MOST_GAMES:
        others = shown[OTHER_GAMES] = GameFigures()
        for _, game in ranked[MOST_GAMES:]:
            others.bets_minor += game.bets_minor
            others.payouts_minor += game.payouts_minor
            others.bet_count += game.bet_count
    for game in shown.values():
        game.ggr_minor = game.bets_minor - game.payouts_minor
        game.hold_percentage = percentage(game.ggr_minor, game.bets_minor)
    return shown


def _win(win: Win) -> WinFigures:
    return WinFigures(win.amount_minor, win.user_id, win.game, win.day.isoformat(), win.lane, win.position)
