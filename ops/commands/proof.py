"""The commands of who does not take our word: the ledger's and the audit log's proof, exports, receipts, evidence."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ops import places, verify
from ops.administrator import administrator
from ops.commands.options import Data, PublicKeysFile
from ops.demo.report import show_checks
from ops.evidence.manifest import Scope
from shared.errors import ConfigurationError

app = typer.Typer()


Checkpoints = Annotated[
    str | None,
    typer.Option("--checkpoints", help="The checkpoints outside, file:///folder; the platform's own without."),
]

AuditCheckpoints = Annotated[
    str | None,
    typer.Option("--audit-checkpoints", help="The audit log's outside; the platform's own without."),
]
AuditArchive = Annotated[
    Path | None, typer.Option("--audit-archive", envvar="AUDIT_ARCHIVE", help="The folder of archived months.")
]


@app.command(name="verify")
def verify_command(
    export: Annotated[Path | None, typer.Option("--export", help="An export instead of the running platform.")] = None,
    public_keys: PublicKeysFile = None,
    checkpoints: Checkpoints = None,
    audit_checkpoints: AuditCheckpoints = None,
    audit_archive: AuditArchive = None,
    data: Data = None,
) -> None:
    """Verify the ledger: conservation, balances, every row's place in the chain and under its signed checkpoint; and
    the audit log.

    Exit 1 if anything is wrong. An export needs --public-keys, and nothing else; with --checkpoints it must reach as
    far as these do.
    """
    console = Console()
    if export is None:
        found = places.find(data)
        checks = asyncio.run(verify.ledger(found, public_keys, checkpoints, console))
        checks.append(asyncio.run(verify.audit_log(found, public_keys, audit_checkpoints, audit_archive, console)))
    elif public_keys is None:
        raise ConfigurationError("--export goes with --public-keys: the keys that you trust, not those in the export")
    else:
        checks = asyncio.run(verify.exported(export, public_keys, checkpoints, console))
    show_checks(console, checks)
    if not all(check.holds for check in checks):
        raise typer.Exit(1)


@app.command(name="archive-audit-log")
def archive_audit_log(
    database_url: Annotated[str, typer.Option(envvar="DATABASE_URL", help="An administrator's: only it may drop.")],
    archive: Annotated[Path, typer.Option(envvar="AUDIT_ARCHIVE", help="The folder of archived months.")],
    retention_days: Annotated[int, typer.Option(envvar="AUDIT_RETENTION_DAYS", min=1, max=36_500)] = 90,
    audit_checkpoints: AuditCheckpoints = None,
    actor: Annotated[str, typer.Option(help="Who it is on the record for.")] = "archive-audit-log",
    data: Data = None,
) -> None:
    """Write whole months of the audit log that are old enough into files, verify these, and drop the months."""
    found = places.find(data)
    admin_dsn = administrator(database_url, found.secrets_dir)
    keep = timedelta(days=retention_days)
    made = asyncio.run(verify.archived(found, admin_dsn, archive, keep, audit_checkpoints, actor))
    for each in made:
        typer.echo(f"{each.month}: entries up to {each.through} are in {each.file}")
    typer.echo(f"{len(made)} months archived, verified and dropped")


@app.command(name="export-journal")
def export_journal(
    out: Annotated[Path, typer.Option("--out", help="An empty folder, or one to be made.")], data: Data = None
) -> None:
    """Write the journal, its checkpoints and the public keys into a folder that verifies by itself."""
    console = Console()
    rows = asyncio.run(verify.export_journal(places.find(data), out, console))
    console.print(f"{rows} rows are in {out}", soft_wrap=True)


@app.command(name="verify-receipt")
def verify_receipt(
    file: Annotated[Path, typer.Argument(help="A receipt, as GET /transactions/{id}/receipt answers it.")],
    public_keys: Annotated[Path, typer.Option("--public-keys", help="A JWK set.")],
) -> None:
    """Verify one transaction's receipt, offline. Exit 1 if it does not hold."""
    row = verify.receipt(file, public_keys).row
    typer.echo(f"holds: {row.kind} {row.command_id}, {row.status}, lane {row.lane}, position {row.position}")


@app.command(name="evidence")
def evidence_command(
    out: Annotated[Path, typer.Option("--out", help="The file to write: a zip.")],
    user: Annotated[int | None, typer.Option("--user", min=1, help="All of this player.")] = None,
    period: Annotated[
        tuple[datetime, datetime] | None,
        typer.Option("--period", formats=["%Y-%m-%d"], help="The first UTC day, and the day after the last."),
    ] = None,
    audit_archive: AuditArchive = None,
    actor: Annotated[str, typer.Option(help="Who it is on the record for.")] = "evidence",
    data: Data = None,
) -> None:
    """Write an evidence pack: limit changes, exclusions, tiers, refusals and the audit log, each with its receipt.

    Of a player it has all journal rows, too. It verifies offline: `langsense verify-evidence`.
    """
    if user is None and period is None:
        raise ConfigurationError("--user, --period or both say what the pack is of")
    start, end = (day.replace(tzinfo=UTC) for day in period) if period else (None, None)
    if start and end and not 2000 <= start.year <= end.year < 2200:
        raise ConfigurationError("the period must be in the years 2000 to 2199")
    if start and end and start >= end:
        raise ConfigurationError("the period ends before it begins")
    scope = Scope(user, start, end)
    made = asyncio.run(verify.evidence(places.find(data), scope, out, audit_archive, actor))
    typer.echo(f"{sum(file.lines for file in made.files.values())} records are in {out}")


@app.command(name="verify-evidence")
def verify_evidence(
    file: Annotated[Path, typer.Argument(help="A pack, as `langsense evidence` writes it.")],
    public_keys: Annotated[
        Path | None, typer.Option("--public-keys", help="A JWK set; the pack's own without.")
    ] = None,
) -> None:
    """Verify an evidence pack, offline. Exit 1 if anything is wrong.

    Bring the keys that you trust: those in the pack show that it is whole, and not whose it is.
    """
    check = verify.packed_evidence(file, public_keys)
    show_checks(Console(), [check])
    if not check.holds:
        raise typer.Exit(1)


@app.command(name="public-keys")
def public_keys_command(data: Data = None) -> None:
    """Print the public keys of the checkpoints, the audit log's too, as a JWK set, for auditors."""
    found = places.find(data)
    typer.echo(json.dumps(verify.all_public_keys(found).jwks(), indent=2))
