"""Months of the audit log as files: audit-2026-08.jsonl.gz, an entry a line, with what its checksum covers.

The checkpoints over them stay in the database and outside it; each month ends with one, which signs what is in the
file. A file is read back and held to it before anything is dropped.
"""

import gzip
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from pathlib import Path

import orjson

from shared import clock
from shared.audit import AuditRow
from shared.errors import IntegrityViolation

LINES_AT_ONCE = 2000
_NAME = re.compile(r"audit-\d{4}-\d{2}\.jsonl\.gz")

Rows = Sequence[tuple[AuditRow, bytes]]


def files(folder: Path) -> list[Path]:
    """The archive's files, the oldest first."""
    return sorted(path for path in folder.glob("audit-*.jsonl.gz") if _NAME.fullmatch(path.name))


def path_of(folder: Path, month: str) -> Path:
    """Where a month, such as 2026-08, is kept."""
    return folder / f"audit-{month}.jsonl.gz"


async def write(path: Path, pages: AsyncIterator[Rows]) -> int:
    """Write entries to a file, which is there as a whole or not at all; returns the last one's number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part, last = path.with_suffix(".part"), 0
    with part.open("wb") as file:
        with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
            async for page in pages:
                packed.write(b"".join(_line(row, checksum) for row, checksum in page))
                last = page[-1][0].number
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return last


def read(path: Path) -> Iterator[Rows]:
    """A file's entries. Raises IntegrityViolation for one that is not whole."""
    try:
        with gzip.open(path, "rb") as file:
            while page := [_decoded(path, line) for line in islice(file, LINES_AT_ONCE)]:
                yield page
    except (OSError, EOFError) as error:
        raise IntegrityViolation(f"{path.name} is not whole: {error}") from error


def _line(row: AuditRow, checksum: bytes) -> bytes:
    return orjson.dumps({**row._asdict(), "at": clock.to_text(row.at), "checksum": checksum.hex()}) + b"\n"


def _decoded(path: Path, line: bytes) -> tuple[AuditRow, bytes]:
    try:
        fields = orjson.loads(line)
        checksum = bytes.fromhex(fields.pop("checksum"))
        return AuditRow(**{**fields, "at": clock.from_text(fields["at"])}), checksum
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityViolation(f"a line of {path.name} is no entry") from error
