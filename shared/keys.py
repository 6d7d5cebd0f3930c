"""Keys as a setting writes them: `id:hex[,id:hex…]`, the newest first. What is new uses the newest."""

from shared.errors import ConfigurationError

MAX_ID = 8


def parse(setting: str, text: str, *, at_least: int) -> dict[str, bytes]:
    """The keys by id, the newest first. Raises ConfigurationError, which names the setting and shows no key."""
    keys: dict[str, bytes] = {}
    for part in text.split(","):
        key_id, colon, key_hex = part.strip().partition(":")
        try:
            key = bytes.fromhex(key_hex)
        except ValueError:
            key = b""
        if not colon or not key or not _is_id(key_id) or key_id in keys:
            raise ConfigurationError(
                f"{setting} must be id:hex[,id:hex…], newest first; ids of up to {MAX_ID} letters and digits, each once"
            )
        if len(key) < at_least:
            raise ConfigurationError(f"{setting}: key {key_id!r} must have at least {at_least} bytes")
        keys[key_id] = key
    return keys


def _is_id(text: str) -> bool:
    return text.isascii() and text.isalnum() and len(text) <= MAX_ID
