"""Card numbers, which never stay here: found in what comes in, and struck from what is logged."""

import re
from typing import Final

from pydantic import JsonValue

from shared.errors import FieldError, InvalidInput

REDACTED: Final = "[card number]"

# 13 to 19 digits, with spaces or hyphens between, that are no part of a longer word, such as a UUID. No scheme's
# numbers begin with 0, 1, 7, 8 or 9, and most of our own long numbers (times in nanoseconds) do.
_CANDIDATE = re.compile(r"(?<![0-9A-Za-z_-])[2-6](?:[ -]?[0-9]){12,18}(?![0-9A-Za-z_]|-[0-9A-Za-z])")
_MAX_DEPTH = 32


def contains(text: str) -> bool:
    """Whether a card number stands in the text."""
    return any(_luhn(found[0]) for found in _CANDIDATE.finditer(text))


def redact(text: str) -> str:
    """The text without its card numbers.

    >>> redact("card 4242 4242 4242 4242 declined")
    'card [card number] declined'
    """
    return _CANDIDATE.sub(lambda found: REDACTED if _luhn(found[0]) else found[0], text)


def refuse(value: JsonValue, field: str = "body") -> None:
    """Raise InvalidInput, which names the field and never shows it, where a card number stands anywhere within."""
    for place, text in _texts(value, field, _MAX_DEPTH):
        if contains(text):
            raise InvalidInput([FieldError(redact(place), "holds a card number; send the provider's token instead")])


def _texts(value: JsonValue, field: str, depth: int) -> list[tuple[str, str]]:
    if depth == 0:
        raise InvalidInput([FieldError("body", f"is nested more than {_MAX_DEPTH} deep")])
    if isinstance(value, dict):
        inner = [found for name, part in value.items() for found in _texts(part, f"{field}.{name}", depth - 1)]
        return [*((f"{field}.{name}", name) for name in value), *inner]
    if isinstance(value, list):
        return [found for count, part in enumerate(value) for found in _texts(part, f"{field}.{count}", depth - 1)]
    return [(field, str(value))]


def _luhn(candidate: str) -> bool:
    digits = [int(character) for character in reversed(candidate) if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0
