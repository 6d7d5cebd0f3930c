"""An exported journal, and a receipt, verify with the public keys alone: no database, no service."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ops import proof
from ops.main import app
from ops.proof import Check, Outside, export
from shared.checkpoints import SigningKeys
from shared.contracts.events import LedgerEvent
from shared.errors import ConfigurationError
from tests.ops.ledger import KEYS, PLAYERS, SIGNING, Ledger, seal_lane
from tests.support import LANES

pytestmark = pytest.mark.integration

JOURNAL = "journal/lane-0001.jsonl.gz"
CHECKPOINTS = "checkpoints/lane-0001.jsonl"
Rows = list[dict[str, Any]]


@pytest.fixture
async def exported(sealed: Ledger, tmp_path: Path) -> Path:
    folder = tmp_path / "export"
    async with proof.snapshot(sealed.database.dsn("wallet_service")) as connection:
        rows = await export.export(connection, folder, SIGNING.public(), lambda count: None)
    assert rows == len(PLAYERS) * 17
    return folder


async def check(folder: Path, outside: Outside | None = None) -> Check:
    return await export.verified(folder, SIGNING.public(), outside, lambda count: None)


def rewrite(folder: Path, change: Callable[[Rows], object]) -> None:
    """Change the exported rows of lane 1."""
    path = folder / JOURNAL
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    change(rows)
    path.write_bytes(gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in rows)))


def as_it_was_earlier(folder: Path) -> None:
    """Leave of lane 1 what its first two checkpoints are of."""
    rewrite(folder, lambda rows: rows.__delitem__(slice(25, None)))
    path = folder / CHECKPOINTS
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))


async def test_an_honest_export_holds_and_says_what_it_did_not_look_at(exported: Path) -> None:
    found = await check(exported)
    assert found.holds, found.findings
    assert found.looked_at.startswith(f"{len(PLAYERS) * 17} rows in {LANES} lanes, ")
    assert found.looked_at.endswith("; the keyed checksums were not recomputed")


async def test_a_line_is_a_ledger_event(exported: Path) -> None:
    lines = gzip.decompress((exported / JOURNAL).read_bytes()).splitlines()
    events = [LedgerEvent.model_validate_json(line) for line in lines]
    assert [event.position for event in events] == list(range(1, len(lines) + 1))
    assert any(event.facts for event in events)


TAMPERED: dict[str, Callable[[Rows], object]] = {
    "a changed amount": lambda rows: rows[4].update(amount_minor=1),
    "a changed refusal": lambda rows: next(row for row in rows if row["reason"]).update(reason="EXPIRED"),
    "a changed number that a refusal rests on": lambda rows: next(row for row in rows if row["facts"]).update(facts={}),
    "a changed checksum": lambda rows: rows[4].update(checksum="00" * 32),
    "a row deleted": lambda rows: rows.pop(4),
    "a row deleted and the others moved up": lambda rows: (
        rows.pop(4),
        [row.update(position=number) for number, row in enumerate(rows, 1)],
    ),
    "two rows swapped": lambda rows: (rows[4].update(position=6), rows[5].update(position=5), rows.sort(key=_place)),
    "the tail cut off": lambda rows: rows.__delitem__(slice(25, None)),
    "a field left out": lambda rows: rows[4].pop("currency"),
    "all of it": lambda rows: rows.clear(),
}


def _place(row: dict[str, Any]) -> int:
    position: int = row["position"]
    return position


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED.keys())
async def test_what_was_altered_is_found(change: Callable[[Rows], object], exported: Path) -> None:
    rewrite(exported, change)
    found = await check(exported)
    assert found.findings
    assert all(line.startswith("lane 1") for line in found.findings)


async def test_a_lane_left_out_is_found(exported: Path) -> None:
    (exported / JOURNAL).unlink()
    assert "checkpoint 1 sealed rows up to" in (await check(exported)).findings[0]


async def test_a_broken_file_is_found(exported: Path) -> None:
    path = exported / JOURNAL
    path.write_bytes(path.read_bytes()[:-20])
    assert "is not whole" in (await check(exported)).findings[0]


async def test_rows_without_checkpoints_are_said_to_be_unsealed(exported: Path) -> None:
    (exported / CHECKPOINTS).unlink()
    assert "rows not sealed yet" in (await check(exported)).looked_at


async def test_a_tail_cut_off_with_its_checkpoints_is_found_beside_those_that_came_another_way(
    exported: Path, sealed: Ledger
) -> None:
    as_it_was_earlier(exported)
    assert (await check(exported)).holds
    found = await check(exported, Outside(sealed.files, sealed.files.sizes()))
    assert "lane 1, position 25: is the last, and checkpoint 3 sealed rows up to 30" in found.findings


async def test_checkpoints_of_ones_own_do_not_help(exported: Path, sealed: Ledger, tmp_path: Path) -> None:
    await sealed.administrator.execute("DELETE FROM checkpoints WHERE lane = 1")
    await seal_lane(sealed.engine, tmp_path / "theirs", 1, SigningKeys.parse("s1:" + "66" * 32))
    (exported / CHECKPOINTS).write_bytes((tmp_path / "theirs" / "lane-0001.jsonl").read_bytes())
    assert "has a signature that is not its key's" in (await check(exported)).findings[0]


async def test_an_export_does_not_mix_with_what_is_there(exported: Path, sealed: Ledger) -> None:
    async with proof.snapshot(sealed.database.dsn("wallet_service")) as connection:
        with pytest.raises(ConfigurationError, match="not empty"):
            await export.export(connection, exported, SIGNING.public(), lambda count: None)


class TestTheCommand:
    """As an auditor runs it."""

    def test_it_says_that_it_holds(self, exported: Path) -> None:
        keys = str(exported / export.PUBLIC_KEYS)
        result = CliRunner().invoke(app, ["verify", "--export", str(exported), "--public-keys", keys])
        assert result.exit_code == 0, result.output
        assert "✓" in result.output

    def test_it_says_what_does_not_and_exits_with_1(self, exported: Path) -> None:
        rewrite(exported, TAMPERED["a changed amount"])
        keys = str(exported / export.PUBLIC_KEYS)
        result = CliRunner().invoke(app, ["verify", "--export", str(exported), "--public-keys", keys])
        assert result.exit_code == 1
        assert "rows 1 to 10 are not what checkpoint 1 sealed" in " ".join(result.output.split())

    def test_only_checkpoints_that_are_named_say_how_far_it_must_reach(self, exported: Path, sealed: Ledger) -> None:
        as_it_was_earlier(exported)
        command = ["verify", "--export", str(exported), "--public-keys", str(exported / export.PUBLIC_KEYS)]
        # A platform that goes on has later ones than any export of it.
        goes_on = {"CHECKPOINT_SINK": sealed.folder.as_uri()}
        assert CliRunner().invoke(app, command, env=goes_on).exit_code == 0
        assert CliRunner().invoke(app, [*command, "--checkpoints", sealed.folder.as_uri()]).exit_code == 1

    def test_the_keys_have_to_be_named(self, exported: Path) -> None:
        assert CliRunner().invoke(app, ["verify", "--export", str(exported)]).exit_code == 1

    def test_a_running_platform_is_verified_beside_its_folder(
        self, sealed: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in {
            "GATEWAY_URL": "http://nowhere",
            "KAFKA_BOOTSTRAP_SERVERS": "nowhere:9092",
            "SECRETS_DIR": str(tmp_path),
            "WALLET_DATABASE_URL": sealed.database.dsn("wallet_service"),
            "CHAIN_KEYS": "k1:" + bytes(range(32)).hex(),
            "CHECKPOINT_KEYS": "s1:" + "5e" * 32,
            "CHECKPOINT_SINK": sealed.folder.as_uri(),
            "COMPLIANCE_DATABASE_URL": sealed.database.dsn("compliance_service"),
            "AUDIT_KEYS": "a1:" + "66" * 32,
            "AUDIT_SIGNING_KEYS": "b1:" + "77" * 32,
            "REPORT_KEYS": "r1:" + "7e" * 32,
        }.items():
            monkeypatch.setenv(name, value)
        assert KEYS.current == "k1"
        result = CliRunner().invoke(app, ["verify"])
        assert result.exit_code == 0, result.output
        (sealed.folder / "lane-0001.jsonl").write_text("nothing\n")
        assert CliRunner().invoke(app, ["verify"]).exit_code == 1
        out = tmp_path / "out"
        assert CliRunner().invoke(app, ["export-journal", "--out", str(out)]).exit_code == 0
        assert (out / JOURNAL).is_file()
        assert "Ed25519" in CliRunner().invoke(app, ["public-keys"]).output
