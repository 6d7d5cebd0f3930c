"""A pack's manifest: what was asked for, what is in it, and the signature over both."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from shared.checkpoints import PublicKeys, SigningKeys
from shared.contracts.checkpoints import Checkpoint, Digest, InclusionProof
from shared.contracts.fields import Moment

MANIFEST = "manifest.json"
RECEIPTS, UNSEALED, AUDIT, PAGE, PUBLIC_KEYS = (
    "receipts.jsonl",
    "unsealed.jsonl",
    "audit.jsonl",
    "page.html",
    "public_keys.json",
)
FILES = (RECEIPTS, UNSEALED, AUDIT, PAGE, PUBLIC_KEYS)
_FORMAT = b"langsense.evidence.v1\n"


class Scope(NamedTuple):
    """Whose rows, and from when (inclusive) until when; None: anyone's, or of any time."""

    user_id: int | None
    start: datetime | None = None
    end: datetime | None = None

    def has(self, user_id: int | None, at: datetime) -> bool:
        """Whether something that happened to a player at a moment belongs to it."""
        mine = self.user_id is None or user_id == self.user_id
        return mine and (self.start is None or at >= self.start) and (self.end is None or at < self.end)


class PackedFile(BaseModel):
    """A file of the pack. `lines` are records; none are counted in what is no list of them."""

    model_config = ConfigDict(frozen=True)

    sha256: Digest
    lines: NonNegativeInt


class Manifest(BaseModel):
    """What is signed. `audit_log_from` is the first entry there was to look at: above 1, the archive was not."""

    model_config = ConfigDict(frozen=True)

    user_id: int | None
    start: Moment | None = Field(alias="from")
    end: Moment | None = Field(alias="to")
    made_at: Moment
    actor: str
    audit_log_from: int
    files: dict[str, PackedFile]
    key_id: str

    @property
    def scope(self) -> Scope:
        """What was asked for."""
        return Scope(self.user_id, self.start, self.end)


class SignedManifest(BaseModel):
    """`manifest` is the text that was signed, so that it need not be formed again to the byte."""

    model_config = ConfigDict(frozen=True)

    manifest: str
    signature: str = Field(pattern="^[0-9a-f]{128}$")

    @classmethod
    def by(cls, signing: SigningKeys, manifest: Manifest) -> "SignedManifest":
        """Signed with the current key, which the manifest names."""
        text = manifest.model_dump_json(by_alias=True)
        return cls(manifest=text, signature=signing.sign(_FORMAT + text.encode()))

    def problem(self, manifest: Manifest, public: PublicKeys) -> str | None:
        """What is wrong with the signature, or None."""
        return public.wrong_signature(manifest.key_id, self.signature, _FORMAT + self.manifest.encode())


class AuditReceipt(BaseModel):
    """An entry of the audit log as its chain has it; proof and checkpoint where it is under one."""

    model_config = ConfigDict(frozen=True)

    number: int
    at: Moment
    actor: str
    action: str
    user_id: int | None
    reason: str | None
    before: str | None = Field(description="JSON, as the text that was hashed.")
    after: str | None
    request_id: str | None
    key_id: str
    checksum: Digest
    previous: Digest = Field(description="The checksum of the entry before it.")
    proof: InclusionProof | None
    checkpoint: Checkpoint | None


def write_signed(path: Path, signed: SignedManifest) -> None:
    """Write the manifest's file."""
    path.write_bytes(orjson.dumps(signed.model_dump()) + b"\n")
