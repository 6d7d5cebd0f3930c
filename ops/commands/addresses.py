"""The commands that say where a platform is, and let one in."""

from typing import Annotated

import typer

from ops import access, places
from ops.commands.options import Data
from shared.errors import ConfigurationError
from shared.tokens import Role

app = typer.Typer()


@app.command()
def env(data: Data = None) -> None:
    """Print the running platform's addresses as shell exports: eval "$(langsense env)"."""
    for name, value in places.find(data).environment().items():
        typer.echo(f"export {name}='{value}'")


@app.command()
def token(
    role: Role,
    user: Annotated[int | None, typer.Option("--user", min=1, help="The player, for role player.")] = None,
    data: Data = None,
) -> None:
    """Print a development token."""
    if (role is Role.PLAYER) != (user is not None):
        raise ConfigurationError("--user goes with the role player, and the role player with --user")
    typer.echo(access.token(places.find(data), role.value, user))
