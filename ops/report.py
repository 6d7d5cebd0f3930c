"""`langsense report` and `verify-report`: a period's report from the gateway into a file, and that file held to the
journal."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from ops import access, proof, verify
from ops.places import Places
from ops.proof import Check
from ops.proof.reported import reported
from shared.contracts.reports import Format, check_period
from shared.errors import ConfigurationError, ServiceUnavailable
from shared.tokens import Role

PATH = "/api/v1/reports/export"
ANSWER_WITHIN_S = 60.0


def form_of(out: Path) -> Format:
    """The form that a file's name asks for. Raises ConfigurationError."""
    try:
        return Format(out.suffix.removeprefix(".").lower())
    except ValueError:
        raise ConfigurationError(
            f"--out: its name must end with one of {', '.join(f'.{each}' for each in Format)}"
        ) from None


def write(found: Places, first: date, last: date, out: Path, console: Console) -> int:
    """Write the report of the days from `first` to `last`; returns its size in bytes.

    Raises InvalidInput for days that are no period, ServiceUnavailable where there is no answer within the bound.
    """
    check_period(first, last)
    query = {"from": first.isoformat(), "to": last.isoformat(), "format": form_of(out).value}
    headers = {"Authorization": f"Bearer {access.token(found, Role.FINANCE, None)}"}
    part = out.with_name(f"{out.name}.part")
    try:
        with (
            httpx2.Client(
                base_url=found.gateway_url, headers=headers, timeout=ANSWER_WITHIN_S, trust_env=False
            ) as door,
            _bar(console) as bar,
            door.stream("GET", PATH, params=query) as response,
            part.open("wb") as file,
        ):
            response.raise_for_status()
            task = bar.add_task("report", total=int(response.headers.get("content-length", 0)) or None)
            for chunk in response.iter_bytes():
                file.write(chunk)
                bar.advance(task, len(chunk))
        part.replace(out)
    except OSError as error:
        raise ConfigurationError(f"{out}: {error.strerror}") from error
    except httpx2.HTTPError as error:
        raise ServiceUnavailable(f"the gateway at {found.gateway_url} does not answer as it should: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return out.stat().st_size


async def verified(found: Places, file: Path, public_keys: Path | None, console: Console) -> list[Check]:
    """Everything that a report says, held to the journal of a running platform.

    Raises ConfigurationError for what is no report.
    """
    public = verify.read_public_keys(public_keys) if public_keys else verify.report_public_keys(found)
    report = _read(file)
    async with proof.snapshot(found.database_urls["wallet"]) as connection:
        with console.status("adding up the journal"):
            return await reported(connection, report, public)


def _read(file: Path) -> dict[str, Any]:
    try:
        report = json.loads(file.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{file} is no report in its JSON form") from error
    if not isinstance(report, dict):
        raise ConfigurationError(f"{file} is no report in its JSON form")
    return report


@contextmanager
def _bar(console: Console) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        yield shown
