"""Checkpoints outside the database, where its administrator cannot reach: one file of JSON lines per lane.

Lines are only ever added, each on the disk before the next step, and a lane's numbers have no gap and no repetition,
whoever writes and however often. Put the folder on a volume of another owner, or ship it elsewhere.
"""

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from shared.contracts.checkpoints import Checkpoint
from shared.errors import IntegrityViolation, SinkUnavailable

URL_PATTERN = r"^file:///[^?#]+$"
# A checkpoint is a few hundred bytes.
_MAX_LINE = 4096
_FILE = re.compile(r"lane-(\d+)\.jsonl")


class CheckpointFiles:
    """The files of all lanes, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def at(cls, url: str) -> "CheckpointFiles":
        """At a URL of the form `file:///path`."""
        return cls(Path(unquote(urlsplit(url).path)))

    def last(self, lane: int) -> Checkpoint | None:
        """A lane's last checkpoint, or None where there is none. Raises SinkUnavailable, IntegrityViolation."""
        with self._opened(lane) as file:
            return _last(file)

    def append(self, lane: int, checkpoints: Sequence[Checkpoint]) -> None:
        """Add to a lane's file what it does not have yet. Raises SinkUnavailable, IntegrityViolation."""
        with self._opened(lane) as file:
            last = _last(file)
            number = last.number if last else 0
            fresh = [checkpoint for checkpoint in checkpoints if checkpoint.number > number]
            if [each.number for each in fresh] != list(range(number + 1, number + 1 + len(fresh))):
                raise IntegrityViolation(f"lane {lane}: checkpoint {number + 1} is missing before the ones to anchor")
            file.write(b"".join(checkpoint.model_dump_json().encode() + b"\n" for checkpoint in fresh))
            file.flush()
            os.fsync(file.fileno())

    def sizes(self) -> dict[int, int]:
        """How long each lane's file is now, in bytes; empty before the first. Raises SinkUnavailable."""
        try:
            found = [(_FILE.fullmatch(path.name), path.stat().st_size) for path in self._folder.iterdir()]
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SinkUnavailable(f"the folder of checkpoints cannot be read: {error.strerror}") from error
        return {int(name[1]): size for name, size in found if name}

    def read(self, lane: int, size: int) -> Iterator[Checkpoint]:
        """The checkpoints in the first `size` bytes of a lane's file. Raises IntegrityViolation, SinkUnavailable."""
        try:
            with self._path(lane).open("rb") as file:
                while file.tell() < size and (line := file.readline(_MAX_LINE)).endswith(b"\n"):
                    yield _decoded(lane, line)
        except OSError as error:
            raise SinkUnavailable(f"the checkpoints of lane {lane} cannot be read: {error.strerror}") from error

    def _path(self, lane: int) -> Path:
        return self._folder / f"lane-{lane:04}.jsonl"

    @contextmanager
    def _opened(self, lane: int) -> Iterator[IO[bytes]]:
        """A lane's file, for this writer alone, without the half line that a crash may have left at its end."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._path(lane).open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                _cut_half_line(file)
                yield file
        except OSError as error:
            raise SinkUnavailable(f"the checkpoints of lane {lane} cannot be kept: {error.strerror}") from error


def _last(file: IO[bytes]) -> Checkpoint | None:
    tail = _tail(file)
    lines = tail.splitlines(keepends=True)
    return _decoded(None, lines[-1]) if lines else None


def _tail(file: IO[bytes]) -> bytes:
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - _MAX_LINE))
    return file.read()


def _cut_half_line(file: IO[bytes]) -> None:
    tail = _tail(file)
    half = len(tail) - (tail.rfind(b"\n") + 1)
    if half:
        file.truncate(file.tell() - half)


def _decoded(lane: int | None, line: bytes) -> Checkpoint:
    try:
        return Checkpoint.model_validate_json(line)
    except ValidationError as error:
        where = "" if lane is None else f"lane {lane}: "
        raise IntegrityViolation(f"{where}a line of the checkpoints outside is no checkpoint") from error
