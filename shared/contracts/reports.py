"""Reports as they are asked for: which period, in which form; and the event that one was made."""

from datetime import date
from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from shared.errors import FieldError, InvalidInput

MOST_DAYS = 366
REPORT_MADE = "metrics.report.made.v1"
Every = Literal["day", "week", "month"]


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
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv; charset=utf-8",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.PDF: "application/pdf",
    Format.PARQUET: "application/vnd.apache.parquet",
    Format.HTML: "text/html; charset=utf-8",
}


class ReportMade(BaseModel):
    """That a scheduled report was made and sent. `signature` is that of its JSON form."""

    model_config = ConfigDict(frozen=True, extra="ignore", title="ReportMade")

    run_id: UUID = Field(description="One a period: sent again, it is the same.")
    every: Every
    first_day: date
    last_day: date
    ways: list[str] = Field(description="How it was sent: email, folder.")
    key_id: str
    signature: str


def check_period(first: date, last: date) -> None:
    """Raises InvalidInput for what is no period of a report."""
    if last < first:
        raise InvalidInput([FieldError("to", "must not be before from")])
    if (last - first).days >= MOST_DAYS:
        raise InvalidInput([FieldError("to", f"must be within {MOST_DAYS} days of from")])


def file_name(first: date, last: date, form: Format) -> str:
    """What a report's file is called."""
    return f"langsense-{first.isoformat()}-{last.isoformat()}.{form}"
