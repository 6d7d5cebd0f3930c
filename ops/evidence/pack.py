"""Making a pack: the records as they are read, then the page, the manifest and its signature, as one zip."""

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from ops.evidence.manifest import (
    AUDIT,
    FILES,
    MANIFEST,
    PAGE,
    PUBLIC_KEYS,
    RECEIPTS,
    UNSEALED,
    Manifest,
    PackedFile,
    Scope,
    SignedManifest,
    write_signed,
)
from ops.evidence.page import Page
from ops.evidence.rows import audit_entries, first_entry, journal_rows
from shared import clock
from shared.checkpoints import PublicKeys, SigningKeys
from shared.contracts.checkpoints import Receipt
from shared.errors import ConfigurationError


@dataclass(slots=True)
class _Folder:
    """The files as they grow."""

    open: dict[str, IO[bytes]]
    lines: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, record: BaseModel) -> None:
        self.open[name].write(record.model_dump_json().encode() + b"\n")
        self.lines[name] += 1


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes packs: by whom they are signed, and the keys they are verified with."""

    signing: SigningKeys
    public: PublicKeys
    archive: Path | None
    actor: str

    async def make(
        self, wallet: AsyncConnection, compliance: AsyncConnection, scope: Scope, out: Path, now: datetime
    ) -> Manifest:
        """Write a pack of two snapshots, which is there as a whole or not at all.

        Raises ConfigurationError where there is such a file, IntegrityViolation where the records are not as sealed.
        """
        _make_room(out)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".evidence-") as name:
            folder = Path(name)
            page, lines, first = await self._records(wallet, compliance, scope, folder)
            (folder / PAGE).write_text(page.html(scope, clock.to_text(now)))
            (folder / PUBLIC_KEYS).write_text(json.dumps(self.public.jwks(), indent=2) + "\n")
            manifest = Manifest.model_validate(
                {
                    **{"user_id": scope.user_id, "from": scope.start, "to": scope.end},
                    **{"made_at": now, "actor": self.actor, "audit_log_from": first, "key_id": self.signing.current},
                    "files": {each: PackedFile(sha256=_sha256(folder / each), lines=lines[each]) for each in FILES},
                }
            )
            write_signed(folder / MANIFEST, SignedManifest.by(self.signing, manifest))
            _zip(folder, folder / "pack.zip").replace(out)
        return manifest

    async def _records(
        self, wallet: AsyncConnection, compliance: AsyncConnection, scope: Scope, folder: Path
    ) -> tuple[Page, Counter[str], int]:
        page = Page()
        with ExitStack() as stack:
            names = (RECEIPTS, UNSEALED, AUDIT)
            files = _Folder({name: stack.enter_context((folder / name).open("wb")) for name in names})
            async for found in journal_rows(wallet, scope):
                sealed = isinstance(found, Receipt)
                files.add(RECEIPTS if sealed else UNSEALED, found)
                page.add(found.row if isinstance(found, Receipt) else found, sealed=sealed)
            first = await first_entry(compliance, self.archive)
            async for entry in audit_entries(compliance, scope, self.archive):
                files.add(AUDIT, entry)
                page.add_entry(entry)
            return page, files.lines, first


def _make_room(out: Path) -> None:
    if out.exists():
        raise ConfigurationError(f"{out} is there already")
    out.parent.mkdir(parents=True, exist_ok=True)


def _zip(folder: Path, out: Path) -> Path:
    with ZipFile(out, "w", ZIP_DEFLATED) as packed:
        for name in (MANIFEST, *FILES):
            info = ZipInfo(name)
            info.compress_type = ZIP_DEFLATED
            with (folder / name).open("rb") as source, packed.open(info, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target)
    return out


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
