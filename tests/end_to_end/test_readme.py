"""The pages do what they say: every command in them exists, and those for a running platform run on one."""

import re
import subprocess
from pathlib import Path

import pytest

from ops.main import COMMANDS
from tests.end_to_end import support
from tests.end_to_end.support import Platform

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "ARCHITECTURE.md")
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
LANGSENSE = re.compile(r"langsense ([a-z-]+)")
MAKE = re.compile(r"\bmake ([a-z]+)")


def blocks(page: str) -> list[str]:
    return BLOCK.findall((ROOT / page).read_text())


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_ours_in_a_page_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    assert set(LANGSENSE.findall(text)) <= set(COMMANDS)


def test_the_readme_names_every_command_there_is() -> None:
    assert set(COMMANDS) <= set(LANGSENSE.findall((ROOT / "README.md").read_text()))


def test_every_make_target_in_a_page_exists() -> None:
    targets = {target for page in PAGES for block in blocks(page) for target in MAKE.findall(block)}
    assert targets >= {"up", "demo", "test", "lint", "bench", "chaos"}
    for target in targets:
        done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_every_link_into_the_repository_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / page).read_text()):
        assert (ROOT / link).exists(), link


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.timeout(300)
def test_the_readmes_requests_run_as_they_stand(platform: Platform) -> None:
    script = "".join(block for block in blocks("README.md") if "$GATEWAY_URL" in block)
    # The page's reader is in the repository, and the platform in its default folder.
    in_place = script.replace(".venv/bin/langsense", str(support.LANGSENSE))
    for command in ("env", "token admin", "token risk", "verify", "reconcile"):
        in_place = in_place.replace(f"langsense {command}", f"langsense {command} --data {platform.data}")
    printed = support.shell(in_place, platform)
    assert '"cash":"40.00"' in printed.replace(" ", "")
    assert "chain and checkpoints verified" in printed
    assert "0 discrepancies" in printed
    assert '"consistent":true' in printed
    assert '"direction":"deposit"' in printed.replace(" ", "")
    assert "/console, and sign in with that token" in printed
