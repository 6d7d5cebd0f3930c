"""What a report's page and its PDF show beside the charts: headline figures and tables, as texts."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from shared.figures.report import Report
from shared.reports.charts import words

# The figures at the top, each with its name for people and whether more of it is better.
HEADLINES = (
    ("net_revenue", "Net revenue", True),
    ("ggr", "GGR", True),
    ("hold_percentage", "Hold", None),
    ("bets", "Bets", True),
    ("deposits", "Deposits", True),
    ("withdrawals", "Withdrawals", None),
    ("active_players", "Active players", True),
    ("liabilities", "Owed to players", None),
)
# How net revenue comes about: each line, and what it does to the one before.
BRIDGE = (
    ("bets", "Bets", ""),
    ("payouts", "Payouts", "-"),
    ("ggr", "Gross gaming revenue", "="),
    ("refunds", "Refunds", "-"),
    ("chargebacks", "Chargebacks", "-"),
    ("provider_fees", "Provider fees", "-"),
    ("adjustments", "Adjustments", "-"),
    ("net_revenue", "Net revenue", "="),
)
DAILY = ("deposits", "withdrawals", "bets", "payouts", "ggr", "hold_percentage", "net_revenue", "active_players")


class Card(NamedTuple):
    """A headline figure: its name, its value, how it changed, and whether that is good news; None: neither."""

    name: str
    value: str
    change: str
    good: bool | None


class Table(NamedTuple):
    """A table: its title, its heads, its rows. The first `texts` columns are words, the others numbers."""

    title: str
    heads: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    texts: int = 1


def cards(report: Report, currency: str) -> Iterator[Card]:
    """The headline figures of a currency, beside those of the period before."""
    now, before = report["currencies"][currency], report["before"]["currencies"].get(currency, {})
    for name, title, more_is_better in HEADLINES:
        change = _change(now[name], before.get(name), points=name == "hold_percentage")
        good = None if more_is_better is None or change[:1] not in "+-" else change.startswith("+") is more_is_better
        yield Card(title, shown(now[name], name), change, good)


def tables(report: Report, currency: str) -> Iterator[Table]:
    """The tables of a currency."""
    figures = report["currencies"][currency]
    before = report["before"]["currencies"].get(currency, {})
    bridge = [(f"{sign} {title}".strip(), shown(figures[n], n), shown(before.get(n), n)) for n, title, sign in BRIDGE]
    yield Table(f"From bets to net revenue, {currency}", ("", "This period", "The period before"), bridge)
    games = [(n, *(shown(of[k], k) for k in _GAME)) for n, of in list(figures["games"].items())[:12]]
    yield Table(f"Games, {currency}", ("Game", "Bets", "Payouts", "GGR", "Hold", "Number of bets"), games)
    providers = [(n, *(shown(of[k], k) for k in _PROVIDER)) for n, of in figures["providers"].items()]
    heads = ("Provider", "Deposits", "Withdrawals", "Refunds", "Chargebacks", "Fees")
    yield Table(f"Payment providers, {currency}", heads, providers)
    wins = [
        (win["date"], win["game"], f"player {win['user_id']}", shown(win["amount"], "amount"))
        for win in figures["largest_wins"][:5]
    ]
    yield Table(f"Largest wins, {currency}", ("Date", "Game", "Player", "Amount"), wins, texts=3)
    daily = [(day, *(shown(of[n], n) for n in DAILY)) for day, of in figures["days"].items()]
    yield Table(f"Day by day, {currency}", ("Date", *(words(name) for name in DAILY)), daily)


def last_tables(report: Report) -> Iterator[Table]:
    """What stands at a report's end: restatements, formulas, and where it was cut from the journal."""
    restated = [
        (
            *(each["date"], each["currency"], words(each["figure"]), each["restated_at"][:16], each["cause"]),
            *(_of(each["before"]), _of(each["after"])),
        )
        for each in report["restatements"]
    ]
    heads = ("Date", "Currency", "Figure", "Restated at", "Cause", "Before", "After")
    yield Table("Restatements of closed days", heads, restated, texts=5)
    yield Table("How the figures are made", ("Figure", "Is"), list(report["formulas"].items()), texts=2)
    cut = [(lane, str(at["position"]), at["head"]) for lane, at in report["cut"].items()]
    yield Table("Where the journal was cut", ("Lane", "Position", "Head of the chain"), cut, texts=3)


def subtitle(report: Report) -> str:
    """The period in words."""
    first, last = report["from"], report["to"]
    days = first if first == last else f"{first} to {last}"
    count = len(report["open_days"])
    still = f", {count} {'day is' if count == 1 else 'days are'} not closed yet" if count else ""
    return f"{days} ({report['time_zone']}){still}"


def shown(value: Any, name: str) -> str:
    """A figure for people: thousands apart, a ratio with its sign."""
    if value is None:
        return "-"
    if name == "hold_percentage":
        return f"{value} %"
    return f"{Decimal(value):,}"


_GAME = ("bets", "payouts", "ggr", "hold_percentage", "bet_count")
_PROVIDER = ("deposits", "withdrawals", "refunds", "chargebacks", "fees")


def _change(now: Any, before: Any, *, points: bool) -> str:
    if now is None or before is None:
        return "no figure before"
    difference = Decimal(now) - Decimal(before)
    if points:
        return f"{difference:+} points"
    if Decimal(before) == 0:
        return "nothing before"
    return f"{100 * difference / abs(Decimal(before)):+,.1f} %"


def _of(value: str | None) -> str:
    return "-" if value is None else value
