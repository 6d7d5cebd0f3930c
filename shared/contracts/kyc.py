"""What a player shows to be known, what staff decides on it, and how both read.

A value that is wrong is named by its field alone: no text in here repeats what came.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal, Self
from uuid import UUID

import iso3166
import phonenumbers
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from stdnum.be import eid
from stdnum.cl import rut
from stdnum.cn import ric
from stdnum.ec import ci
from stdnum.es import dni
from stdnum.exceptions import ValidationError as WrongNumber
from stdnum.nl import identiteitskaartnummer
from stdnum.pk import cnic
from stdnum.pt import cc
from stdnum.tr import tckimlik

from shared.contracts.fields import Text

_SEPARATORS = re.compile(r"[\s.\-/]")


class DocumentType(StrEnum):
    """What proves who somebody is."""

    PASSPORT = "PASSPORT"
    ID_CARD = "ID_CARD"
    DRIVING_LICENCE = "DRIVING_LICENCE"


class KycResult(StrEnum):
    """What a provider found."""

    VERIFIED = "verified"
    REJECTED = "rejected"
    REVIEW = "review"


# Where a kept library knows how a country numbers a document.
_KNOWN: Mapping[tuple[str, DocumentType], Callable[[str], str]] = {
    ("BE", DocumentType.ID_CARD): eid.validate,
    ("CL", DocumentType.ID_CARD): rut.validate,
    ("CN", DocumentType.ID_CARD): ric.validate,
    ("EC", DocumentType.ID_CARD): ci.validate,
    ("ES", DocumentType.ID_CARD): dni.validate,
    ("NL", DocumentType.ID_CARD): identiteitskaartnummer.validate,
    ("NL", DocumentType.PASSPORT): identiteitskaartnummer.validate,
    ("PK", DocumentType.ID_CARD): cnic.validate,
    ("PT", DocumentType.ID_CARD): cc.validate,
    ("TR", DocumentType.ID_CARD): tckimlik.validate,
}
# A passport's number has at most nine characters in its machine-readable zone (ICAO Doc 9303, part 4).
_OTHERWISE = {
    DocumentType.PASSPORT: re.compile(r"[A-Z0-9]{5,9}"),
    DocumentType.ID_CARD: re.compile(r"[A-Z0-9]{4,24}"),
    DocumentType.DRIVING_LICENCE: re.compile(r"[A-Z0-9]{4,24}"),
}


def _country(code: str) -> str:
    if iso3166.countries_by_alpha2.get(code) is None:
        raise ValueError("must be an ISO 3166-1 country of two letters, such as GB")
    return code


def _phone(text: str) -> str:
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_valid_number(number):
        raise ValueError("must be a phone number that exists, with its country's code, such as +44 20 7946 0958")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _number(text: str) -> str:
    return _SEPARATORS.sub("", text).upper()


def _a_day(text: object) -> object:
    # pydantic would read a number as seconds since 1970.
    if not isinstance(text, date) and not (
        isinstance(text, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII)
    ):
        raise ValueError("must be a date such as 2026-11-24")
    return date.fromisoformat(text) if isinstance(text, str) else text


Country = Annotated[
    str,
    AfterValidator(_country),
    WithJsonSchema({"type": "string", "pattern": "^[A-Z]{2}$", "description": "ISO 3166-1, two letters."}),
]
Phone = Annotated[str, StringConstraints(max_length=32), AfterValidator(_phone)]
DocumentNumber = Annotated[str, StringConstraints(min_length=4, max_length=32), AfterValidator(_number)]
KycDay = Annotated[date, BeforeValidator(_a_day), Field(description="Such as 2026-11-24.")]
Line = Annotated[
    str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True, pattern=r"^[^\p{Cc}\p{Zl}\p{Zp}]+$")
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Address(_Part):
    """Where a player lives."""

    street: Line
    city: Line
    postal_code: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 -]{1,15}$")]


class ProviderResult(_Part):
    """What a provider found that staff asked elsewhere."""

    provider: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
    result: KycResult


class KycSubmission(_Part):
    """What a player shows. `country` is the country of the document, and where the player lives.

    `phone` may have spaces; it is kept as E.164. `provider_result` is staff's alone.
    """

    name: Line
    birth_date: KycDay
    address: Address
    country: Country
    document_type: DocumentType
    document_number: DocumentNumber
    document_expires_on: KycDay
    phone: Phone | None = None
    provider_result: ProviderResult | None = None

    @model_validator(mode="after")
    def _numbered_as_its_country_does(self) -> Self:
        validate = _KNOWN.get((self.country, self.document_type))
        try:
            known = validate is None or bool(validate(self.document_number))
        except WrongNumber:
            known = False
        if not (known and (validate is not None or _OTHERWISE[self.document_type].fullmatch(self.document_number))):
            raise ValueError("document_number is not one that this country gives to such a document")
        return self


class KycDecision(_Part):
    """What staff decides. `reason` is for staff; `public_reason` is what the player reads."""

    decision: Literal["verify", "reject", "review"]
    reason: Text
    public_reason: Text | None = None


class KycErasure(_Part):
    """Why what a player showed is destroyed."""

    reason: Text


class KycDocumentView(BaseModel):
    """All that is shown of a document: the last two characters of its number."""

    number: str


class KycReasonView(BaseModel):
    """Why it stands so: a stable `code`, what the player may read, and what only staff may.

    While staff looks at it a player reads the code `IN_REVIEW`.
    """

    code: str
    public: str
    staff: str | None = None


class KycTierView(BaseModel):
    """The tier that the state gives, and whether the wallet has acknowledged it."""

    name: str
    acknowledged: bool


class KycView(BaseModel):
    """How far a player is known. `fields`, in clear, are for who may read them, and each such read is on record."""

    user_id: int
    state: str
    submission_id: UUID | None
    submitted_at: datetime | None
    changed_at: datetime | None
    reason: KycReasonView | None
    document: KycDocumentView | None
    tier: KycTierView
    fields: dict[str, str | None] | None = None
