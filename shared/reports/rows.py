"""A report as rows: a row a day and currency, amounts exact."""

import csv
import io
from collections.abc import Iterator
from typing import Any

from shared.figures.figures import Headline
from shared.figures.report import Report

# The columns of a row, as the report names them.
NAMES = tuple(name.removesuffix("_minor") for name in Headline.__dataclass_fields__)
COUNTS = frozenset({"bet_count", "active_players", "new_players", "refused"})


def rows(report: Report) -> Iterator[dict[str, Any]]:
    """A row for each currency and day, in order."""
    for currency, of_currency in report["currencies"].items():
        for day, figures in of_currency["days"].items():
            yield {"date": day, "currency": currency, **figures}


def csv_file(report: Report) -> bytes:
    """As CSV (RFC 4180). Its proof is in the JSON form."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["date", "currency", *NAMES])
    writer.writeheader()
    writer.writerows(rows(report))
    return text.getvalue().encode()
