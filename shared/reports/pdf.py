"""A report as PDF: a page of figures and charts for each currency, then the tables, then the proof.

The report's JSON form is attached to it, for `langsense verify-report`.
"""

from collections.abc import Iterable
from datetime import datetime

import orjson
from fpdf import FPDF
from fpdf.enums import TableBordersLayout, WrapMode, XPos, YPos
from fpdf.fonts import FontFace

from shared.figures.report import Report
from shared.reports import charts, drawing
from shared.reports.charts import CLAY, GRID, INK, MUTED, NAVY, TEAL
from shared.reports.drawing import latin
from shared.reports.tables import Card, Table, cards, last_tables, subtitle, tables

MARGIN, GAP = 36.0, 10.0
CARDS_A_ROW = 4
CARD_HEIGHT = 50.0
LINE_HEIGHT = 13.0
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
    paper.set_font(size=8)
    paper.set_draw_color(GRID)
    paper.set_fill_color("#FFFFFF")
    paper.set_line_width(0.5)
    aligned = tuple("LEFT" if number < table.texts else "RIGHT" for number in range(len(table.heads)))
    heads = FontFace(emphasis="", color=MUTED, fill_color="#F4F6F8")
    with paper.table(
        text_align=aligned,
        headings_style=heads,
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        line_height=LINE_HEIGHT,
        padding=(0, 4),
        col_widths=_widths(table),
    ) as grid:
        for cells in (table.heads, *table.rows):
            grid.row([latin(cell) for cell in cells])
    paper.ln(12)


def _widths(table: Table) -> tuple[int, ...]:
    """As wide as what stands in them, within a bound."""
    columns: Iterable[tuple[str, ...]] = zip(table.heads, *table.rows, strict=True)
    return tuple(min(max(len(cell) for cell in column), 70) + 3 for column in columns)


def _text(paper: _Paper, text: str, size: float, *, bold: bool = False) -> None:
    paper.set_font(style="B" if bold else "", size=size)
    paper.set_text_color(INK)
    mode = WrapMode.WORD if bold else WrapMode.CHAR
    paper.multi_cell(0, size * 1.5, latin(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT, wrapmode=mode)
