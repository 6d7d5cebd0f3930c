"""A journal that stands by itself: rows and checkpoints as files, verified with the public key alone.

journal/lane-0003.jsonl.gz       one row a line, as a ledger event has it, times with six decimals
checkpoints/lane-0003.jsonl      one checkpoint a line
public_keys.json                 a JWK set, for convenience: an auditor brings one that it trusts
"""

import gzip
import json
import re
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ops.proof.check import Check
from ops.proof.journal import Outside, looked_at, pages, read_along_the_key, table_checkpoints
from ops.proof.walk import Findings, Progress, Walked, trusted, walk
from shared.anchors import CheckpointFiles
from shared.checkpoints import PublicKeys
from shared.errors import ConfigurationError, IntegrityViolation
from shared.signing import Entry, content_of_fields, fields_of_content

PUBLIC_KEYS = "public_keys.json"
LINES_AT_ONCE = 2000
_JOURNAL, _CHECKPOINTS = "journal", "checkpoints"
_FILE = re.compile(r"lane-(\d+)\.jsonl\.gz")
# Rows of one kind compress well at once; a higher level costs more than it saves.
_COMPRESSION = 3


async def export(connection: AsyncConnection, folder: Path, public: PublicKeys, progress: Progress) -> int:
    """Write a snapshot's journal and checkpoints into an empty folder; returns the number of rows.

    Raises ConfigurationError where the folder is not empty, IntegrityViolation for a row that no export can hold.
    """
    _prepare(folder, public)
    files, rows = CheckpointFiles(folder / _CHECKPOINTS), 0
    await read_along_the_key(connection)
    lanes = (await connection.execute(text("SELECT lane FROM lanes ORDER BY lane"))).scalars().all()
    for lane in lanes:
        with gzip.open(folder / _JOURNAL / f"lane-{lane:04}.jsonl.gz", "wb", compresslevel=_COMPRESSION) as file:
            async for page in pages(connection, lane):
                file.write(b"".join(_line(lane, *entry) for entry in page))
                rows += len(page)
                progress(len(page))
        files.append(lane, [checkpoint async for checkpoint in table_checkpoints(connection, lane)])
    return rows


async def verified(folder: Path, public: PublicKeys, outside: Outside | None, progress: Progress) -> Check:
    """What an export proves: no position missing, every row under its signed checkpoint, the checkpoints one chain.

    `outside` are checkpoints that came another way: with them, a tail that was cut off the export is found too.
    """
    check = Check("export verified with the public keys alone")
    journal = {int(name[1]): path for path in (folder / _JOURNAL).glob("*") if (name := _FILE.fullmatch(path.name))}
    checkpoints = CheckpointFiles(folder / _CHECKPOINTS)
    inside = Outside(checkpoints, checkpoints.sizes())
    lanes = sorted({*journal, *inside.sizes, *(outside.sizes if outside else ())})
    total = Walked()
    for lane in lanes:
        findings = Findings(f"lane {lane}")
        anchored = outside.read(lane, findings) if outside else None
        seals = trusted(inside.read(lane, findings), anchored, public, findings)
        rows = _read(journal.get(lane), lane)
        try:
            walked = await walk(rows, seals, None, findings, progress)
        except IntegrityViolation as error:
            findings.add(0, str(error))
        else:
            total.rows += walked.rows
            total.sealed += walked.sealed
            total.checkpoints += walked.checkpoints
        check.findings += findings.lines()
    check.looked_at = f"{looked_at(total, len(lanes))}; the keyed checksums were not recomputed"
    return check


def _prepare(folder: Path, public: PublicKeys) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise ConfigurationError(f"{folder} is not empty; an export goes into a folder of its own")
    (folder / _JOURNAL).mkdir(parents=True)
    (folder / PUBLIC_KEYS).write_text(json.dumps(public.jwks(), indent=2) + "\n")


def _line(lane: int, position: int, checksum: bytes, content: bytes) -> bytes:
    fields = fields_of_content(content)
    if fields is None:
        raise IntegrityViolation(f"lane {lane}, position {position}: is no row as the wallet writes it; verify first")
    return orjson.dumps(fields | {"checksum": checksum.hex()}) + b"\n"


async def _read(path: Path | None, lane: int) -> AsyncIterator[Sequence[Entry]]:
    if path is None:
        return
    try:
        with gzip.open(path, "rb") as file:
            while page := [_entry(lane, line) for line in islice(file, LINES_AT_ONCE)]:
                yield page
    except (OSError, EOFError) as error:
        raise IntegrityViolation(f"lane {lane}: {path.name} is not whole: {error}") from error


def _entry(lane: int, line: bytes) -> Entry:
    try:
        fields: dict[str, Any] = orjson.loads(line)
        # A row of another lane has another content, so it leads to another root.
        return fields["position"], bytes.fromhex(fields["checksum"]), content_of_fields(fields)
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityViolation(f"lane {lane}: a line of the journal is no row") from error
