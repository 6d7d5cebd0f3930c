"""The commands of finance: reports, their proof, reconciliation, what a regulator gets."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ops import places, reconcile, regulatory, report
from ops.commands.options import Data, PublicKeysFile
from ops.demo.report import show_checks

First = Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day.")]
Last = Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day, also in it.")]


app = typer.Typer()


@app.command(name="report")
def report_command(
    first: First,
    last: Last,
    out: Annotated[Path, typer.Option("--out", help="Its ending is the form: json, csv, xlsx, pdf, parquet, html.")],
    data: Data = None,
) -> None:
    """Write the financial report of some days, in the platform's time zone, into a file."""
    size = report.write(places.find(data), first.date(), last.date(), out, Console())
    typer.echo(f"{size} bytes are in {out}")


@app.command(name="verify-report")
def verify_report(
    file: Annotated[Path, typer.Argument(help="A report in its JSON form.")],
    public_keys: PublicKeysFile = None,
    data: Data = None,
) -> None:
    """Recompute every figure of a report from the journal, at the positions that it names. Exit 1 if one differs."""
    console = Console()
    checks = asyncio.run(report.verified(places.find(data), file, public_keys, console))
    show_checks(console, checks)
    if not all(check.holds for check in checks):
        raise typer.Exit(1)


@app.command(name="regulatory-export")
def regulatory_export(
    first: First,
    last: Last,
    out: Annotated[Path, typer.Option("--out", help="The file to write: a zip.")],
    jurisdiction: Annotated[
        str, typer.Option(envvar="JURISDICTION", help="A pack of shared/jurisdictions.")
    ] = "default",
    time_zone: Annotated[str, typer.Option(envvar="FIGURES_TIME_ZONE", help="Where days begin.")] = "UTC",
    actor: Annotated[str, typer.Option(help="Who it is on the record for.")] = "regulatory-export",
    data: Data = None,
) -> None:
    """Write a period for a regulator: figures of each day, and a row a player under a pseudonym; signed."""
    found = places.find(data)
    made = asyncio.run(regulatory.export(found, jurisdiction, first.date(), last.date(), time_zone, out, actor))
    typer.echo(f"{made['jurisdiction']} {made['version']}, {made['from']} to {made['to']}: written to {out}")


@app.command(name="reconcile")
def reconcile_command(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first UTC day.")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="The UTC day after the last.")],
    data: Data = None,
) -> None:
    """Reconcile the journal of some days with itself and with the balances. Exit 1 if anything does not agree."""
    console = Console()
    with console.status("reconciling"):
        made = reconcile.reconcile(places.find(data), first.date(), last.date())
    reconcile.show(console, made)
    if made.discrepancy_count:
        raise typer.Exit(1)
