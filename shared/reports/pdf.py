"""A report as PDF: a page of figures and charts for each currency, then the tables, then the proof.

The report's JSON form is attached to it, for `langsense verify-report`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import orjson
from fpdf import FPDF
from fpdf.enums import WrapMode, XPos, YPos

from shared.figures.report import Report
from shared.reports import charts, drawing
from shared.reports.charts import CLAY, GRID, INK, MUTED, NAVY, TEAL
from shared.reports.drawing import latin
from shared.reports.tables import Card, Table, cards, last_tables, subtitle, tables

MARGIN, GAP = 36.0, 10.0
CARDS_A_ROW = 4
CARD_HEIGHT = 50.0
LINE_HEIGHT = 13.0
PADDING = 4.0
HEAD_FILL = "#F4F6F8"
ATTACHED = "report.json"


class _Paper(FPDF):
    """Landscape A4, with what it is of at the foot of each page."""

    def __init__(self, foot: str) -> None:
        super().__init__(orientation="landscape", unit="pt", format="A4")
        self._foot = latin(foot)
        self.set_margin(MARGIN)
        self.set_auto_page_break(True, MARGIN + 10)
        self.set_font("helvetica", size=9)

    def footer(self) -> None:
        self.set_y(-MARGIN)
        self.set_font(size=7.5)
        self.set_text_color(MUTED)
        self.cell(0, 10, self._foot)
        self.set_x(MARGIN)
        self.cell(0, 10, f"{self.page_no()} / {{nb}}", align="R")


def pdf_file(report: Report) -> bytes:
    """As PDF. The same report is the same bytes."""
    paper = _Paper(f"Financial figures, {subtitle(report)}, key {report['key_id']}")
    paper.set_title(f"Financial figures {report['from']} to {report['to']}")
    paper.set_creation_date(datetime.fromisoformat(report["made_at"]))
    for currency in report["currencies"]:
        _overview(paper, report, currency)
        for table in tables(report, currency):
            _table(paper, table)
    paper.add_page()
    if not report["currencies"]:
        _text(paper, "Nothing happened in this period.", 12)
    for table in last_tables(report):
        _table(paper, table)
    _text(paper, f"Made at {report['made_at']}. Signed with key {report['key_id']}: {report['signature']}", 7.5)
    _text(paper, f"The attached {ATTACHED} is what is signed; langsense verify-report holds it to the journal.", 7.5)
    paper.embed_file(bytes=orjson.dumps(report), basename=ATTACHED, desc="The signed report", compress=True)
    return bytes(paper.output())


def _overview(paper: _Paper, report: Report, currency: str) -> None:
    paper.add_page()
    paper.set_fill_color(NAVY)
    paper.rect(0, 0, paper.w, 58, style="F")
    paper.set_text_color("#FFFFFF")
    paper.set_font(style="B", size=19)
    paper.text(MARGIN, 30, f"Financial figures, {currency}")
    paper.set_font(size=10)
    paper.text(MARGIN, 46, latin(subtitle(report)))
    top = 72.0
    width = (paper.epw - GAP * (CARDS_A_ROW - 1)) / CARDS_A_ROW
    for number, card in enumerate(cards(report, currency)):
        row, column = divmod(number, CARDS_A_ROW)
        _card(paper, card, MARGIN + column * (width + GAP), top + row * (CARD_HEIGHT + 8), width)
    top += 2 * (CARD_HEIGHT + 8) + 6
    half = (paper.epw - GAP) / 2
    height = (paper.h - MARGIN - 10 - top) / 2
    wide = min(half, height * charts.WIDTH / charts.HEIGHT)
    drawn = charts.of_currency(currency, report["currencies"][currency])
    for number, chart in enumerate(drawn):
        place = number % 4
        if number and place == 0:
            paper.add_page()
            top = MARGIN
        row, column = divmod(place, 2)
        high = drawing.onto(paper, chart, MARGIN + column * (half + GAP), top + row * height, wide)
        paper.set_y(min(top + row * height + high + GAP, paper.h - MARGIN - 10))


def _card(paper: _Paper, card: Card, left: float, top: float, width: float) -> None:
    paper.set_draw_color(GRID)
    paper.set_line_width(0.8)
    paper.rect(left, top, width, CARD_HEIGHT, round_corners=True, corner_radius=4)
    lines = (
        (card.name, 8.5, "", MUTED, 14.0),
        (card.value, 14.0, "B", INK, 30.0),
        (card.change, 8.0, "", MUTED if card.good is None else TEAL if card.good else CLAY, 43.0),
    )
    for text, size, style, colour, down in lines:
        paper.set_font(style="B" if style else "", size=size)
        paper.set_text_color(colour)
        paper.text(left + 10, top + down, latin(text))


def _table(paper: _Paper, table: Table) -> None:
    if not table.rows:
        return
    # A table that fits a page is not torn, and no title stands alone at a page's foot.
    height = LINE_HEIGHT * (len(table.rows) + 3)
    if paper.will_page_break(height if height < paper.eph else 5 * LINE_HEIGHT):
        paper.add_page()
    _text(paper, table.title, 12, bold=True)
    widths = _widths(table, paper.epw)
    _heads(paper, table, widths)
    for cells in table.rows:
        if paper.will_page_break(LINE_HEIGHT):
            paper.add_page()
            _heads(paper, table, widths)
        _row(paper, table, widths, cells, INK)
    paper.ln(12)


def _heads(paper: _Paper, table: Table, widths: Sequence[float]) -> None:
    paper.set_font(style="", size=8)
    paper.set_draw_color(GRID)
    paper.set_line_width(0.5)
    paper.set_fill_color(HEAD_FILL)
    paper.rect(MARGIN, paper.get_y(), paper.epw, LINE_HEIGHT, style="F")
    _row(paper, table, widths, table.heads, MUTED)


def _row(paper: _Paper, table: Table, widths: Sequence[float], cells: Sequence[str], colour: str) -> None:
    # The library's own tables break lines, which costs a hundred times as much as these numbers need.
    paper.set_text_color(colour)
    left, top = MARGIN, paper.get_y()
    for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        shown = latin(cell)
        while paper.get_string_width(shown) > width - 2 * PADDING and len(shown) > 4:
            shown = f"{shown[: len(shown) * 9 // 10 - 3]}..."
        back = 0 if number < table.texts else width - 2 * PADDING - paper.get_string_width(shown)
        paper.text(left + PADDING + back, top + LINE_HEIGHT * 0.7, shown)
        left += width
    paper.line(MARGIN, top + LINE_HEIGHT, MARGIN + paper.epw, top + LINE_HEIGHT)
    paper.set_y(top + LINE_HEIGHT)


def _widths(table: Table, whole: float) -> Sequence[float]:
    """As wide as what stands in them, within a bound; together as wide as the page."""
    columns: Iterable[tuple[str, ...]] = zip(table.heads, *table.rows, strict=True)
    shares = [min(max(map(len, column)), 70) + 3 for column in columns]
    return [whole * share / sum(shares) for share in shares]


def _text(paper: _Paper, text: str, size: float, *, bold: bool = False) -> None:
    paper.set_font(style="B" if bold else "", size=size)
    paper.set_text_color(INK)
    mode = WrapMode.WORD if bold else WrapMode.CHAR
    paper.multi_cell(0, size * 1.5, latin(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT, wrapmode=mode)
