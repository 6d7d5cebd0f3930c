"""An evidence pack verifies with the public keys alone, and whatever was altered in it is found."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from typer.testing import CliRunner

from compliance_service.domain.audit import AuditEntry
from compliance_service.handlers.audit_sealer import AuditSealer
from compliance_service.repository.audit import AuditLog, signing_with
from compliance_service.settings import Settings
from ops import proof, verify
from ops.archive import Record
from ops.evidence.checking import verified
from ops.evidence.manifest import AUDIT, FILES, MANIFEST, PAGE, RECEIPTS, UNSEALED, Manifest, Scope
from ops.evidence.pack import Maker
from ops.main import app
from ops.places import Places
from shared import database as databases
from shared.checkpoints import PublicKeys, SigningKeys
from shared.contracts.audit import NewAuditEntry
from shared.errors import ConfigurationError
from shared.keyring import AUDIT_KEYS, Keyring
from shared.telemetry import Metrics
from tests.ops.ledger import PLAYERS, ROUNDS, SIGNING, Ledger
from tests.support import TOKEN

pytestmark = pytest.mark.integration

AUDIT_CHAIN, AUDIT_SIGNING = "a1:" + "66" * 32, "b1:" + "77" * 32
NOW = datetime(2026, 11, 24, tzinfo=UTC)
# The last row of the last player's lane is not sealed.
PLAYER, OTHER = PLAYERS[-1], PLAYERS[0]
ENTRIES, EVERY = 25, 10
ALWAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
Files = dict[str, bytes]


def keyring() -> Keyring:
    return Keyring.parse(AUDIT_CHAIN, AUDIT_SIGNING, AUDIT_KEYS)


def public() -> PublicKeys:
    return SIGNING.public().and_those(keyring().signing.public())


@pytest.fixture
async def platform(sealed: Ledger, tmp_path: Path) -> Ledger:
    """The honest ledger, and an audit log of two players beside it."""
    dsn = sealed.database.dsn("compliance_service")
    keys = keyring()
    engine = signing_with(databases.create_engine(dsn, application="test", schema="compliance"), keys)
    entries = [
        AuditEntry("LIMIT_OVERRIDE", PLAYER if n % 3 else OTHER, "ann", "<b>why</b>", None, {"n": n}, None)
        for n in range(ENTRIES)
    ]
    await AuditLog(engine).add(entries)
    settings = Settings.load(
        kafka_bootstrap_servers="127.0.0.1:1",
        internal_api_token=TOKEN,
        compliance_database_url=dsn,
        wallet_service_url="http://127.0.0.1:1",
        audit_keys=AUDIT_CHAIN,
        audit_signing_keys=AUDIT_SIGNING,
        kyc_keys="k1:" + "88" * 32,
        kyc_index_keys="i1:" + "99" * 32,
        audit_sink=(tmp_path / "audit").as_uri(),
        audit_checkpoint_every_rows=EVERY,
        audit_checkpoint_every_s=3600,
    )
    await AuditSealer(settings, engine=engine, keyring=keys, metrics=Metrics()).look()
    await engine.dispose()
    return sealed


async def make(platform: Ledger, out: Path, scope: Scope) -> Manifest:
    database = platform.database
    async with (
        proof.snapshot(database.dsn("wallet_service")) as wallet,
        proof.snapshot(database.dsn("compliance_service"), "compliance") as compliance,
    ):
        return await Maker(SIGNING, public(), None, "ann").make(wallet, compliance, scope, out, NOW)


@pytest.fixture
async def pack(platform: Ledger, tmp_path: Path) -> Path:
    out = tmp_path / "pack.zip"
    await make(platform, out, Scope(PLAYER))
    return out


def read(pack: Path) -> Files:
    with ZipFile(pack) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def rewrite(pack: Path, files: Files) -> None:
    with ZipFile(pack, "w", ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)


def records(files: Files, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files[name].splitlines()]


async def test_a_players_pack_has_all_of_their_rows_and_entries_and_holds(platform: Ledger, tmp_path: Path) -> None:
    out = tmp_path / "pack.zip"
    made = await make(platform, out, Scope(PLAYER))
    check = verified(out, public())
    assert check.holds, check.findings
    assert made.files[RECEIPTS].lines + made.files[UNSEALED].lines == ROUNDS * 4 + 1
    assert made.files[UNSEALED].lines
    assert made.files[AUDIT].lines == sum(1 for n in range(ENTRIES) if n % 3)
    files = read(out)
    assert {each["row"]["user_id"] for each in records(files, RECEIPTS)} == {PLAYER}
    assert any(each["proof"] for each in records(files, AUDIT))
    page = files[PAGE].decode()
    assert "Refusals" in page
    assert "&lt;b&gt;why" in page
    assert "<b>why" not in page


async def test_a_periods_pack_has_the_refusals_of_everyone_and_no_plain_play(platform: Ledger, tmp_path: Path) -> None:
    out = tmp_path / "pack.zip"
    made = await make(platform, out, Scope(None, *ALWAYS))
    assert verified(out, public()).holds
    assert {each["row"]["status"] for each in records(read(out), RECEIPTS)} == {"refused"}
    assert made.files[RECEIPTS].lines + made.files[UNSEALED].lines == len(PLAYERS) * ROUNDS
    assert made.files[AUDIT].lines == ENTRIES


async def test_a_period_without_anything_has_an_empty_pack_that_holds(platform: Ledger, tmp_path: Path) -> None:
    out = tmp_path / "pack.zip"
    made = await make(platform, out, Scope(PLAYER, ALWAYS[0], ALWAYS[0] + timedelta(days=1)))
    assert sum(file.lines for file in made.files.values()) == 0
    assert verified(out, public()).holds


async def test_a_pack_does_not_overwrite(platform: Ledger, pack: Path) -> None:
    with pytest.raises(ConfigurationError, match="there already"):
        await make(platform, pack, Scope(PLAYER))


def edited(name: str, **change: object) -> Callable[[Files], object]:
    def edit(files: Files) -> None:
        lines = records(files, name)
        lines[0].get("row", lines[0]).update(change)
        files[name] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    return edit


def removed(name: str) -> Callable[[Files], object]:
    return lambda files: files.update({name: b"".join(files[name].splitlines(keepends=True)[1:])})


def flipped(name: str) -> Callable[[Files], object]:
    def flip(files: Files) -> None:
        content = bytearray(files[name])
        content[len(content) // 2] ^= 1
        files[name] = bytes(content)

    return flip


def with_said_hashes(change: Callable[[Files], object]) -> Callable[[Files], object]:
    """The manifest is made to fit, which only its signature can tell."""

    def forge(files: Files) -> None:
        change(files)
        signed = json.loads(files[MANIFEST])
        manifest = json.loads(signed["manifest"])
        for name, said in manifest["files"].items():
            digest = hashlib.sha256(files[name]).hexdigest()
            said.update(sha256=digest, lines=files[name].count(b"\n") if name.endswith("jsonl") else 0)
        files[MANIFEST] = json.dumps(signed | {"manifest": json.dumps(manifest)}).encode()

    return forge


TAMPERED: dict[str, tuple[Callable[[Files], object], str]] = {
    "an edited amount": (edited(RECEIPTS, amount_minor=1), "receipts.jsonl, line 1: the row is not what was sealed"),
    "an edited actor": (edited(AUDIT, actor="bob"), "audit.jsonl, line 1: entry 2: the row is not what was sealed"),
    "an entry's cut chain": (edited(AUDIT, previous="00" * 32), "audit.jsonl is not the file that was signed"),
    "a removed row": (removed(RECEIPTS), "receipts.jsonl has"),
    "a removed entry": (removed(AUDIT), "audit.jsonl has"),
    "a removed unsealed row": (removed(UNSEALED), "unsealed.jsonl has"),
    "a removed row and a fitting manifest": (with_said_hashes(removed(RECEIPTS)), "manifest.json has a signature"),
    "an edited unsealed row and a fitting manifest": (
        with_said_hashes(edited(UNSEALED, amount_minor=5)),
        "manifest.json has a signature",
    ),
    "another's row": (edited(UNSEALED, user_id=OTHER), "is not of the player"),
    "a row twice": (
        lambda files: files.update({RECEIPTS: files[RECEIPTS].splitlines(keepends=True)[0] + files[RECEIPTS]}),
        "is there twice",
    ),
    "a line that is none": (lambda files: files.update({AUDIT: b"{}\n" + files[AUDIT]}), "line 1: is no entry"),
    "a missing file": (lambda files: files.pop(AUDIT), "audit.jsonl is missing"),
    "a file more": (lambda files: files.update({"more.txt": b"x"}), "not those of a pack"),
    "no manifest": (lambda files: files.update({MANIFEST: b"{}"}), "is no manifest"),
    **{f"a flipped byte in {name}": (flipped(name), name) for name in FILES},
}


@pytest.mark.parametrize("name", TAMPERED)
async def test_what_was_altered_is_found_and_named(name: str, pack: Path) -> None:
    change, said = TAMPERED[name]
    files = read(pack)
    change(files)
    rewrite(pack, files)
    findings = verified(pack, public()).findings
    assert any(said in line for line in findings), findings


def test_a_flipped_byte_of_the_zip_is_found(pack: Path) -> None:
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.write_bytes(content)
    assert not verified(pack, public()).holds


async def test_anothers_keys_do_not_vouch_for_it(pack: Path) -> None:
    theirs = SigningKeys.parse("s1:" + "22" * 32).public()
    assert "manifest.json has a signature that is not its key's" in verified(pack, theirs).findings


async def test_the_command_says_what_holds_and_exits_with_1_where_it_does_not(pack: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps(public().jwks()))
    command = ["verify-evidence", str(pack), "--public-keys", str(keys)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    own = CliRunner().invoke(app, command[:2])
    assert own.exit_code == 0
    assert "by the keys in the pack itself" in " ".join(own.output.replace("│", " ").split())
    files = read(pack)
    edited(RECEIPTS, amount_minor=1)(files)
    rewrite(pack, files)
    assert CliRunner().invoke(app, command).exit_code == 1


def test_a_running_platforms_pack_is_on_its_record_and_verifies(
    platform: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = list[NewAuditEntry]()

    @asynccontextmanager
    async def recording(found: Places) -> AsyncIterator[Record]:
        async def record(entry: NewAuditEntry) -> None:
            recorded.append(entry)

        yield record

    monkeypatch.setattr(verify, "recording", recording)
    for name, value in {
        "GATEWAY_URL": "http://nowhere",
        "KAFKA_BOOTSTRAP_SERVERS": "nowhere:9092",
        "SECRETS_DIR": str(tmp_path),
        "WALLET_DATABASE_URL": platform.database.dsn("wallet_service"),
        "CHAIN_KEYS": "k1:" + bytes(range(32)).hex(),
        "CHECKPOINT_KEYS": "s1:" + "5e" * 32,
        "COMPLIANCE_DATABASE_URL": platform.database.dsn("compliance_service"),
        "AUDIT_KEYS": AUDIT_CHAIN,
        "AUDIT_SIGNING_KEYS": AUDIT_SIGNING,
        "REPORT_KEYS": "r1:" + "7e" * 32,
    }.items():
        monkeypatch.setenv(name, value)
    out = tmp_path / "out.zip"
    command = ["evidence", "--period", "2000-01-01", "2100-01-01", "--out", str(out), "--actor", "ann"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert [(entry.action, entry.actor) for entry in recorded] == [("EVIDENCE_EXPORT", "ann")]
    assert verified(out, public()).holds


@pytest.mark.parametrize(
    "days", [("2026-02-01", "2026-01-01"), ("1999-01-01", "2026-01-01"), ("2026-01-01", "2300-01-01")]
)
def test_a_period_that_is_none_is_refused(days: tuple[str, str], tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["evidence", "--period", *days, "--out", str(tmp_path / "x")]).exit_code == 1


def test_the_command_asks_for_a_player_or_a_period(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["evidence", "--out", str(tmp_path / "x")]).exit_code == 1
