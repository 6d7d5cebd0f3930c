"""Verifying a pack, offline: its signature, its files, and each record's own receipt. It asks nobody anything."""

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple
from zipfile import BadZipFile, ZipFile

from pydantic import ValidationError

from ops.evidence.manifest import AUDIT, FILES, MANIFEST, PUBLIC_KEYS, RECEIPTS, UNSEALED, AuditReceipt, Manifest
from ops.evidence.manifest import SignedManifest as Signed
from ops.proof import Check
from ops.proof.walk import Findings
from shared import audit
from shared.audit import CHAIN, AuditRow
from shared.checkpoints import PublicKeys, leaf_of, verify_receipt, wrong_leaf
from shared.contracts.checkpoints import Receipt
from shared.contracts.events import LedgerEvent
from shared.errors import ConfigurationError, IntegrityViolation

# A record is a few thousand bytes; a manifest or a set of keys no more than that.
MAX_LINE = 1 << 20
_CHUNK = 1 << 16


class Place(NamedTuple):
    """Where the last record of a file stood; records are in order, none twice."""

    lane: int
    position: int


def verified(file: Path, public: PublicKeys | None) -> Check:
    """What a pack proves. Without keys, by its own: that shows that it is whole, not whose it is.

    Raises ConfigurationError for what is no pack at all.
    """
    check, findings = Check("evidence verified with the public keys alone"), Findings("evidence")
    try:
        with ZipFile(file) as pack:
            _Pack(pack, public, check, findings).verify()
    # Of a damaged pack, zipfile raises the last two for a method that it does not know, and for a flag of encryption.
    except (BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        findings.add(0, f"the file is not whole: {error}")
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}") from error
    except IntegrityViolation as error:
        findings.add(0, str(error))
    check.findings = [line.replace("evidence, position 0: ", "") for line in findings.lines()]
    return check


class _Pack:
    """One pack under verification."""

    def __init__(self, pack: ZipFile, public: PublicKeys | None, check: Check, findings: Findings) -> None:
        self._pack = pack
        self._check = check
        self._findings = findings
        self._own = public is None
        self._public = public or PublicKeys({})

    def verify(self) -> None:
        names = sorted(info.filename for info in self._pack.infolist())
        if names != sorted((MANIFEST, *FILES)):
            self._add(f"the pack has the files {', '.join(names)}, not those of a pack")
        if self._own:
            self._public = PublicKeys.from_jwks(self._small(PUBLIC_KEYS).decode(errors="replace"))
        manifest = self._manifest()
        counted = {RECEIPTS: self._receipts(manifest), UNSEALED: self._unsealed(manifest), AUDIT: self._audit(manifest)}
        for name in FILES:
            self._whole(name, manifest, counted.get(name, 0))
        whose = "; by the keys in the pack itself, which say nothing of who signed it" if self._own else ""
        self._check.looked_at = (
            f"{counted[RECEIPTS]} receipts, {counted[UNSEALED]} rows not sealed yet, {counted[AUDIT]} entries of the "
            f"audit log from number {manifest.audit_log_from} on{whose}"
        )

    def _manifest(self) -> Manifest:
        try:
            signed = Signed.model_validate_json(self._small(MANIFEST))
            manifest = Manifest.model_validate_json(signed.manifest)
        except ValidationError as error:
            raise IntegrityViolation(f"{MANIFEST} is no manifest") from error
        wrong = signed.problem(manifest, self._public)
        if wrong is not None:
            self._add(f"{MANIFEST} {wrong}")
        return manifest

    def _receipts(self, manifest: Manifest) -> int:
        count, before = 0, Place(-1, 0)
        for count, line in enumerate(self._lines(RECEIPTS), 1):
            where = f"{RECEIPTS}, line {count}"
            try:
                found = Receipt.model_validate_json(line)
                verify_receipt(found, self._public)
            except ValidationError:
                self._add(f"{where}: is no receipt")
            except IntegrityViolation as error:
                self._add(f"{where}: {error}")
            else:
                before = self._placed(where, found.row, before, manifest)
        return count

    def _unsealed(self, manifest: Manifest) -> int:
        count, before = 0, Place(-1, 0)
        for count, line in enumerate(self._lines(UNSEALED), 1):
            where = f"{UNSEALED}, line {count}"
            try:
                before = self._placed(where, LedgerEvent.model_validate_json(line), before, manifest)
            except ValidationError:
                self._add(f"{where}: is no journal row")
        return count

    def _placed(self, where: str, row: LedgerEvent, before: Place, manifest: Manifest) -> Place:
        place = Place(row.lane, row.position)
        if place <= before:
            self._add(f"{where}: lane {row.lane}, position {row.position} is there twice or out of order")
        if not manifest.scope.has(row.user_id, row.created_at):
            self._add(f"{where}: is not of the player and the period that the manifest names")
        return place

    def _audit(self, manifest: Manifest) -> int:
        count, number, head = 0, 0, ""
        for count, line in enumerate(self._lines(AUDIT), 1):
            where = f"{AUDIT}, line {count}"
            try:
                entry = AuditReceipt.model_validate_json(line)
            except ValidationError:
                self._add(f"{where}: is no entry")
                continue
            wrong = self._wrong_entry(entry)
            if wrong is not None:
                self._add(f"{where}: entry {entry.number}: {wrong}")
            if entry.number <= number:
                self._add(f"{where}: entry {entry.number} is there twice or out of order")
            elif entry.number == number + 1 and number and entry.previous != head:
                self._add(f"{where}: entry {entry.number} does not follow from the one before it")
            if not manifest.scope.has(entry.user_id, entry.at):
                self._add(f"{where}: is not of the player and the period that the manifest names")
            number, head = entry.number, entry.checksum
        return count

    def _wrong_entry(self, entry: AuditReceipt) -> str | None:
        seal, proof = entry.checkpoint, entry.proof
        if seal is None or proof is None:
            return None if seal is None and proof is None else "has half a receipt"
        wrong = self._public.problem(seal)
        if wrong is not None:
            return f"the checkpoint {wrong}"
        if seal.lane != CHAIN:
            return "the checkpoint is not the audit log's"
        row = AuditRow(**{name: getattr(entry, name) for name in AuditRow._fields})
        return wrong_leaf(leaf_of(bytes.fromhex(entry.checksum), audit.content(row)), entry.number, proof, seal)

    def _whole(self, name: str, manifest: Manifest, lines: int) -> None:
        said = manifest.files.get(name)
        if said is None:
            self._add(f"{name} is not in the manifest")
            return
        digest = hashlib.sha256()
        with self._opened(name) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != said.sha256:
            self._add(f"{name} is not the file that was signed")
        if lines != said.lines:
            self._add(f"{name} has {lines} records, {said.lines} were signed")

    def _lines(self, name: str) -> Iterator[bytes]:
        with self._opened(name) as file:
            while line := file.readline(MAX_LINE):
                yield line

    def _small(self, name: str) -> bytes:
        with self._opened(name) as file:
            return file.read(MAX_LINE)

    def _opened(self, name: str) -> IO[bytes]:
        try:
            return self._pack.open(name)
        except KeyError as error:
            raise IntegrityViolation(f"{name} is missing") from error

    def _add(self, what: str) -> None:
        self._findings.add(0, what)
