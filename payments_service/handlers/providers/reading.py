"""What every webhook has in common: a bound on its size, headers in any case, ids that may not be ours."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError

from shared.contracts.commands import field_errors
from shared.errors import FieldError, OversizedWebhook, Unauthenticated, UnreadableWebhook

MAX_WEBHOOK_BYTES = 256 * 1024
WINDOW_S = 300
_MAX_HEADER = 2048

Model = TypeVar("Model", bound=BaseModel)


def bounded(body: bytes) -> None:
    """Raise OversizedWebhook for more than a provider ever sends."""
    if len(body) > MAX_WEBHOOK_BYTES:
        raise OversizedWebhook(f"a webhook has at most {MAX_WEBHOOK_BYTES} bytes")


def header(headers: Mapping[str, str], name: str) -> str:
    """One header. Raises Unauthenticated where it is missing, too long or not in ASCII."""
    value = next((value for key, value in headers.items() if key.lower() == name.lower()), "")
    if not value or len(value) > _MAX_HEADER or not (value.isascii() and value.isprintable()):
        raise Unauthenticated(f"{name} must be there, in printable ASCII, of at most {_MAX_HEADER} characters")
    return value


def in_window(moment: datetime, now: datetime, name: str) -> None:
    """Raise Unauthenticated for a signature that is too old, or from the future."""
    if abs((now - moment).total_seconds()) > WINDOW_S:
        raise Unauthenticated(f"{name} is more than {WINDOW_S} seconds away")


def model_of(kind: type[Model], body: bytes) -> Model:
    """The body as this model. Raises UnreadableWebhook, which shows nothing of it."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise UnreadableWebhook(field_errors(error)) from None


def part_of(kind: type[Model], value: object) -> Model:
    """As `model_of`, for a part that was parsed already."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise UnreadableWebhook(field_errors(error)) from None


def our_id(text: str | None) -> UUID | None:
    """The payment id that we gave, or None for what is not ours."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def nothing_to_find_it_by() -> list[FieldError]:
    """What is wrong with a webhook that names neither our payment nor the provider's."""
    return [FieldError("body", "names no payment")]
