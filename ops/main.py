"""The `langsense` command: which module has which command.

A module is loaded when one of its commands is asked for. What all of them need together takes seconds to import, and
nobody who asks for a token should wait for the migrations' library.
"""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from shared.errors import LangSenseError

COMMANDS: Mapping[str, str] = {
    "up": "platform",
    "env": "addresses",
    "token": "addresses",
    "secrets": "platform",
    "migrate": "platform",
    "demo": "demo",
    "check": "operations",
    "verify": "proof",
    "archive-audit-log": "proof",
    "reconcile": "finance",
    "export-journal": "proof",
    "verify-receipt": "proof",
    "evidence": "proof",
    "verify-evidence": "proof",
    "public-keys": "proof",
    "parked": "operations",
    "report": "finance",
    "verify-report": "finance",
    "regulatory-export": "finance",
}


class Commands(TyperGroup):
    """The commands by their names, from the modules of `ops.commands`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"ops.commands.{COMMANDS[cmd_name]}")
        return typer.main.get_group(module.app).commands[cmd_name]


app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


@app.callback()
def langsense() -> None:
    """The money platform behind a real-money gaming product."""


def main() -> None:
    """The entry point: our errors end the command with one line and status 1."""
    try:
        app(prog_name="langsense")
    except LangSenseError as error:
        typer.secho(str(error), fg=typer.colors.RED, err=True)
        sys.exit(1)
