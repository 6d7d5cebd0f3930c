"""The house plan, as import-linter holds it; and breaches planted in a copy of the tree, each seen to fail."""

import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    *("gateway", "wallet_service", "fraud_service", "compliance_service", "payments_service", "metrics_service"),
    *("shared", "ops", "bench"),
)


class Breach(NamedTuple):
    """A line that is added to a module, and what the linter has to say about it."""

    module: str
    line: str
    found: str


BREACHES = [
    Breach(
        "fraud_service/handlers/__init__.py",
        "import wallet_service.tables",
        "fraud_service.handlers -> wallet_service.tables",
    ),
    Breach("gateway/app.py", "from payments_service import settings", "gateway.app -> payments_service.settings"),
    Breach("shared/clock.py", "import gateway.settings", "shared.clock -> gateway.settings"),
    Breach("shared/money.py", "import ops.provision", "shared.money -> ops.provision"),
    Breach("ops/provision.py", "from metrics_service import tables", "ops.provision -> metrics_service.tables"),
    Breach("fraud_service/app.py", "import shared.testing", "fraud_service.app -> shared.testing"),
    Breach("shared/contracts/kinds.py", "import shared.database", "shared.contracts.kinds -> shared.database"),
    Breach(
        "metrics_service/domain/__init__.py",
        "import metrics_service.tables",
        "metrics_service.domain -> metrics_service.tables",
    ),
    Breach(
        "metrics_service/handlers/__init__.py",
        "import metrics_service.app",
        "metrics_service.handlers -> metrics_service.app",
    ),
    Breach(
        "fraud_service/endpoints/__init__.py",
        "import fraud_service.handlers",
        "fraud_service.endpoints -> fraud_service.handlers",
    ),
    Breach(
        "fraud_service/repository/__init__.py",
        "import fraud_service.settings",
        "fraud_service.repository -> fraud_service.settings",
    ),
    Breach("fraud_service/domain/__init__.py", "import sqlalchemy", "fraud_service.domain -> sqlalchemy"),
    Breach("metrics_service/domain/__init__.py", "import shared.database", "metrics_service.domain -> shared.database"),
    Breach("metrics_service/repository/__init__.py", "import fastapi", "metrics_service.repository -> fastapi"),
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the tree in a folder."""
    program = Path(sys.executable).parent / "lint-imports"
    return subprocess.run(
        [str(program), "--no-logo", "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def copy_of_the_tree(folder: Path) -> Path:
    for package in PACKAGES:
        copytree(ROOT / package, folder / package, ignore=ignore_patterns("__pycache__"))
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    return folder


def test_nothing_imports_what_it_may_not() -> None:
    linted = lint(ROOT)
    assert linted.returncode == 0, linted.stdout


@pytest.fixture(scope="module")
def breached(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says of a tree with every breach in it."""
    folder = copy_of_the_tree(tmp_path_factory.mktemp("breached"))
    for breach in BREACHES:
        module = folder / breach.module
        module.write_text(f"{module.read_text()}\n{breach.line}\n")
    linted = lint(folder)
    assert linted.returncode == 1, linted.stdout + linted.stderr
    return linted.stdout


@pytest.mark.parametrize("breach", BREACHES, ids=lambda breach: breach.found)
def test_a_planted_import_is_found(breached: str, breach: Breach) -> None:
    assert f"{breach.found} (l." in breached


def test_a_room_under_another_name_is_found(tmp_path: Path) -> None:
    folder = copy_of_the_tree(tmp_path)
    (folder / "fraud_service" / "helpers.py").write_text('"""A room that the plan does not have."""\n')
    linted = lint(folder)
    assert linted.returncode == 1
    assert "fraud_service.helpers" in linted.stdout
