"""The runbook's section on fraud does what it says: its commands run on a platform, in their order."""

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.end_to_end import support
from tests.end_to_end.support import Platform

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

PAGE = Path(__file__).parents[2] / "docs" / "runbook.md"
SECTION = re.compile(r"^## Fraud\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^( *)```sh\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def script(data: Path) -> str:
    """All commands of the section, for a platform in that folder."""
    (section,) = SECTION.findall(PAGE.read_text())
    blocks = "".join(dedent(block) for _, block in BLOCK.findall(section))
    return re.sub(r"\.venv/bin/langsense ([a-z]+ ?[a-z]*)", rf"{support.LANGSENSE} \1 --data {data}", blocks)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with support.running(tmp_path_factory.mktemp("up") / "data") as running:
        yield running


def test_its_commands_run_as_they_stand(platform: Platform) -> None:
    printed = support.shell(script(platform.data), platform)
    assert "'VELOCITY_THRESHOLD': 10" in printed
    assert "| bet_velocity | peak_bets_per_minute > VELOCITY_THRESHOLD |" in printed
    assert "nothing is known of 4711" in printed
    assert "nothing is parked" in printed
    # Of the backtest, and of scoring again.
    assert printed.count("event: finished") == 2
    assert '"state":"active"' in printed
    assert '"state":"retired"' in printed
