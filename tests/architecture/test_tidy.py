"""House rules over the whole product, and a breach of each that is seen to fail."""

from pathlib import Path

import pytest

from tests.architecture.test_imports import PACKAGES, ROOT
from tests.architecture.tidy import LONGEST_FILE, LONGEST_FUNCTION, findings, modules

MODULES = list(modules(ROOT, PACKAGES))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_the_product_is_tidy(module: Path) -> None:
    assert findings(str(module.relative_to(ROOT)), module.read_text()) == []


def test_every_package_is_looked_at() -> None:
    assert {module.relative_to(ROOT).parts[0] for module in MODULES} == set(PACKAGES)


LONG_FUNCTION = "def long() -> None:\n" + "    step()\n" * LONGEST_FUNCTION
ALMOST_LONG = "def long() -> None:\n" + "    step()\n" * (LONGEST_FUNCTION - 1)

BREACHES = {
    "a long function": ("shared/x.py", LONG_FUNCTION, "long has 61 lines"),
    "a long method": (
        "shared/x.py",
        "class X:\n    async def m(self) -> None:\n" + "        step()\n" * LONGEST_FUNCTION,
        "m has 61 lines",
    ),
    "a long file": ("shared/x.py", "x = 1\n" * LONGEST_FILE, "401 lines"),
    "an import inside a function": ("ops/x.py", "def f() -> None:\n    import json\n", "an import inside f"),
    "an import inside a method": (
        "ops/x.py",
        "class X:\n    def f(self) -> None:\n        from json import loads\n",
        "an import inside f",
    ),
    "an import whose exception gives no reason": (
        "ops/x.py",
        "def f() -> None:\n    import json  # noqa: PLC0415\n",
        "an import inside f",
    ),
    "a catch-all": ("gateway/x.py", "try:\n    f()\nexcept Exception:\n    pass\n", "catches everything"),
    "a bare catch-all": ("gateway/x.py", "try:\n    f()\nexcept:\n    pass\n", "catches everything"),
    "a catch-all among others": (
        "gateway/x.py",
        "try:\n    f()\nexcept (OSError, BaseException) as error:\n    log(error)\n",
        "catches everything",
    ),
    "a catch-all that raises another": (
        "gateway/x.py",
        "try:\n    f()\nexcept Exception as error:\n    raise Other from error\n",
        "catches everything",
    ),
    "a suppressed catch-all": (
        "gateway/x.py",
        "with contextlib.suppress(Exception):\n    f()\n",
        "suppresses everything",
    ),
    "a float in money": ("shared/money.py", "x = float(1)\n", "float() in money code"),
    "a float literal in a domain": ("wallet_service/domain.py", "rate = 0.5\n", "the float 0.5"),
    "a float literal in a domain that is a package": ("wallet_service/domain/fees.py", "rate = 0.5\n", "the float 0.5"),
    "a division in a domain": ("metrics_service/domain.py", "half = total / 2\n", "/ makes a float"),
    "a division in place": ("metrics_service/domain.py", "total /= 2\n", "/ makes a float"),
    "a float in a contract": ("shared/contracts/x.py", "class X:\n    rate: float\n", "rate is a float"),
    "an amount that is a float, wherever": (
        "gateway/endpoints/x.py",
        "def f(amount: float | None) -> None: ...\n",
        "amount is a float",
    ),
    "minor units that are a float": ("ops/x.py", "total_minor: float = 0\n", "total_minor is a float"),
    "a balance that comes as a float": ("ops/x.py", "def balance() -> float: ...\n", "balance is a float"),
    "a mark": ("shared/x.py", "# TODO: later\n", "TODO"),
    "another mark": ("shared/x.py", "x = 1  # FIXME\n", "FIXME"),
    "a service that does something when it is imported": (
        "fraud_service/__init__.py",
        "import logging\n",
        "its docstring and nothing else",
    ),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_planted_breach_is_found(breach: str) -> None:
    path, text, expected = BREACHES[breach]
    found = findings(path, f'"""A module."""\n{text}')
    assert [finding for finding in found if expected in finding], found


def test_a_module_without_a_docstring_is_found() -> None:
    assert findings("shared/x.py", "x = 1\n") == ["shared/x.py:1: a module says in its docstring what it is for"]


HARMLESS = {
    "a function of just the length": ("shared/x.py", ALMOST_LONG),
    "a long migration": ("fraud_service/migrations/versions/0001_x.py", LONG_FUNCTION),
    "an import with its reason": (
        "ops/x.py",
        "def f() -> None:\n    import json  # noqa: PLC0415 - a development dependency\n",
    ),
    "cleaning up": ("gateway/x.py", "try:\n    f()\nexcept BaseException:\n    clean()\n    raise\n"),
    "a named error": ("gateway/x.py", "try:\n    f()\nexcept (OSError, ValueError):\n    pass\n"),
    "seconds": ("shared/broker.py", "TIMEOUT_S: float = 0.5\n"),
    "seconds in a domain": ("gateway/domain/x.py", "def wait(within_s: float) -> None: ...\n"),
    "a folder's name": ("ops/x.py", "path = root / 'name'\n"),
    "whole parts": ("metrics_service/domain.py", "half = total // 2\n"),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_is_allowed_is_let_through(case: str) -> None:
    path, text = HARMLESS[case]
    assert findings(path, f'"""A module."""\n{text}') == []
