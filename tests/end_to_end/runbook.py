"""The runbook's commands, as they stand there, for a platform of a test."""

import re
from pathlib import Path
from textwrap import dedent

from ops.infrastructure.postgres import wheel_programs
from tests.end_to_end import support
from tests.end_to_end.support import Platform

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "runbook.md"
_BLOCK = re.compile(r"^( *)```sh\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def chapter(title: str) -> str:
    """What stands below a heading of the second level, up to the next one."""
    return _below(title, "##")


def section(title: str) -> str:
    """What stands below any heading, up to the next one."""
    return _below(title, "#+")


def _below(title: str, ends: str) -> str:
    found = re.search(rf"^#+ {title}\n(.*?)(?=^{ends} |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def commands(text: str) -> str:
    """The commands in a text, as they stand."""
    return "".join(dedent(block) for _, block in _BLOCK.findall(text))


def run(platform: Platform, script: str, **given: str) -> str:
    """What commands print, with these variables set."""
    in_place = re.sub(
        r"\.venv/bin/langsense ([a-z-]+( list)?)", rf"{support.LANGSENSE} \1 --data {platform.data}", script
    )
    names = "".join(f"{name}={value}\n" for name, value in given.items())
    return support.shell(f"PATH={wheel_programs()}:$PATH\n{names}{in_place}", platform)
