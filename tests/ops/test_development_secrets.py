"""Development secrets: random, made once, readable by their owner alone."""

from pathlib import Path

from ops import development_secrets
from ops.provision import SCHEMAS
from shared.checkpoints import SigningKeys
from shared.keyring import AUDIT_KEYS, AuditKeySettings, Keyring, source_of
from shared.signing import ChainKeys


def test_every_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    development_secrets.ensure(folder)
    first = {path.name: path.read_text() for path in folder.iterdir()}
    development_secrets.ensure(folder)
    assert {path.name: path.read_text() for path in folder.iterdir()} == first
    assert {development_secrets.password_file(role) for role in SCHEMAS} <= first.keys()


def test_two_platforms_share_no_secret(tmp_path: Path) -> None:
    for name in ("one", "two"):
        development_secrets.ensure(tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_text() != (tmp_path / "two" / path.name).read_text()


def test_only_the_owner_may_read_them(tmp_path: Path) -> None:
    development_secrets.ensure(tmp_path)
    development_secrets.write(tmp_path, "wallet_database_url", "postgresql://…")
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())


def test_the_keys_are_ones_that_the_wallet_takes(tmp_path: Path) -> None:
    development_secrets.ensure(tmp_path)
    assert ChainKeys.parse(development_secrets.read(tmp_path, "chain_keys")).current == "k1"
    assert SigningKeys.parse(development_secrets.read(tmp_path, "checkpoint_keys")).current == "s1"


def test_the_audit_log_has_keys_of_its_own(tmp_path: Path) -> None:
    development_secrets.ensure(tmp_path)
    keyring = Keyring.read(source_of(AuditKeySettings(key_source="file", secrets_dir=tmp_path), AUDIT_KEYS))
    assert (keyring.chain.current, keyring.signing.current) == ("a1", "b1")
