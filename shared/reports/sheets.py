"""A report for data frames and as a workbook."""

import io
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow
import xlsxwriter
from pyarrow import parquet

from shared.figures.report import Report
from shared.reports.rows import COUNTS, NAMES, rows

_PROOF = ("report", "from", "to", "time_zone", "made_at", "key_id", "signature")


def parquet_file(report: Report) -> bytes:
    """As Parquet: amounts and ratios as decimals; the proof in the file's metadata."""
    decimals = pyarrow.decimal128(38, 4)
    fields = [pyarrow.field("date", pyarrow.date32()), pyarrow.field("currency", pyarrow.string())]
    fields += [pyarrow.field(name, pyarrow.int64() if name in COUNTS else decimals) for name in NAMES]
    proof = {name: str(report[name]) for name in _PROOF if name in report}
    schema = pyarrow.schema(fields, metadata=proof)
    values = [{**row, "date": date.fromisoformat(row["date"])} | _exact(row) for row in rows(report)]
    out = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(values, schema), out)
    return out.getvalue()


def _exact(row: dict[str, Any]) -> dict[str, Decimal | None]:
    amounts = (name for name in NAMES if name not in COUNTS)
    return {name: None if row[name] is None else Decimal(row[name]).quantize(Decimal("0.0001")) for name in amounts}


def xlsx_file(report: Report) -> bytes:
    """As a workbook: a summary, a sheet with charts for each currency, restatements, and the proof."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        book.set_properties({"title": f"Figures {report['from']} to {report['to']}"})
        formats = {
            "head": book.add_format({"bold": True, "bg_color": "#1F3A5F", "font_color": "#FFFFFF", "text_wrap": True}),
            "amount": book.add_format({"num_format": "#,##0.00;[Red]-#,##0.00"}),
            "whole": book.add_format({"num_format": "#,##0;[Red]-#,##0"}),
            "bold": book.add_format({"bold": True}),
        }
        _summary(book, report, formats)
        for currency, of_currency in report["currencies"].items():
            _currency(book, currency, of_currency, formats)
        _listed(book, "Restatements", report["restatements"], formats)
        _proof(book, report, formats)
    return out.getvalue()


def _summary(book: Any, report: Report, formats: dict[str, Any]) -> None:
    sheet = book.add_worksheet("Summary")
    sheet.set_column(0, 0, 22)
    sheet.set_column(1, 50, 16)
    sheet.write(0, 0, f"{report['from']} to {report['to']}, {report['time_zone']}", formats["bold"])
    heads = [f"{currency} {when}" for currency in report["currencies"] for when in ("period", "before")]
    sheet.write_row(2, 0, ["figure", *heads], formats["head"])
    for number, name in enumerate(NAMES, 3):
        sheet.write(number, 0, name)
        for place, currency in enumerate(report["currencies"]):
            before = report["before"]["currencies"].get(currency, {})
            _write(sheet, number, 1 + 2 * place, report["currencies"][currency][name], name, formats)
            _write(sheet, number, 2 + 2 * place, before.get(name), name, formats)
    sheet.freeze_panes(3, 1)


def _currency(book: Any, currency: str, of_currency: Report, formats: dict[str, Any]) -> None:
    sheet = book.add_worksheet(currency)
    sheet.set_column(0, 0, 12)
    sheet.set_column(1, len(NAMES), 14)
    sheet.write_row(0, 0, ["date", *NAMES], formats["head"])
    for number, (day, figures) in enumerate(of_currency["days"].items(), 1):
        sheet.write(number, 0, day)
        for place, name in enumerate(NAMES, 1):
            _write(sheet, number, place, figures[name], name, formats)
    last = len(of_currency["days"])
    for offset, (kind, names) in enumerate(
        (("column", ("deposits", "withdrawals")), ("line", ("ggr", "net_revenue")), ("line", ("liabilities",)))
    ):
        chart = book.add_chart({"type": kind})
        for name in names:
            place = NAMES.index(name) + 1
            chart.add_series(
                {
                    "name": [currency, 0, place],
                    "categories": [currency, 1, 0, last, 0],
                    "values": [currency, 1, place, last, place],
                }
            )
        chart.set_title({"name": f"{' and '.join(names).replace('_', ' ')}, {currency}"})
        sheet.insert_chart(last + 3, 1 + 6 * offset, chart)
    sheet.freeze_panes(1, 1)


def _listed(book: Any, title: str, listed: list[dict[str, Any]], formats: dict[str, Any]) -> None:
    sheet = book.add_worksheet(title)
    sheet.set_column(0, 6, 18)
    names = ("date", "currency", "figure", "before", "after", "restated_at", "cause")
    sheet.write_row(0, 0, names, formats["head"])
    for number, each in enumerate(listed, 1):
        sheet.write_row(number, 0, [each[name] for name in names])


def _proof(book: Any, report: Report, formats: dict[str, Any]) -> None:
    sheet = book.add_worksheet("Proof")
    sheet.set_column(0, 0, 18)
    sheet.set_column(1, 2, 70)
    number = 0
    for name in _PROOF:
        sheet.write_row(number, 0, [name, str(report.get(name, ""))])
        number += 1
    sheet.write_row(number, 0, ["lane", "position", "head of the chain"], formats["head"])
    for number, (lane, cut) in enumerate(report["cut"].items(), number + 1):  # noqa: B020 - it goes on where it was
        sheet.write_row(number, 0, [lane, str(cut["position"]), cut["head"]])
    sheet.write_row(number + 2, 0, ["figure", "is"], formats["head"])
    for number, (name, formula) in enumerate(report["formulas"].items(), number + 3):  # noqa: B020
        sheet.write_row(number, 0, [name, formula])


def _write(sheet: Any, row: int, column: int, value: Any, name: str, formats: dict[str, Any]) -> None:
    # A spreadsheet knows binary fractions alone; what is exact is the text, in every other form.
    if value is not None:
        whole = name in COUNTS or "." not in str(value)
        sheet.write_number(row, column, Decimal(value), formats["whole" if whole else "amount"])
