"""Keys from the environment, from files and from Vault; they rotate, and a source that is away changes nothing."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.errors import ConfigurationError, KeysUnavailable
from shared.keyring import (
    AUDIT_KEYS,
    AuditKeySettings,
    FileKeys,
    KeyNames,
    Keyring,
    KeySettings,
    KeySource,
    KeyTexts,
    source_of,
)
from tests.support import eventually

K1, K2, S1, S2 = "k1:" + "11" * 32, "k2:" + "22" * 32, "s1:" + "33" * 32, "s2:" + "44" * 32
TOKEN = "the-token-of-the-test"


def settings(**fields: Any) -> KeySettings:
    return KeySettings(**fields)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KeySettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@dataclass
class FakeVault:
    """The one endpoint of Vault that is asked, as its API describes it."""

    secret: dict[str, str] | None = field(default_factory=lambda: {"chain_keys": K1, "checkpoint_keys": S1})
    path: str = "/v1/secret/data/langsense/wallet"
    sealed: bool = False
    url: str = ""

    def answer(self, path: str, token: str | None) -> tuple[int, dict[str, Any]]:
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if token != TOKEN:
            return 403, {"errors": ["permission denied"]}
        if path != self.path or self.secret is None:
            return 404, {"errors": []}
        return 200, {"data": {"data": self.secret, "metadata": {"version": 1}}}


@pytest.fixture
def vault() -> Iterator[FakeVault]:
    fake = FakeVault()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = fake.answer(self.path, self.headers.get("X-Vault-Token"))
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()


def of_vault(vault: FakeVault, **fields: Any) -> KeySource:
    known = {"vault_addr": vault.url, "vault_token": TOKEN, "vault_path": "secret/langsense/wallet"}
    return source_of(settings(key_source="vault", **{**known, **fields}))


def write(folder: Path, chain_keys: str, checkpoint_keys: str) -> None:
    (folder / "chain_keys").write_text(chain_keys + "\n")
    (folder / "checkpoint_keys").write_text(checkpoint_keys + "\n")


class Looks:
    """A source that counts how often it was looked at."""

    def __init__(self, source: KeySource) -> None:
        self._source = source
        self.names: KeyNames = source.names
        self.count = 0

    def read(self) -> KeyTexts:
        self.count += 1
        return self._source.read()

    async def two_more(self) -> None:
        """Until the second look from now: the first may have begun before."""
        wanted = self.count + 2

        async def looked() -> bool:
            return self.count > wanted

        await eventually(looked)


@asynccontextmanager
async def following(keyring: Keyring, source: KeySource) -> AsyncIterator[Looks]:
    looks = Looks(source)
    task = asyncio.create_task(keyring.follow(looks, 0.01))
    yield looks
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class TestSources:
    """Each place gives the same texts, and says what it lacks."""

    def test_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CHAIN_KEYS", K1)
        monkeypatch.setenv("CHECKPOINT_KEYS", S1)
        assert source_of(settings()).read() == (K1, S1)

    def test_the_audit_log_has_keys_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AUDIT_KEYS", "a1:" + "66" * 32)
        monkeypatch.setenv("AUDIT_SIGNING_KEYS", "too short")
        with pytest.raises(ConfigurationError, match=r"^AUDIT_SIGNING_KEYS must be"):
            Keyring.read(source_of(AuditKeySettings(), AUDIT_KEYS))

    def test_there_is_no_default_key(self) -> None:
        with pytest.raises(ConfigurationError, match="CHAIN_KEYS and CHECKPOINT_KEYS: missing"):
            source_of(settings()).read()
        with pytest.raises(ConfigurationError, match=r"^CHECKPOINT_KEYS: missing"):
            source_of(settings(chain_keys=K1)).read()

    def test_files(self, tmp_path: Path) -> None:
        write(tmp_path, K1, S1)
        assert source_of(settings(key_source="file", secrets_dir=tmp_path)).read() == (K1, S1)

    def test_files_that_are_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(KeysUnavailable, match="chain_keys: No such file"):
            FileKeys(tmp_path).read()

    def test_vault(self, vault: FakeVault) -> None:
        assert of_vault(vault).read() == (K1, S1)

    def test_vault_with_a_token_that_an_agent_renews(self, vault: FakeVault, tmp_path: Path) -> None:
        file = tmp_path / "token"
        file.write_text("expired\n")
        source = of_vault(vault, vault_token_file=file)
        with pytest.raises(KeysUnavailable):
            source.read()
        file.write_text(TOKEN + "\n")
        assert source.read() == (K1, S1)

    @pytest.mark.parametrize(
        "fields",
        [
            {"vault_token": "not-the-token"},
            {"vault_path": "secret/elsewhere"},
            {"vault_addr": "http://127.0.0.1:1"},
            {"vault_token_file": Path("/nowhere/token")},
        ],
    )
    def test_vault_that_gives_nothing_says_so_without_the_token(self, vault: FakeVault, fields: dict[str, Any]) -> None:
        with pytest.raises(KeysUnavailable, match="Vault gives no keys") as raised:
            of_vault(vault, **fields).read()
        assert "token" not in str(raised.value)

    @pytest.mark.parametrize("secret", [{}, {"chain_keys": K1}])
    def test_a_secret_without_the_entries(self, vault: FakeVault, secret: dict[str, str]) -> None:
        vault.secret = secret
        with pytest.raises(KeysUnavailable, match="VAULT_PATH needs chain_keys and checkpoint_keys"):
            of_vault(vault).read()

    @pytest.mark.parametrize(
        ("fields", "missing"),
        [
            ({"key_source": "file"}, "SECRETS_DIR"),
            ({"key_source": "vault"}, "VAULT_PATH"),
            ({"key_source": "vault", "vault_path": "secret/x"}, r"VAULT_TOKEN or VAULT_TOKEN_FILE|VAULT_ADDR"),
            ({"key_source": "vault", "vault_path": "secret/x", "vault_addr": "http://v"}, "VAULT_TOKEN"),
        ],
    )
    def test_a_place_that_is_not_named(self, fields: dict[str, Any], missing: str) -> None:
        with pytest.raises(ConfigurationError, match=missing):
            source_of(settings(**fields))


class TestFollowing:
    """What changes at the source is taken over by who runs; nothing else is."""

    async def test_a_new_key_in_a_file(self, tmp_path: Path) -> None:
        write(tmp_path, K1, S1)
        source = FileKeys(tmp_path)
        keyring = Keyring.read(source)
        async with following(keyring, source):
            write(tmp_path, f"{K2},{K1}", f"{S2},{S1}")
            await eventually(lambda: _is(keyring, "k2", "s2"))
        assert keyring.chain.knows("k1")

    async def test_a_new_key_in_vault(self, vault: FakeVault) -> None:
        source = of_vault(vault)
        keyring = Keyring.read(source)
        async with following(keyring, source) as looks:
            vault.sealed = True
            await looks.two_more()
            assert await _is(keyring, "k1", "s1")
            vault.secret = {"chain_keys": f"{K2},{K1}", "checkpoint_keys": S1}
            vault.sealed = False
            await eventually(lambda: _is(keyring, "k2", "s1"))

    async def test_what_is_no_list_of_keys_changes_nothing(self, tmp_path: Path) -> None:
        write(tmp_path, K1, S1)
        source = FileKeys(tmp_path)
        keyring = Keyring.read(source)
        async with following(keyring, source) as looks:
            for torn in ("", K2[:20], "\xff"):
                write(tmp_path, torn, S2)
                await looks.two_more()
                assert await _is(keyring, "k1", "s1")
            (tmp_path / "chain_keys").unlink()
            await looks.two_more()
            assert await _is(keyring, "k1", "s1")
            write(tmp_path, K2, S2)
            await eventually(lambda: _is(keyring, "k2", "s2"))


async def _is(keyring: Keyring, chain: str, signing: str) -> bool:
    return (keyring.chain.current, keyring.signing.current) == (chain, signing)
