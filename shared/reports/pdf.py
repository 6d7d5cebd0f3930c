"""A report as PDF."""

from shared.figures.report import Report


def pdf_file(report: Report) -> bytes:
    """As PDF."""
    return b""
