"""The command that drives a platform, and proves it."""

import asyncio
import json
from typing import Annotated

import typer
from rich.console import Console

from ops import places
from ops.commands.options import Data
from ops.demo import report
from ops.demo.run import run as run_demo

app = typer.Typer()


@app.command()
def demo(
    duration: Annotated[float, typer.Option(envvar="DURATION", min=1, max=86_400, help="Seconds.")] = 30,
    players: Annotated[int, typer.Option(envvar="PLAYERS", min=2, max=100_000)] = 200,
    rate: Annotated[float, typer.Option(envvar="RATE", min=1, max=100_000, help="Requests per second in all.")] = 200,
    seed: Annotated[int | None, typer.Option(help="The same seed asks for the same.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Figures and proof as JSON.")] = False,
    data: Data = None,
) -> None:
    """Drive a simulated casino on the running platform, then prove that not a cent went astray. Exit 1 if it did."""
    console = Console(stderr=as_json)
    result, checks = asyncio.run(
        run_demo(places.find(data), duration_s=duration, players=players, rate=rate, seed=seed, console=console)
    )
    if as_json:
        typer.echo(json.dumps(report.as_json(result, checks), indent=2))
    else:
        report.show(console, result, checks)
    if not all(check.holds for check in checks):
        raise typer.Exit(1)
