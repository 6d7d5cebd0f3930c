"""The image: what it is made of."""

import re
import tomllib
from pathlib import Path

import pytest

from ops.up import APPLICATIONS


def pins(lock: str) -> dict[str, set[str]]:
    """Each pinned requirement of a lock, and its hashes."""
    found: dict[str, set[str]] = {}
    for block in re.split(r"\n(?=\S)", lock):
        found[block.partition(" ")[0]] = set(re.findall(r"--hash=(\S+)", block))
    return found


@pytest.fixture
def dockerfile(root: Path) -> str:
    """Its recipe."""
    return (root / "deploy" / "Dockerfile").read_text()


class TestRecipe:
    def test_both_stages_stand_on_one_base_of_no_named_registry(self, dockerfile: str) -> None:
        assert re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE) == ["python:3.13-slim"] * 2
        assert "://" not in dockerfile

    def test_nothing_is_installed_that_was_not_reviewed(self, dockerfile: str) -> None:
        (install,) = re.findall(r"pip .*? install (?:.*\\\n)*.*", dockerfile)
        assert {"--require-hashes", "--requirement"} <= set(install.split())
        assert "apt-get" not in dockerfile

    def test_it_runs_as_an_account_that_an_orchestrator_sees_not_to_be_root(self, dockerfile: str) -> None:
        (user,) = re.findall(r"^USER (\S+)", dockerfile, re.MULTILINE)
        assert all(int(part) > 0 for part in user.split(":"))

    def test_it_gets_the_packages_that_run_and_nothing_else(self, root: Path) -> None:
        lines = (root / ".dockerignore").read_text().splitlines()
        let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
        applications = {factory.partition(".")[0] for factory in APPLICATIONS.values()}
        assert "*" in lines
        assert let_in == {*applications, "shared", "ops", "requirements-runtime.lock"}


class TestRuntimeLock:
    def test_it_has_what_the_project_needs_to_run(self, root: Path) -> None:
        project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
        needed = {re.split(r"[\[<>=]", requirement)[0] for requirement in project["dependencies"]}
        pinned = {pin.partition("==")[0] for pin in pins((root / "requirements-runtime.lock").read_text())}
        assert needed <= pinned
        assert not pinned & {"pytest", "mypy", "ruff", "testcontainers"}

    def test_every_pin_and_hash_is_that_of_the_whole_lock(self, root: Path) -> None:
        whole = pins((root / "requirements.lock").read_text())
        for pin, hashes in pins((root / "requirements-runtime.lock").read_text()).items():
            assert hashes, pin
            assert whole.get(pin) == hashes, f"{pin}: run `make lock`"
