"""A service's sets of keys, from where KEY_SOURCE says; and a chain's two: its HMAC keys and its signing keys.

They rotate without a restart: put a new key in front of the old ones. What is new uses the first, what is old is still
read with its own, and a source that cannot be read for a while changes nothing. There is no default key anywhere.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import hvac
import requests
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared import logs
from shared.checkpoints import SigningKeys
from shared.errors import ConfigurationError, KeysUnavailable, LangSenseError
from shared.settings import Seconds, Url
from shared.signing import ChainKeys

log = logs.get(__name__)
T = TypeVar("T")

VAULT_TIMEOUT_S = 5


# What sets of keys are called: as settings in upper case, elsewhere in lower case.
KeyNames = tuple[str, ...]
# As a setting writes each, in the order of their names.
KeyTexts = tuple[str, ...]

LEDGER_KEYS: KeyNames = ("chain_keys", "checkpoint_keys")
AUDIT_KEYS: KeyNames = ("audit_keys", "audit_signing_keys")
REPORT_KEYS: KeyNames = ("report_keys",)
REGULATORY_KEYS: KeyNames = ("regulatory_keys",)


class KeyPlace(BaseSettings):
    """Where keys come from. Who has keys inherits it, with a field for each set."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    # env: the sets as every setting, read at start. file: the files of their names, in lower case, in SECRETS_DIR, read
    # again when they change. vault: entries of these names, in lower case, in HashiCorp Vault, read every
    # KEYS_LOOK_EVERY_S.
    key_source: Literal["env", "file", "vault"] = "env"
    secrets_dir: Path | None = None
    vault_addr: Url | None = None
    vault_token: SecretStr | None = None
    # A file that an agent keeps a valid token in; it goes before VAULT_TOKEN.
    vault_token_file: Path | None = None
    # Of a key-value engine, version 2: its mount, then the path in it, such as secret/langsense/wallet.
    vault_path: str | None = Field(default=None, pattern=r"^[^/]+/.+$")
    keys_look_every_s: Seconds = 5


class KeySettings(KeyPlace):
    """Where the ledger's keys come from."""

    # The HMAC keys of the chain, `id:hex[,id:hex…]`, newest first, each of at least 32 bytes.
    chain_keys: SecretStr | None = None
    # The Ed25519 keys of the checkpoints, `id:hex[,id:hex…]`, newest first, each the 32 bytes of a seed.
    checkpoint_keys: SecretStr | None = None


class AuditKeySettings(KeyPlace):
    """Where the audit log's keys come from; in the forms of the ledger's."""

    audit_keys: SecretStr | None = None
    audit_signing_keys: SecretStr | None = None


class ReportKeySettings(KeyPlace):
    """Where the keys that sign reports come from."""

    # Ed25519 keys, in the form of the checkpoints'.
    report_keys: SecretStr | None = None


class RegulatoryKeySettings(KeyPlace):
    """Where the keys of pseudonyms come from."""

    # HMAC keys, in the form of the chain's.
    regulatory_keys: SecretStr | None = None


class KeySource(Protocol):
    """A place that keys come from."""

    @property
    def names(self) -> KeyNames:
        """What they are called there."""

    def read(self) -> KeyTexts:
        """The keys as they are there now; may block for seconds. Raises KeysUnavailable, ConfigurationError."""


@dataclass(slots=True)
class Keyring:
    """Both sets of a chain's keys, as they are now. Whoever uses one asks for it each time."""

    chain: ChainKeys
    signing: SigningKeys

    @classmethod
    def parse(cls, chain: str, signing: str, names: KeyNames = LEDGER_KEYS) -> "Keyring":
        """From the settings' texts. Raises ConfigurationError, which names the setting."""
        chain_name, signing_name = (name.upper() for name in names)
        return cls(ChainKeys.parse(chain, chain_name), SigningKeys.parse(signing, signing_name))

    @classmethod
    def read(cls, source: KeySource) -> "Keyring":
        """From a source. Raises KeysUnavailable, ConfigurationError."""
        chain, signing = source.read()
        return cls.parse(chain, signing, source.names)

    async def follow(self, source: KeySource, look_every_s: float) -> None:
        """As `follow`, for this chain."""

        def take(chain: str, signing: str) -> None:
            fresh = Keyring.parse(chain, signing, source.names)
            if (fresh.chain.current, fresh.signing.current) != (self.chain.current, self.signing.current):
                log.info("keys_rotated", chain=fresh.chain.current, signing=fresh.signing.current)
            self.chain, self.signing = fresh.chain, fresh.signing

        await follow(source, look_every_s, take)


async def follow(source: KeySource, look_every_s: float, take: Callable[..., None]) -> None:
    """Until cancelled: give the texts to `take` when they change. What cannot be read or used is logged, and no more.

    `take` raises ConfigurationError for texts that are no keys, and stays as it is.
    """
    known: KeyTexts | None = None
    while True:
        await asyncio.sleep(look_every_s)
        try:
            texts = await asyncio.to_thread(source.read)
            if texts != known:
                take(*texts)
                known = texts
        except LangSenseError as error:
            log.warning("keys_not_read_again", error=str(error))


def source_of(settings: KeyPlace, names: KeyNames = LEDGER_KEYS) -> KeySource:
    """The source of these sets that the settings name. Raises ConfigurationError where they do not say enough."""
    if settings.key_source == "env":
        return GivenKeys(names, {name: getattr(settings, name) for name in names})
    if settings.key_source == "file":
        return FileKeys(_needed(settings.secrets_dir, "SECRETS_DIR", settings), names)
    path = _needed(settings.vault_path, "VAULT_PATH", settings)
    return VaultKeys(names, _needed(settings.vault_addr, "VAULT_ADDR", settings), _vault_token(settings), path)


class GivenKeys:
    """Keys that were given at the start, and stay."""

    def __init__(self, names: KeyNames, given: Mapping[str, SecretStr | None]) -> None:
        self.names = names
        self._given = given

    def read(self) -> KeyTexts:
        """As `KeySource.read`."""
        missing = [name.upper() for name, value in self._given.items() if value is None]
        if missing:
            raise ConfigurationError(f"{' and '.join(missing)}: missing; there is no default key")
        return tuple(value.get_secret_value() for value in self._given.values() if value is not None)


class FileKeys:
    """A file for each set, in one folder."""

    def __init__(self, folder: Path, names: KeyNames = LEDGER_KEYS) -> None:
        self.names = names
        self._folder = folder
        self._stamps: tuple[tuple[int, int, int], ...] = ()
        self._texts: KeyTexts = ()

    def read(self) -> KeyTexts:
        """As `KeySource.read`. Files that did not change are not opened again."""
        paths = [self._folder / name for name in self.names]
        try:
            # Looked at before they are read: what changes meanwhile is seen by the next look.
            stats = [path.stat() for path in paths]
            stamps = tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)
            if stamps != self._stamps:
                self._texts = tuple(path.read_text(errors="replace").strip() for path in paths)
                self._stamps = stamps
        except OSError as error:
            raise KeysUnavailable(f"{error.filename}: {error.strerror}") from error
        return self._texts


class VaultKeys:
    """A secret of HashiCorp Vault (or OpenBao), in a key-value engine of version 2, with an entry for each set."""

    def __init__(self, names: KeyNames, address: str, token: Callable[[], str], path: str) -> None:
        self.names = names
        self._address = address
        self._token = token
        self._mount, _, self._path = path.partition("/")

    def read(self) -> KeyTexts:
        """As `KeySource.read`. Says what failed, and neither where nor with which token."""
        try:
            client = hvac.Client(url=self._address, token=self._token(), timeout=VAULT_TIMEOUT_S)
            try:
                answer = client.secrets.kv.v2.read_secret_version(
                    self._path, mount_point=self._mount, raise_on_deleted_version=True
                )
            finally:
                client.adapter.close()
            entries = answer["data"]["data"]
            return tuple(str(entries[name]) for name in self.names)
        except (hvac.exceptions.VaultError, requests.RequestException, OSError) as error:
            raise KeysUnavailable(f"Vault gives no keys: {type(error).__name__}") from error
        except (KeyError, TypeError) as error:
            raise KeysUnavailable(f"the secret at VAULT_PATH needs {' and '.join(self.names)}") from error


def _vault_token(settings: KeyPlace) -> Callable[[], str]:
    file, token = settings.vault_token_file, settings.vault_token
    if file is not None:
        return lambda: file.read_text().strip()
    return _needed(token, "VAULT_TOKEN or VAULT_TOKEN_FILE", settings).get_secret_value


def _needed(value: T | None, name: str, settings: KeyPlace) -> T:
    if value is None:
        raise ConfigurationError(f"KEY_SOURCE={settings.key_source} needs {name}")
    return value
