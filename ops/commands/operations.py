"""The commands of who is on call: every alarm once, and the records that could not be processed."""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ops import parked, places
from ops.commands.options import Data
from ops.vigilance import check
from shared.contracts.topics import PARKED_SUFFIX

app = typer.Typer()
parked_app = typer.Typer(help="Records that could not be processed.", no_args_is_help=True)
app.add_typer(parked_app, name="parked")


@app.command(name="check")
def check_command(
    as_json: Annotated[bool, typer.Option("--json", help="Every alarm and its value as JSON.")] = False,
    data: Data = None,
) -> None:
    """Look at every alarm once. Exit 0 where all is well, 1 for warnings, 2 for what is critical."""
    found = asyncio.run(check.look(places.find(data)))
    if as_json:
        typer.echo(json.dumps([{**each._asdict(), "raised": each.raised} for each in found], indent=2))
    else:
        Console().print(check.shown(found))
    raise typer.Exit(check.worst(found))


@parked_app.command(name="list")
def parked_list(
    as_json: Annotated[bool, typer.Option("--json", help="With each record's key and value.")] = False,
    data: Data = None,
) -> None:
    """Show what is parked, and why."""
    found = asyncio.run(parked.listed(places.find(data)))
    if as_json:
        typer.echo(json.dumps([asdict(record) for record in found], indent=2))
        return
    table = Table("topic", "offset", "code", "reason", "came from", "parked at")
    for record in found:
        place = (record.topic, str(record.offset))
        table.add_row(*place, record.code, record.reason, record.source, record.parked_at)
    Console().print(table if found else "nothing is parked")


@parked_app.command(name="replay")
def parked_replay(
    topic: Annotated[str, typer.Argument(help="A topic of parked records, as `parked list` names it.")],
    offsets: Annotated[list[int] | None, typer.Argument(help="Which; all of them, where none is named.")] = None,
    data: Data = None,
) -> None:
    """Publish parked records again where they came from. What was applied once is not applied again."""
    count = asyncio.run(parked.replayed(places.find(data), topic, offsets or []))
    typer.echo(f"{count} records published to {topic.removesuffix(PARKED_SUFFIX)}")
