"""The `langsense` command: each command is where the table says, and brings no more than it needs."""

import pkgutil
import subprocess
import sys
from importlib import import_module

import typer
from typer.testing import CliRunner

from ops import commands
from ops.main import COMMANDS, app


def test_the_table_has_every_command_of_every_module() -> None:
    found = {
        name: module.name
        for module in pkgutil.iter_modules(commands.__path__)
        if hasattr(loaded := import_module(f"ops.commands.{module.name}"), "app")
        for name in typer.main.get_group(loaded.app).commands
    }
    assert found == COMMANDS


def test_the_help_says_what_each_command_is_for() -> None:
    said = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    assert said.exit_code == 0
    for name in COMMANDS:
        assert name in said.output


def test_a_command_that_is_not_there_is_named() -> None:
    said = CliRunner().invoke(app, ["reconsile"])
    assert said.exit_code == 2
    assert "reconsile" in said.output


def test_a_token_does_not_wait_for_the_libraries_of_other_commands() -> None:
    program = "import sys, ops.main; ops.main.Commands().get_command(None, 'token'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sqlalchemy", "alembic", "faststream", "aiokafka"} & set(loaded)
