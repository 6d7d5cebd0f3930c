"""A report as a page in a mail: its charts are pictures beside it."""

from html import escape

from shared.figures.report import Report
from shared.reports import drawing
from shared.reports.drawing import Drawing
from shared.reports.page import page


def mailed(report: Report) -> tuple[str, dict[str, bytes]]:
    """The page, and each of its pictures (PNG) by the content id that the page names it by."""
    pictures: dict[str, bytes] = {}

    def draw(chart: Drawing) -> str:
        name = f"chart-{len(pictures) + 1}@langsense"
        pictures[name] = drawing.png(chart)
        return f'<img src="cid:{name}" width="{chart.width:g}" alt="{escape(chart.title)}">'

    return page(report, draw), pictures
