"""Pseudonyms: what stands for a player where its id must not be, such as in an export for a regulator.

A pseudonym is the first 16 bytes, in hex, of HMAC-SHA256 under a key, over `langsense.pseudonym.v1`, whom it is for,
and the decimal player id, joined by line feeds. Under one key a player has one pseudonym for a reader, and another for
each other reader. Who holds the key finds the player again; nobody else does.
"""

import hmac

from shared import keys

MIN_KEY_BYTES = 32
_FORMAT = "langsense.pseudonym.v1"
_BYTES = 16


class Pseudonyms:
    """The pseudonyms that one reader gets, under the newest key."""

    def __init__(self, regulatory_keys: str, reader: str) -> None:
        """From a setting: `id:hex[,id:hex…]`, the newest first. Raises ConfigurationError."""
        found = keys.parse("REGULATORY_KEYS", regulatory_keys, at_least=MIN_KEY_BYTES)
        self.key_id, self._key = next(iter(found.items()))
        self._reader = reader

    def of(self, user_id: int) -> str:
        """What stands for a player."""
        said = f"{_FORMAT}\n{self._reader}\n{user_id}".encode()
        return hmac.digest(self._key, said, "sha256")[:_BYTES].hex()
