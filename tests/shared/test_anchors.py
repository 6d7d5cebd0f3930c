"""Checkpoints outside the database: files that are only ever added to."""

import multiprocessing
from pathlib import Path

import pytest

from shared.anchors import CheckpointFiles
from shared.checkpoints import NO_CHECKPOINT, Sealed, SigningKeys
from shared.contracts.checkpoints import Checkpoint
from shared.errors import IntegrityViolation, SinkUnavailable
from shared.testing import MOMENT

KEYS = SigningKeys.parse("s1:" + "11" * 32)


def checkpoints(first: int, last: int) -> list[Checkpoint]:
    """Numbers of one lane, a row each."""
    return [
        KEYS.signed(Sealed(2, number, number, number, bytes(32), bytes(32), NO_CHECKPOINT, MOMENT))
        for number in range(first, last + 1)
    ]


def numbers(files: CheckpointFiles) -> list[int]:
    return [each.number for each in files.read(2, files.sizes()[2])]


def test_what_is_there_is_not_added_again(tmp_path: Path) -> None:
    files = CheckpointFiles(tmp_path / "a" / "b")
    assert files.last(2) is None
    files.append(2, checkpoints(1, 3))
    files.append(2, checkpoints(2, 5))
    files.append(2, checkpoints(1, 5))
    assert numbers(files) == [1, 2, 3, 4, 5]
    assert files.last(2) == checkpoints(5, 5)[0]
    assert files.sizes().keys() == {2}


def test_a_gap_is_refused(tmp_path: Path) -> None:
    files = CheckpointFiles(tmp_path)
    files.append(2, checkpoints(1, 2))
    with pytest.raises(IntegrityViolation, match="checkpoint 3 is missing"):
        files.append(2, checkpoints(4, 4))
    assert numbers(files) == [1, 2]


def test_the_half_line_of_a_crash_is_written_anew(tmp_path: Path) -> None:
    files = CheckpointFiles(tmp_path)
    files.append(2, checkpoints(1, 2))
    path = tmp_path / "lane-0002.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    assert numbers(files) == [1]
    assert files.last(2) == checkpoints(1, 1)[0]
    files.append(2, checkpoints(1, 3))
    assert numbers(files) == [1, 2, 3]


def test_one_reads_what_was_there_at_a_time(tmp_path: Path) -> None:
    files = CheckpointFiles(tmp_path)
    files.append(2, checkpoints(1, 2))
    then = files.sizes()[2]
    files.append(2, checkpoints(3, 9))
    assert [each.number for each in files.read(2, then)] == [1, 2]


def test_a_line_that_is_no_checkpoint_is_said(tmp_path: Path) -> None:
    files = CheckpointFiles(tmp_path)
    (tmp_path / "lane-0002.jsonl").write_text('{"lane": 2}\n')
    with pytest.raises(IntegrityViolation, match="lane 2: "):
        list(files.read(2, 100))
    with pytest.raises(IntegrityViolation):
        files.last(2)


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files = CheckpointFiles(tmp_path / "file" / "folder")
    with pytest.raises(SinkUnavailable, match="lane 2 cannot be kept"):
        files.append(2, checkpoints(1, 1))
    with pytest.raises(SinkUnavailable):
        files.sizes()


def test_a_url_names_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    CheckpointFiles.at(folder.as_uri()).append(2, checkpoints(1, 1))
    assert CheckpointFiles(folder).last(2) is not None


def _append_all(folder: Path) -> None:
    files = CheckpointFiles(folder)
    for last in range(1, 30):
        files.append(2, checkpoints(1, last))


def test_two_processes_write_each_number_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_all, args=(tmp_path,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert numbers(CheckpointFiles(tmp_path)) == list(range(1, 30))
