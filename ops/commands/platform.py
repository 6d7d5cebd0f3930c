"""The commands that make a platform: run it here, make its development secrets, bring its schemas up to date."""

import signal
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from ops import development_secrets, migrate, up
from ops.administrator import administrator
from ops.infrastructure import InfrastructureError
from ops.places import DEFAULT_DATA
from shared.errors import ConfigurationError
from shared.lanes import DEFAULT_LANES

app = typer.Typer()
SecretsDir = Annotated[Path, typer.Option("--secrets-dir", envvar="SECRETS_DIR", help="One file a secret.")]


class BrokerChoice(StrEnum):
    """Which broker `up` starts."""

    WHEEL = "wheel"
    KAFKA = "kafka"
    AUTO = "auto"


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
        raise ConfigurationError(str(error)) from error


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
    migrate.databases(administrator(database_url, secrets_dir), secrets_dir)
    made = migrate.topics(kafka_bootstrap_servers, prefix=kafka_topic_prefix, lanes=lanes, replication=replication)
    typer.echo(f"schemas are up to date; {len(made)} topics made")


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
