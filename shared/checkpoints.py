"""Checkpoints: what is signed, what is hashed, and who can tell.

The signed bytes are a checkpoint's fields as text, joined by a line feed, in this order:

    langsense.checkpoint.v1, lane, number, first_position, last_position, rows, head, root, previous, sealed_at, key_id

(hex in lower case, `sealed_at` in UTC with six decimals). The signature is Ed25519 over them, and a checkpoint's hash,
which the next one carries as `previous`, is SHA-256 over them and the 64 bytes of the signature.

A leaf of the Merkle tree is a row's checksum (32 bytes) and its content, as `shared.signing` gives them. The checksum
is keyed, so the hashes in a receipt's path tell nothing about the rows beside it.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared import clock, keys, merkle
from shared.contracts.checkpoints import Checkpoint, InclusionProof, Receipt
from shared.contracts.events import LedgerEvent
from shared.errors import ConfigurationError, IntegrityViolation
from shared.signing import ChainedRow, content

NO_CHECKPOINT = bytes(32)
SEED_BYTES = 32
_FORMAT = "langsense.checkpoint.v1"


class Sealed(NamedTuple):
    """What a checkpoint says, before it is signed."""

    lane: int
    number: int
    first_position: int
    last_position: int
    head: bytes
    root: bytes
    previous: bytes
    sealed_at: datetime


class SigningKeys:
    """The Ed25519 private keys by id. New checkpoints are signed with `current`."""

    def __init__(self, seeds: Mapping[str, bytes], current: str, setting: str = "CHECKPOINT_KEYS") -> None:
        for key_id, seed in seeds.items():
            if len(seed) != SEED_BYTES:
                raise ConfigurationError(f"{setting}: key {key_id!r} must have {SEED_BYTES} bytes")
        self._keys = {key_id: Ed25519PrivateKey.from_private_bytes(seed) for key_id, seed in seeds.items()}
        self.current = current

    @classmethod
    def parse(cls, text: str, setting: str = "CHECKPOINT_KEYS") -> "SigningKeys":
        """From a setting: `id:hex[,id:hex…]`, newest first, each the 32 bytes of a seed. Raises ConfigurationError."""
        seeds = keys.parse(setting, text, at_least=SEED_BYTES)
        return cls(seeds, next(iter(seeds)), setting)

    def public(self) -> "PublicKeys":
        """What verifies what these sign."""
        return PublicKeys({key_id: key.public_key() for key_id, key in self._keys.items()})

    def sign(self, said: bytes) -> str:
        """The current key's signature, in hex, of what is no checkpoint. It has to begin with a form of its own."""
        return self._keys[self.current].sign(said).hex()

    def signed(self, sealed: Sealed) -> Checkpoint:
        """A checkpoint that says this, signed with the current key."""
        unsigned = Checkpoint(
            lane=sealed.lane,
            number=sealed.number,
            first_position=sealed.first_position,
            last_position=sealed.last_position,
            rows=sealed.last_position - sealed.first_position + 1,
            head=sealed.head.hex(),
            root=sealed.root.hex(),
            previous=sealed.previous.hex(),
            sealed_at=sealed.sealed_at,
            key_id=self.current,
            signature=bytes(64).hex(),
        )
        signature = self._keys[self.current].sign(signed_bytes(unsigned))
        return unsigned.model_copy(update={"signature": signature.hex()})


class PublicKeys:
    """The Ed25519 public keys by id: all that an auditor needs."""

    def __init__(self, by_id: Mapping[str, Ed25519PublicKey]) -> None:
        self._keys = dict(by_id)

    @classmethod
    def from_jwks(cls, text: str) -> "PublicKeys":
        """From a JWK set (RFC 8037). Raises ConfigurationError."""
        try:
            found = {
                str(key["kid"]): Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(key["x"] + "=="))
                for key in json.loads(text)["keys"]
                if (key["kty"], key["crv"]) == ("OKP", "Ed25519")
            }
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError("the public keys must be a JWK set of Ed25519 keys, each with its kid") from error
        return cls(found)

    def jwks(self) -> dict[str, Any]:
        """As a JWK set."""
        encoded = {
            key_id: urlsafe_b64encode(key.public_bytes_raw()).rstrip(b"=").decode()
            for key_id, key in self._keys.items()
        }
        return {
            "keys": [
                {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key_id, "x": x}
                for key_id, x in encoded.items()
            ]
        }

    def and_those(self, others: "PublicKeys") -> "PublicKeys":
        """These keys and others."""
        return PublicKeys(self._keys | others._keys)

    def problem(self, checkpoint: Checkpoint) -> str | None:
        """What is wrong with a checkpoint's signature, or None."""
        return self.wrong_signature(checkpoint.key_id, checkpoint.signature, signed_bytes(checkpoint))

    def wrong_signature(self, key_id: str, signature: str, said: bytes) -> str | None:
        """What is wrong with a signature, in hex, over some bytes, or None."""
        key = self._keys.get(key_id)
        if key is None:
            return f"is signed with key {key_id!r}, which is not known here"
        try:
            key.verify(bytes.fromhex(signature), said)
        except InvalidSignature:
            return "has a signature that is not its key's"
        return None


def signed_bytes(checkpoint: Checkpoint) -> bytes:
    """What the signature covers."""
    fields = (
        _FORMAT,
        checkpoint.lane,
        checkpoint.number,
        checkpoint.first_position,
        checkpoint.last_position,
        checkpoint.rows,
        checkpoint.head,
        checkpoint.root,
        checkpoint.previous,
        clock.to_text(checkpoint.sealed_at),
        checkpoint.key_id,
    )
    return "\n".join(map(str, fields)).encode()


def hash_of(checkpoint: Checkpoint) -> bytes:
    """What the next checkpoint carries as `previous`."""
    return sha256(signed_bytes(checkpoint) + bytes.fromhex(checkpoint.signature)).digest()


def leaf_of(checksum: bytes, row_content: bytes) -> bytes:
    """The hash of a journal row as a leaf."""
    return merkle.leaf_hash(checksum + row_content)


def wrong_successor(checkpoint: Checkpoint, before: Checkpoint | None) -> str | None:
    """Why a checkpoint does not follow the one before it on its lane, or None where it does."""
    number, first, previous = (
        (before.number + 1, before.last_position + 1, hash_of(before)) if before else (1, 1, NO_CHECKPOINT)
    )
    if checkpoint.number != number:
        return f"stands where number {number} belongs"
    if checkpoint.first_position != first:
        return f"begins at position {checkpoint.first_position}, not at {first}"
    if checkpoint.rows != checkpoint.last_position - first + 1:
        return f"says {checkpoint.rows} rows, which its positions are not"
    if checkpoint.previous != previous.hex():
        return "does not name the hash of the one before it"
    return None


def verify_receipt(receipt: Receipt, public: PublicKeys) -> None:
    """Raises IntegrityViolation, which says what is wrong."""
    row, proof, checkpoint = receipt.row, receipt.proof, receipt.checkpoint
    wrong = public.problem(checkpoint)
    if wrong is not None:
        raise IntegrityViolation(f"the checkpoint {wrong}")
    if checkpoint.lane != row.lane:
        raise IntegrityViolation("the checkpoint does not cover this row's position on its lane")
    leaf = leaf_of(bytes.fromhex(row.checksum), content(chained_row(row)))
    wrong = wrong_leaf(leaf, row.position, proof, checkpoint)
    if wrong is not None:
        raise IntegrityViolation(wrong)


def proofs(checkpoint: Checkpoint, leaves: Sequence[bytes], positions: Sequence[int]) -> list[InclusionProof]:
    """The proofs that rows at positions are among those that a checkpoint sealed, from the leaves of all of them.

    Raises IntegrityViolation where they are not what it sealed.
    """
    if len(leaves) != checkpoint.rows or merkle.root(leaves).hex() != checkpoint.root:
        raise IntegrityViolation(
            f"lane {checkpoint.lane}: rows {checkpoint.first_position} to {checkpoint.last_position} are not what "
            f"checkpoint {checkpoint.number} sealed"
        )
    indexes = [position - checkpoint.first_position for position in positions]
    return [
        InclusionProof(leaf_index=index, tree_size=len(leaves), path=[sibling.hex() for sibling in path])
        for index, path in zip(indexes, merkle.paths(leaves, indexes), strict=True)
    ]


def wrong_leaf(leaf: bytes, position: int, proof: InclusionProof, checkpoint: Checkpoint) -> str | None:
    """Why a leaf is not the one that a checkpoint sealed at a position, or None where it is."""
    if (checkpoint.first_position + proof.leaf_index, checkpoint.rows) != (position, proof.tree_size):
        return "the checkpoint does not cover this row's position"
    root = merkle.root_of_path(leaf, proof.leaf_index, proof.tree_size, [bytes.fromhex(each) for each in proof.path])
    if root is None or root.hex() != checkpoint.root:
        return "the row is not what was sealed: its path does not lead to the checkpoint's root"
    return None


def chained_row(event: LedgerEvent) -> ChainedRow:
    """The journal row that an event carries. Its facts become JSON with sorted keys and no spaces, as they were."""
    values = dict(event)
    facts = orjson.dumps(event.facts, option=orjson.OPT_SORT_KEYS).decode() if event.facts else None
    return ChainedRow(**{name: values[name] for name in ChainedRow._fields} | {"facts": facts})
