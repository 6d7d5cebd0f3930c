"""The forms of a report, and what makes each."""

from collections.abc import Callable, Mapping

import orjson

from shared.contracts.reports import Format
from shared.figures.report import Report
from shared.reports import page, pdf, rows, sheets


def render(report: Report, form: Format) -> bytes:
    """A report in a form. It may take seconds: not for an event loop."""
    return _FORMS[form](report)


def _json(report: Report) -> bytes:
    return orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n"


_FORMS: Mapping[Format, Callable[[Report], bytes]] = {
    Format.JSON: _json,
    Format.CSV: rows.csv_file,
    Format.XLSX: sheets.xlsx_file,
    Format.PDF: pdf.pdf_file,
    Format.PARQUET: sheets.parquet_file,
    Format.HTML: page.html_page,
}
