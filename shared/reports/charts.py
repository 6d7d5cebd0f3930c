"""Charts of a report's figures, as drawings."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from math import ceil, floor, log10

from shared.figures.figures import OTHER_GAMES
from shared.figures.report import Report
from shared.reports.drawing import Drawing, Label, Line, Rect

INK, MUTED, GRID = "#1B2733", "#66727F", "#E3E8ED"
NAVY, TEAL, AMBER, CLAY = "#1F3A5F", "#2A9D8F", "#E9A23B", "#C8553D"
WIDTH, HEIGHT = 520, 250
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 52, 26
TICKS = 4
MOST_BARS = 8
MOST_DATES = 8

_NAMED = {"ggr": "GGR", "hold_percentage": "Hold", "liabilities": "Cash and reserved, at the end of the day"}

Series = Mapping[str, Sequence[Decimal]]


def of_currency(currency: str, figures: Report) -> list[Drawing]:
    """What a reader wants to see of a currency, the most telling first."""
    days = list(figures["days"])
    of_days = figures["days"].values()

    def series(*names: str) -> Series:
        return {words(name): [Decimal(day[name]) for day in of_days] for name in names}

    charts = [
        columns(f"GGR and net revenue, {currency}", days, series("ggr", "net_revenue"), (TEAL, NAVY)),
        columns(f"Deposits and withdrawals, {currency}", days, series("deposits", "withdrawals"), (NAVY, AMBER)),
        lines(f"Owed to players, {currency}", days, series("liabilities"), (CLAY,)),
        columns("Active and new players", days, series("active_players", "new_players"), (TEAL, AMBER)),
    ]
    named = ((name, of) for name, of in figures["games"].items() if name != OTHER_GAMES)
    games = sorted(named, key=lambda item: (-abs(Decimal(item[1]["ggr"])), item[0]))
    if games:
        charts.append(bars(f"GGR by game, {currency}", [(name, Decimal(of["ggr"])) for name, of in games]))
    if figures["refusals"]:
        ranked = sorted(figures["refusals"].items(), key=lambda item: (-item[1], item[0]))
        charts.append(bars("Refusals by reason", [(words(name), Decimal(count)) for name, count in ranked]))
    return charts


def lines(title: str, days: Sequence[str], series: Series, colours: Sequence[str]) -> Drawing:
    """A line for each series, a point a day. A single day is columns."""
    if len(days) == 1:
        return columns(title, days, series, colours)
    drawing, scale = _sheet(title, days, series, colours)
    step = _plot_width() / (len(days) - 1)
    for values, colour in zip(series.values(), colours, strict=True):
        points = [(LEFT + number * step, scale.y(value)) for number, value in enumerate(values)]
        drawing.shapes.append(Line(points, colour, 2.2))
    _dates(drawing, days, step, LEFT)
    return drawing


def columns(title: str, days: Sequence[str], series: Series, colours: Sequence[str]) -> Drawing:
    """A column for each series and day, side by side."""
    drawing, scale = _sheet(title, days, series, colours)
    step = _plot_width() / len(days)
    width = min(step * 0.76 / len(series), 34)
    for place, (values, colour) in enumerate(zip(series.values(), colours, strict=True)):
        for number, value in enumerate(values):
            x = LEFT + (number + 0.5) * step + (place - len(series) / 2) * width
            top, foot = sorted((scale.y(value), scale.y(Decimal(0))))
            drawing.shapes.append(Rect(x, top, width * 0.92, foot - top, colour))
    _dates(drawing, days, step, LEFT + step / 2)
    return drawing


def bars(title: str, items: Sequence[tuple[str, Decimal]]) -> Drawing:
    """A bar for each item, the first ones; what is below zero is in another colour."""
    shown = items[:MOST_BARS]
    drawing = Drawing(WIDTH, HEIGHT, title, [Label(4, 18, title, 13, INK, bold=True)])
    most = max((abs(value) for _, value in shown), default=Decimal(0)) or Decimal(1)
    named, row = 150, (HEIGHT - 36) / MOST_BARS
    for number, (name, value) in enumerate(shown):
        y = 34 + number * row
        width = float(abs(value) / most) * (WIDTH - named - 76)
        drawing.shapes.append(Label(named - 8, y + row * 0.62, _cut(name), 10, INK, "end"))
        drawing.shapes.append(Rect(named, y + 3, max(width, 1), row - 8, CLAY if value < 0 else TEAL))
        drawing.shapes.append(Label(named + width + 6, y + row * 0.62, short(value), 10, MUTED))
    return drawing


def short(value: Decimal) -> str:
    """A number as an axis has it: 1.5M, 20k."""
    for letter, power in (("B", 9), ("M", 6), ("k", 3)):
        if abs(value) >= 10**power:
            text = f"{value.scaleb(-power):.2f}".rstrip("0").rstrip(".")
            return f"{text}{letter}"
    text = f"{value:.2f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class _Scale:
    """Where values are on the sheet: its ends are round numbers, and zero is always on it."""

    def __init__(self, values: Sequence[Decimal]) -> None:
        low, high = min([*values, Decimal(0)]), max([*values, Decimal(0)])
        span = float(high - low) or 1.0
        power = 10.0 ** floor(log10(span / TICKS))
        step = next(power * each for each in (1, 2, 2.5, 5, 10) if span / (power * each) <= TICKS)
        self.step = Decimal(str(step))
        self._low = floor(low / self.step) * self.step
        self._high = max(ceil(high / self.step), 1) * self.step

    def ticks(self) -> Iterator[Decimal]:
        value = self._low
        while value <= self._high:
            yield value
            value += self.step

    def y(self, value: Decimal) -> float:
        share = float((value - self._low) / (self._high - self._low))
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _sheet(title: str, days: Sequence[str], series: Series, colours: Sequence[str]) -> tuple[Drawing, _Scale]:
    drawing = Drawing(WIDTH, HEIGHT, title, [Label(4, 18, title, 13, INK, bold=True)])
    scale = _Scale([value for values in series.values() for value in values])
    for tick in scale.ticks():
        y = scale.y(tick)
        drawing.shapes.append(Line([(LEFT, y), (WIDTH - RIGHT, y)], MUTED if tick == 0 else GRID, 0.8))
        drawing.shapes.append(Label(LEFT - 6, y + 3.5, short(tick), 9.5, MUTED, "end"))
    x = 4.0
    for name, colour in zip(series, colours, strict=True):
        drawing.shapes.append(Rect(x, 28, 9, 9, colour))
        drawing.shapes.append(Label(x + 13, 36, name, 10, MUTED))
        x += 30 + 5.6 * len(name)
    return drawing, scale


def _dates(drawing: Drawing, days: Sequence[str], step: float, start: float) -> None:
    every = ceil(len(days) / MOST_DATES)
    for number in range(0, len(days), every):
        drawing.shapes.append(Label(start + number * step, HEIGHT - 9, days[number][5:], 9.5, MUTED, "middle"))


def _plot_width() -> float:
    return WIDTH - LEFT - RIGHT


def words(name: str) -> str:
    """A figure's or a reason's name for people."""
    return _NAMED.get(name, name.replace("_", " ").capitalize())


def _cut(name: str) -> str:
    return name if len(name) <= 26 else f"{name[:25]}..."
