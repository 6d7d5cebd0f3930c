"""`ledger.checkpoints.v1`: signed roots over the journal, and the receipts that rest on them."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from shared.contracts.events import LedgerEvent
from shared.contracts.fields import Moment
from shared.contracts.readings import Dispute

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="A SHA-256 digest, in hex.")]


class Checkpoint(BaseModel):
    """One lane's seal over its rows from `first_position` to `last_position`.

    `root` is the Merkle root (RFC 9162, SHA-256) over these rows, `head` the last one's checksum, `previous` the hash
    of the lane's checkpoint before this one (64 zeros where there is none). `signature` is Ed25519, in hex, by the key
    named by `key_id`. `shared.checkpoints` gives the bytes that are signed and hashed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", title="Checkpoint")

    lane: NonNegativeInt
    number: int = Field(ge=1, description="Counts the lane's checkpoints from 1, without a gap.")
    first_position: int = Field(ge=1)
    last_position: int = Field(ge=1)
    rows: int = Field(ge=1)
    head: Digest
    root: Digest
    previous: Digest
    sealed_at: Moment
    key_id: str
    signature: str = Field(pattern="^[0-9a-f]{128}$")


class InclusionProof(BaseModel):
    """That a row is a leaf of a checkpoint's tree: RFC 9162, section 2.1.3.

    `leaf_index` counts from 0, `path` holds the siblings from the leaf upwards.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", title="InclusionProof")

    leaf_index: NonNegativeInt
    tree_size: int = Field(ge=1)
    path: list[Digest] = Field(max_length=64)


class Receipt(BaseModel):
    """One decision, provable to anyone who holds the public key alone.

    `dispute` stands beside what is proved: it came after the row.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", title="Receipt")

    row: LedgerEvent
    proof: InclusionProof
    checkpoint: Checkpoint
    dispute: Dispute | None = None
