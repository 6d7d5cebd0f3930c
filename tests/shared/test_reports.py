"""A report as a document: every form says the same, and shows text as text."""

import csv
import io
import json
import zipfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow.parquet
import pytest

from shared.checkpoints import SigningKeys
from shared.contracts.reports import Format
from shared.figures import report
from shared.figures.facts import Cut, Facts, Fee, Line, OwedOn, Players, Win
from shared.figures.report import Corrected
from shared.figures.rules import Owed
from shared.reports import charts, drawing
from shared.reports.charts import short
from shared.reports.forms import render
from shared.reports.mail import mailed

FIRST, LAST = date(2026, 11, 1), date(2026, 11, 3)
NOW = datetime(2026, 11, 4, tzinfo=UTC)
EVIL = "<script>alert(1)</script>\u2603"


def facts(first: date, last: date) -> Facts:
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]

    def lines(kind: str, amount: int, **more: str) -> list[Line]:
        texts = {"of_kind": "", "status": "posted", "reason": "", "game": "", "provider": ""} | more
        return [Line(day=day, currency="USD", kind=kind, rows=1, amount_minor=amount, **texts) for day in (None, *days)]

    return Facts(
        first,
        last,
        [
            *lines("GAME_BET", 1_234_567, game=EVIL),
            *lines("GAME_PAYOUT", 400_000, game=EVIL),
            *lines("DEPOSIT", 5_000, provider="stripe"),
            *lines("GAME_BET", 9, status="refused", reason="INSUFFICIENT_FUNDS"),
        ],
        active=[Players(day, "USD", 3) for day in (None, *days)],
        owed=[OwedOn(day, "USD", Owed(100, 5)) for day in days],
        fees=[Fee(first, "USD", "stripe", 42)],
        wins=[Win("USD", 400_000, 1, 2, 42, EVIL, first)],
        cut={0: Cut(7, "ab" * 32)},
    )


@pytest.fixture
def made() -> dict[str, Any]:
    found = report.of(
        facts(FIRST, LAST),
        facts(*report.days_before(FIRST, LAST)),
        time_zone="UTC",
        made_at=NOW,
        open_days=[LAST],
        corrected=[Corrected(FIRST, "USD", "ggr", "1", "2", NOW, EVIL)],
    )
    return report.signed(found, SigningKeys.parse("r1:" + "7e" * 32))


def test_json_is_the_report_and_its_signature_holds(made: dict[str, Any]) -> None:
    found = json.loads(render(made, Format.JSON))
    public = SigningKeys.parse("r1:" + "7e" * 32).public()
    assert found == made
    assert report.wrong_signature(found, public) is None
    assert found["formulas"]["net_revenue"] == "ggr - refunds - chargebacks - provider_fees - adjustments"
    found["currencies"]["USD"]["ggr"] += "0"
    assert report.wrong_signature(found, public) == "has a signature that is not its key's"


def test_csv_has_a_row_a_day_with_every_figure(made: dict[str, Any]) -> None:
    rows = list(csv.DictReader(io.StringIO(render(made, Format.CSV).decode())))
    assert [row["date"] for row in rows] == ["2026-11-01", "2026-11-02", "2026-11-03"]
    days = made["currencies"]["USD"]["days"]
    assert all(row["net_revenue"] == days[row["date"]]["net_revenue"] for row in rows)


def test_parquet_has_exact_decimals_and_the_proof(made: dict[str, Any]) -> None:
    table = pyarrow.parquet.read_table(io.BytesIO(render(made, Format.PARQUET)))
    assert table.column("ggr").to_pylist() == [Decimal("8345.6700")] * 3
    assert table.column("date").to_pylist()[0] == FIRST
    assert table.schema.metadata[b"signature"].decode() == made["signature"]


def test_a_workbook_has_a_sheet_for_each_currency_its_charts_and_the_proof(made: dict[str, Any]) -> None:
    with zipfile.ZipFile(io.BytesIO(render(made, Format.XLSX))) as book:
        sheets = book.read("xl/workbook.xml").decode()
        names = book.namelist()
    assert [name in sheets for name in ("Summary", "USD", "Restatements", "Proof")] == [True] * 4
    assert sum(name.startswith("xl/charts/chart") for name in names) == 3


def test_a_page_needs_nothing_else_and_shows_text_as_text(made: dict[str, Any]) -> None:
    page = render(made, Format.HTML).decode()
    assert page.count("<svg") == 6
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "src=" not in page
    assert "1 day is not closed yet" in page


def test_a_pdf_carries_what_is_signed_and_is_the_same_each_time(made: dict[str, Any]) -> None:
    document = render(made, Format.PDF)
    assert document.startswith(b"%PDF-")
    assert b"report.json" in document
    assert render(made, Format.PDF) == document


def test_a_mail_names_each_of_its_pictures(made: dict[str, Any]) -> None:
    page, pictures = mailed(made)
    assert len(pictures) == 6
    assert all(f'src="cid:{name}"' in page and picture.startswith(b"\x89PNG") for name, picture in pictures.items())
    assert "<svg" not in page


@pytest.mark.parametrize("form", Format)
def test_a_report_of_nothing_is_a_document_too(form: Format) -> None:
    nothing = Facts(FIRST, LAST, ())
    found = report.of(nothing, nothing, time_zone="UTC", made_at=NOW, open_days=[], corrected=[])
    assert render(report.signed(found, SigningKeys.parse("r1:" + "7e" * 32)), form)


@pytest.mark.parametrize("values", [[0], [5], [-5], [0, 0, 0], [-3, 7], [10**12, 1], ["0.01", "0.02"]])
def test_a_chart_holds_every_value_between_its_axes(values: list[int | str]) -> None:
    days = [f"2026-11-{day:02}" for day in range(1, len(values) + 1)]
    for draw in (charts.lines, charts.columns):
        chart = draw("chart", days, {"one": [Decimal(value) for value in values]}, ("#000000",))
        points = [point for shape in chart.shapes if isinstance(shape, drawing.Line) for point in shape.points]
        points += [(shape.x, shape.y) for shape in chart.shapes if isinstance(shape, drawing.Rect)]
        assert all(0 <= x <= chart.width and 0 <= y <= chart.height for x, y in points)


@pytest.mark.parametrize(
    ("value", "text"),
    [("0", "0"), ("999.5", "999.5"), ("1000", "1k"), ("-1250000", "-1.25M"), ("3e9", "3B"), ("0.05", "0.05")],
)
def test_an_axis_has_short_numbers(value: str, text: str) -> None:
    assert short(Decimal(value)) == text
