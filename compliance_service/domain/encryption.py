"""KYC values at rest: AES-256-GCM under one data key per player, which is wrapped by a key-encryption key with an id.

What is encrypted is bound to its place: a cell that is moved to another row, column or version does not decrypt.
A sealed value is 12 random bytes, then the ciphertext with its tag.
"""

import hmac
import secrets
from collections.abc import Mapping
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared import keys, logs
from shared.errors import ConfigurationError, IntegrityViolation

log = logs.get(__name__)

KEY_BYTES = 32
_NONCE_BYTES = 12


class Place(NamedTuple):
    """Where a sealed value stands. `version` counts the player's submissions."""

    table: str
    column: str
    user_id: int
    version: int

    def bound(self) -> bytes:
        """The place as the bytes that the tag covers. No name has a line end in it."""
        return "\n".join(("kyc1", self.table, self.column, str(self.user_id), str(self.version))).encode()


class WrappedKey(NamedTuple):
    """A player's data key as it is kept."""

    kek_id: str
    wrapped: bytes


class Index(NamedTuple):
    """A blind index: the same document has the same one, and nobody without the key can tell which document."""

    key_id: str
    digest: bytes


class KycKeys:
    """The keys as they are now, newest first. Whoever uses one asks for it each time: they rotate meanwhile."""

    def __init__(self, kyc_keys: str, kyc_index_keys: str) -> None:
        self._wrapping: Mapping[str, AESGCM] = {}
        self._index: Mapping[str, bytes] = {}
        self.take(kyc_keys, kyc_index_keys)

    def take(self, kyc_keys: str, kyc_index_keys: str) -> None:
        """Go over to these, each set as its setting writes it. Raises ConfigurationError, and stays as it is."""
        wrapping = keys.parse("KYC_KEYS", kyc_keys, at_least=KEY_BYTES)
        if any(len(key) != KEY_BYTES for key in wrapping.values()):
            raise ConfigurationError(f"KYC_KEYS: each key must have {KEY_BYTES} bytes")
        index = keys.parse("KYC_INDEX_KEYS", kyc_index_keys, at_least=KEY_BYTES)
        if self._wrapping and next(iter(wrapping)) != self.current:
            log.info("kyc_keys_rotated", current=next(iter(wrapping)))
        self._wrapping = {key_id: AESGCM(key) for key_id, key in wrapping.items()}
        self._index = index

    @property
    def current(self) -> str:
        """The id of the newest key-encryption key."""
        return next(iter(self._wrapping))

    @property
    def older(self) -> list[str]:
        """The ids of the key-encryption keys before it."""
        return list(self._wrapping)[1:]

    def wrap(self, user_id: int, data_key: bytes) -> WrappedKey:
        """A player's data key under the newest key."""
        return WrappedKey(self.current, _seal(self._wrapping[self.current], data_key, _wrapping_place(user_id)))

    def unwrap(self, user_id: int, kept: WrappedKey) -> bytes:
        """A player's data key. Raises IntegrityViolation where it is not this player's, or its key is not known."""
        key = self._wrapping.get(kept.kek_id)
        if key is None:
            raise IntegrityViolation(f"the key {kept.kek_id!r} that wraps a player's data key is not in KYC_KEYS")
        return _unseal(key, kept.wrapped, _wrapping_place(user_id))

    def indexes(self, country: str, document_type: str, number: str) -> list[Index]:
        """A document's blind indexes, one by each key: the newest is kept, and any may be there from before."""
        text = "\n".join(("kyc1", country, document_type, number)).encode()
        return [Index(key_id, hmac.digest(key, text, "sha256")) for key_id, key in self._index.items()]


def new_data_key() -> bytes:
    """A data key for one player."""
    return secrets.token_bytes(KEY_BYTES)


def seal(data_key: bytes, place: Place, value: str) -> bytes:
    """A value, encrypted for its place."""
    return _seal(AESGCM(data_key), value.encode(), place.bound())


def unseal(data_key: bytes, place: Place, sealed: bytes) -> str:
    """The value. Raises IntegrityViolation where it was sealed for another place, by another key, or was changed."""
    return _unseal(AESGCM(data_key), sealed, place.bound()).decode()


def _wrapping_place(user_id: int) -> bytes:
    return Place("kyc_data_keys", "wrapped", user_id, 0).bound()


def _seal(key: AESGCM, value: bytes, bound: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + key.encrypt(nonce, value, bound)


def _unseal(key: AESGCM, sealed: bytes, bound: bytes) -> bytes:
    try:
        return key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound)
    except (InvalidTag, ValueError):
        raise IntegrityViolation("a KYC value does not decrypt where it stands") from None
