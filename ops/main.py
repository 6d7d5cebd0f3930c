"""The `langsense` command."""

import asyncio
import json
import signal
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from ops import development_secrets, finance, migrate, parked, places, reconcile, up, verify
from ops.demo import report
from ops.demo.run import run as run_demo
from ops.evidence.manifest import Scope
from ops.infrastructure import InfrastructureError
from ops.places import DEFAULT_DATA
from ops.vigilance import check
from shared.contracts.topics import PARKED_SUFFIX
from shared.errors import LangSenseError
from shared.lanes import DEFAULT_LANES
from shared.tokens import Role

app = typer.Typer(
    name="langsense",
    help="The money platform behind a real-money gaming product.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


class BrokerChoice(StrEnum):
    """Which broker `up` starts."""

    WHEEL = "wheel"
    KAFKA = "kafka"
    AUTO = "auto"


Data = Annotated[Path | None, typer.Option("--data", help="The folder of a platform that `up` runs.")]
SecretsDir = Annotated[Path, typer.Option("--secrets-dir", envvar="SECRETS_DIR", help="One file a secret.")]


@app.command(name="up")
def up_command(
    data: Annotated[Path, typer.Option("--data", help="Everything is kept here.")] = DEFAULT_DATA,
    gateway_port: Annotated[
        int, typer.Option(envvar="GATEWAY_PORT", min=1, max=65530, help="The door; services take the next five.")
    ] = 8000,
    broker: Annotated[BrokerChoice, typer.Option(envvar="BROKER", help="`kafka` needs Java 17.")] = BrokerChoice.WHEEL,
) -> None:
    """Run the platform here until Ctrl-C. DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS name servers elsewhere."""
    console = Console()
    # Said for SIGINT too: a shell starts what runs in the background with it ignored.
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, _interrupt)
    try:
        with up.platform(data, gateway_port=gateway_port, broker_kind=broker.value, console=console) as (found, wait):
            up.welcome(found, console)
            wait()
    except KeyboardInterrupt:
        console.print("stopped")
    except InfrastructureError as error:
        _fail(str(error))


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
        _fail("--user goes with the role player, and the role player with --user")
    typer.echo(up.token(places.find(data), role.value, user))


@app.command()
def secrets(secrets_dir: SecretsDir) -> None:
    """Make the development secrets that are missing in a folder. Production gets its own, under the same names."""
    development_secrets.ensure(secrets_dir)
    typer.echo(f"development secrets are in {secrets_dir}")


@app.command(name="migrate")
def migrate_command(
    secrets_dir: SecretsDir,
    database_url: Annotated[
        str, typer.Option(envvar="DATABASE_URL", help="An administrator's; its password may be a secret's file.")
    ],
    kafka_bootstrap_servers: Annotated[str, typer.Option(envvar="KAFKA_BOOTSTRAP_SERVERS")],
    kafka_topic_prefix: Annotated[str, typer.Option(envvar="KAFKA_TOPIC_PREFIX")] = "",
    lanes: Annotated[int, typer.Option(envvar="LANES", min=1, max=1024)] = DEFAULT_LANES,
    replication: Annotated[int, typer.Option(envvar="KAFKA_REPLICATION", min=1, max=7)] = 1,
) -> None:
    """Bring databases, roles, schemas and topics to what this version needs. Can be repeated."""
    migrate.databases(migrate.administrator(database_url, secrets_dir), secrets_dir)
    made = migrate.topics(kafka_bootstrap_servers, prefix=kafka_topic_prefix, lanes=lanes, replication=replication)
    typer.echo(f"schemas are up to date; {len(made)} topics made")


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


PublicKeysFile = Annotated[Path | None, typer.Option("--public-keys", help="A JWK set; the platform's own without.")]
Checkpoints = Annotated[
    str | None,
    typer.Option("--checkpoints", envvar="CHECKPOINT_SINK", help="The checkpoints outside: file:///folder."),
]

AuditCheckpoints = Annotated[
    str | None,
    typer.Option("--audit-checkpoints", envvar="AUDIT_SINK", help="The audit log's outside: file:///folder."),
]
AuditArchive = Annotated[
    Path | None, typer.Option("--audit-archive", envvar="AUDIT_ARCHIVE", help="The folder of archived months.")
]


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
        Console().print(check.table(found))
    raise typer.Exit(check.worst(found))


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

    Exit 1 if anything is wrong. An export needs --public-keys, and nothing else.
    """
    console = Console()
    if export is None:
        found = places.find(data)
        checks = asyncio.run(verify.ledger(found, public_keys, checkpoints, console))
        checks.append(asyncio.run(verify.audit_log(found, public_keys, audit_checkpoints, audit_archive, console)))
    elif public_keys is None:
        _fail("--export goes with --public-keys: the keys that you trust, not those in the export")
    else:
        checks = asyncio.run(verify.exported(export, public_keys, checkpoints, console))
    report.show_checks(console, checks)
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
    admin_dsn = migrate.administrator(database_url, found.secrets_dir)
    keep = timedelta(days=retention_days)
    made = asyncio.run(verify.archived(found, admin_dsn, archive, keep, audit_checkpoints, actor))
    for each in made:
        typer.echo(f"{each.month}: entries up to {each.through} are in {each.file}")
    typer.echo(f"{len(made)} months archived, verified and dropped")


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
        _fail("--user, --period or both say what the pack is of")
    start, end = (day.replace(tzinfo=UTC) for day in period) if period else (None, None)
    if start and end and not 2000 <= start.year <= end.year < 2200:
        _fail("the period must be in the years 2000 to 2199")
    if start and end and start >= end:
        _fail("the period ends before it begins")
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
    report.show_checks(Console(), [check])
    if not check.holds:
        raise typer.Exit(1)


@app.command(name="public-keys")
def public_keys_command(data: Data = None) -> None:
    """Print the public keys of the checkpoints, the audit log's too, as a JWK set, for auditors."""
    found = places.find(data)
    typer.echo(json.dumps(verify.all_public_keys(found).jwks(), indent=2))


parked_app = typer.Typer(help="Records that could not be processed.", no_args_is_help=True)
app.add_typer(parked_app, name="parked")
finance.add_to(app)


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


def main() -> None:
    """The entry point: our errors end the command with one line and status 1."""
    try:
        app()
    except LangSenseError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    typer.secho(message, fg=typer.colors.RED, err=True)
    sys.exit(1)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
