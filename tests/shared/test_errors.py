"""The tree of errors."""

import inspect

import pytest

from shared import errors
from shared.errors import FieldError, InvalidInput, LangSenseError, PermanentError, TransientError, Undecodable

ALL = [found for _, found in inspect.getmembers(errors, inspect.isclass) if issubclass(found, LangSenseError)]
LEAVES = [found for found in ALL if found not in {LangSenseError, PermanentError, TransientError}]


@pytest.mark.parametrize("error", LEAVES)
def test_every_error_is_either_permanent_or_transient(error: type[LangSenseError]) -> None:
    assert issubclass(error, PermanentError) != issubclass(error, TransientError)


def test_codes_are_unique() -> None:
    codes = [error.code for error in ALL]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("error", LEAVES)
def test_every_error_stands_in_the_drawing_at_the_top(error: type[LangSenseError]) -> None:
    assert errors.__doc__ is not None
    assert f"{error.__name__} " in errors.__doc__


def test_wrong_input_names_each_field_in_its_message() -> None:
    error = Undecodable([FieldError("amount", "must be more than zero"), FieldError("currency", "is unknown")])
    assert str(error) == "amount: must be more than zero; currency: is unknown"
    assert isinstance(error, InvalidInput)
    assert [found.field for found in error.errors] == ["amount", "currency"]
