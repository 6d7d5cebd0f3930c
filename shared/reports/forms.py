"""The forms of a report, and what makes each."""

from collections.abc import Callable, Mapping
from enum import StrEnum

import orjson

from shared.figures.report import Report
from shared.reports import page, pdf, sheets


class Format(StrEnum):
    """The forms of a report."""

    JSON = "json"
    CSV = "csv"
    XLSX = "xlsx"
    PDF = "pdf"
    PARQUET = "parquet"
    HTML = "html"

    @property
    def media_type(self) -> str:
        """Its media type."""
        return _FORMS[self][0]


def render(report: Report, form: Format) -> bytes:
    """A report in a form. It may take a second: not for an event loop."""
    return _FORMS[form][1](report)


def _json(report: Report) -> bytes:
    return orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n"


_FORMS: Mapping[Format, tuple[str, Callable[[Report], bytes]]] = {
    Format.JSON: ("application/json", _json),
    Format.CSV: ("text/csv; charset=utf-8", sheets.csv_file),
    Format.XLSX: ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", sheets.xlsx_file),
    Format.PDF: ("application/pdf", pdf.pdf_file),
    Format.PARQUET: ("application/vnd.apache.parquet", sheets.parquet_file),
    Format.HTML: ("text/html; charset=utf-8", page.html_page),
}
