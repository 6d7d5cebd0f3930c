"""Field types that several contracts share, each with its bounds."""

import re
from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints, WithJsonSchema

from shared import money

MAX_INT64 = 2**63 - 1
MAX_TEXT = 128


# Far past and far future are mistakes, and the ends of the calendar do not survive a change of time zone.
_FIRST_YEAR, _LAST_YEAR = 2000, 2199


def _sensible(moment: datetime) -> datetime:
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise ValueError(f"must be in the years {_FIRST_YEAR} to {_LAST_YEAR}")
    # So that a row's first publication and a later one from the database are the same text.
    return moment.astimezone(UTC)


def _written_as_a_date(text: object) -> object:
    # pydantic would read a number as seconds since 1970: 20261124 as a day in August 1970.
    if isinstance(text, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        raise ValueError("must be a date such as 2026-11-24")
    return text


def _known_currency(code: str) -> str:
    if code == money.NO_CURRENCY:
        raise ValueError("is no currency")
    return _currency_or_none(code)


def _currency_or_none(code: str) -> str:
    money.exponent(code)
    return code


UserId = Annotated[int, Field(ge=1, le=MAX_INT64, description="The player, a positive 64-bit integer.")]
AmountMinor = Annotated[
    int,
    Field(ge=0, le=money.MAX_AMOUNT_MINOR, description="Minor units of the currency. More than zero to move money."),
]
Currency = Annotated[
    str,
    StringConstraints(min_length=3, max_length=3),
    AfterValidator(_known_currency),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217, such as USD."}),
]
CurrencyOrNone = Annotated[
    str,
    StringConstraints(min_length=3, max_length=3),
    AfterValidator(_currency_or_none),
    WithJsonSchema(
        {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217, such as USD; XXX where there is none."}
    ),
]
# No control characters: they would make a journal row's checksum ambiguous, and no log line survives them.
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT, pattern=r"^[^\p{Cc}\p{Zl}\p{Zp}]+$")]
Provider = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Moment = Annotated[AwareDatetime, AfterValidator(_sensible), Field(description="RFC 3339 with an offset.")]
Day = Annotated[date, BeforeValidator(_written_as_a_date), Field(description="A UTC day, such as 2026-11-24.")]
