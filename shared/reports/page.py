"""A report as a page."""

from shared.figures.report import Report


def html_page(report: Report) -> bytes:
    """As one HTML file that needs no other."""
    return b""
