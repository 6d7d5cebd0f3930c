"""`langsense verify` and what goes with it: where the keys are, and a bar that shows how far it is."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import httpx2
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from sqlalchemy import text

from ops import proof
from ops.archive import Archive, Archived, Record
from ops.evidence import checking
from ops.evidence.manifest import Manifest, Scope
from ops.evidence.pack import Maker
from ops.places import Places
from ops.proof import Check, Outside, export
from ops.proof.walk import Progress
from shared import clock, database, journal
from shared.checkpoints import PublicKeys, SigningKeys, verify_receipt
from shared.contracts.audit import NewAuditEntries, NewAuditEntry
from shared.contracts.checkpoints import Receipt
from shared.errors import ConfigurationError, ServiceUnavailable
from shared.keyring import (
    AUDIT_KEYS,
    LEDGER_KEYS,
    REPORT_KEYS,
    AuditKeySettings,
    KeyNames,
    KeyPlace,
    Keyring,
    KeySettings,
    KeyTexts,
    ReportKeySettings,
    source_of,
)


async def ledger(found: Places, public_keys: Path | None, checkpoints: str | None, console: Console) -> list[Check]:
    """Everything that must hold of a running platform's ledger."""
    public = read_public_keys(public_keys) if public_keys else own_public_keys(found)
    # What is outside is looked at first: all of it has to be in the snapshot.
    outside = outside_of(checkpoints or found.checkpoint_sink)
    async with proof.snapshot(found.database_urls["wallet"]) as connection:
        rows: int = await connection.scalar(text("SELECT coalesce(sum(position), 0)::bigint FROM lanes")) or 0
        with console.status("adding up"):
            checks = [
                await proof.conserved(connection),
                await proof.folded(connection),
                await proof.derived(connection),
            ]
        with bar(console, rows) as progress:
            return [*checks, await proof.chained(connection, keyring(found).chain, public, outside, progress)]


async def audit_log(
    found: Places, public_keys: Path | None, sink: str | None, archive: Path | None, console: Console
) -> Check:
    """Everything that must hold of a running platform's audit log, with what was archived of it."""
    keys = audit_keyring(found)
    public = read_public_keys(public_keys) if public_keys else keys.signing.public()
    outside = outside_of(sink or found.audit_sink)
    async with proof.snapshot(found.database_urls["compliance"], "compliance") as connection:
        with bar(console, None) as progress:
            return await proof.audited(connection, keys.chain, public, outside, archive, progress)


async def archived(
    found: Places, admin_dsn: str, folder: Path, keep: timedelta, sink: str | None, actor: str
) -> Sequence[Archived]:
    """Archive what is older than `keep` of a running platform's audit log, and drop it. Raises IntegrityViolation."""
    engine = database.create_engine(admin_dsn, application="langsense-archive", schema="compliance")
    outside, dsn = outside_of(sink or found.audit_sink), found.database_urls["compliance"]
    try:
        async with recording(found) as record:
            archive = Archive(engine, dsn, folder, audit_keyring(found), outside, record, actor)
            return await archive.run(clock.utc_now(), keep)
    finally:
        await engine.dispose()


async def evidence(found: Places, scope: Scope, out: Path, archive: Path | None, actor: str) -> Manifest:
    """Write an evidence pack of a running platform, which is on the record first. Raises IntegrityViolation."""
    signing, public = keyring(found).signing, all_public_keys(found)
    asked = {"user_id": scope.user_id, "from": _text(scope.start), "to": _text(scope.end), "file": out.name}
    async with recording(found) as record:
        await record(NewAuditEntry(action="EVIDENCE_EXPORT", user_id=scope.user_id, actor=actor, after={**asked}))
    async with (
        proof.snapshot(found.database_urls["wallet"]) as wallet,
        proof.snapshot(found.database_urls["compliance"], "compliance") as compliance,
    ):
        return await Maker(signing, public, archive, actor).make(wallet, compliance, scope, out, clock.utc_now())


def packed_evidence(file: Path, public_keys: Path | None) -> Check:
    """Everything that an evidence pack proves by itself."""
    return checking.verified(file, read_public_keys(public_keys) if public_keys else None)


@asynccontextmanager
async def recording(found: Places) -> AsyncIterator[Record]:
    """What puts an act on the record of a running platform's audit log. Raises ServiceUnavailable."""
    token = (found.secrets_dir / "internal_api_token").read_text().strip()
    client = journal.internal_client(found.service_urls["compliance"], token)

    async def record(entry: NewAuditEntry) -> None:
        body = NewAuditEntries(entries=[entry]).model_dump(mode="json")
        try:
            (await client.post("/audit-entries", json=body)).raise_for_status()
        except httpx2.HTTPError as error:
            raise ServiceUnavailable("the compliance service does not take it on record; nothing is done") from error

    try:
        yield record
    finally:
        await client.aclose()


async def exported(folder: Path, public_keys: Path, checkpoints: str | None, console: Console) -> list[Check]:
    """Everything that an export proves by itself."""
    public = read_public_keys(public_keys)
    with bar(console, None) as progress:
        return [await export.verified(folder, public, outside_of(checkpoints), progress)]


async def export_journal(found: Places, folder: Path, console: Console) -> int:
    """Write the journal and its checkpoints into a folder; returns the number of rows."""
    async with proof.snapshot(found.database_urls["wallet"]) as connection:
        with bar(console, None) as progress:
            return await export.export(connection, folder, own_public_keys(found), progress)


def receipt(file: Path, public_keys: Path) -> Receipt:
    """A receipt that holds. Raises IntegrityViolation, or ConfigurationError for what is no receipt."""
    try:
        found = Receipt.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from error
    except ValidationError as error:
        raise ConfigurationError(f"{file} is no receipt: {error.error_count()} of its fields are wrong") from error
    verify_receipt(found, read_public_keys(public_keys))
    return found


def keyring(found: Places) -> Keyring:
    """The ledger's keys, from where the platform's KEY_SOURCE says. Raises ConfigurationError, KeysUnavailable."""
    return _keyring(found, KeySettings, LEDGER_KEYS)


def audit_keyring(found: Places) -> Keyring:
    """The audit log's keys. As `keyring`."""
    return _keyring(found, AuditKeySettings, AUDIT_KEYS)


def keys_of(found: Places, place: type[KeyPlace], names: KeyNames) -> KeyTexts:
    """Sets of keys, as they are written where the platform's KEY_SOURCE says."""
    return source_of(_place(found, place), names).read()


def _keyring(found: Places, place: type[KeyPlace], names: KeyNames) -> Keyring:
    return Keyring.read(source_of(_place(found, place), names))


def _place(found: Places, place: type[KeyPlace]) -> KeyPlace:
    try:
        return place(_secrets_dir=found.secrets_dir, secrets_dir=found.secrets_dir)
    except ValidationError as error:
        wrong = {str(finding["loc"][0]).upper() for finding in error.errors(include_input=False)}
        raise ConfigurationError(f"out of range: {', '.join(sorted(wrong))}") from None


def own_public_keys(found: Places) -> PublicKeys:
    """The public halves of the ledger's own signing keys. An auditor brings a file instead."""
    return keyring(found).signing.public()


def report_public_keys(found: Places) -> PublicKeys:
    """The public halves of the keys that sign reports."""
    (text,) = keys_of(found, ReportKeySettings, REPORT_KEYS)
    return SigningKeys.parse(text, "REPORT_KEYS").public()


def all_public_keys(found: Places) -> PublicKeys:
    """As `own_public_keys`, with the audit log's and those of reports."""
    return own_public_keys(found).and_those(audit_keyring(found).signing.public()).and_those(report_public_keys(found))


def read_public_keys(file: Path) -> PublicKeys:
    """The public keys in a file. Raises ConfigurationError."""
    try:
        return PublicKeys.from_jwks(file.read_text())
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from error


def outside_of(url: str | None) -> Outside | None:
    """The checkpoints outside, as they are now; None where no place is named. Raises SinkUnavailable."""
    return Outside.now(url) if url else None


def _text(moment: datetime | None) -> str | None:
    return clock.to_text(moment) if moment else None


@contextmanager
def bar(console: Console, rows: int | None) -> Iterator[Progress]:
    """A bar on a terminal, that goes away when it is done; elsewhere nothing."""
    columns = (TextColumn("rows"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("rows", total=rows)
        yield lambda count: shown.advance(task, count)
