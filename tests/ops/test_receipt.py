"""`langsense verify-receipt`: a file and the public keys, nothing else."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops import verify
from ops.main import app
from shared.checkpoints import NO_CHECKPOINT, PublicKeys, Sealed, SigningKeys, chained_row, leaf_of
from shared.contracts.checkpoints import InclusionProof, Receipt
from shared.contracts.kinds import Kind
from shared.errors import ConfigurationError, IntegrityViolation
from shared.signing import content
from shared.testing import MOMENT, FakeLedger

SIGNING = SigningKeys.parse("s1:" + "11" * 32)


@pytest.fixture
def receipt(ledger: FakeLedger, tmp_path: Path) -> Path:
    row = ledger.add(Kind.GAME_BET, 42)
    root = leaf_of(bytes.fromhex(row.checksum), content(chained_row(row)))
    checkpoint = SIGNING.signed(Sealed(row.lane, 1, 1, 1, bytes(32), root, NO_CHECKPOINT, MOMENT))
    proof = InclusionProof(leaf_index=0, tree_size=1, path=[])
    path = tmp_path / "receipt.json"
    path.write_text(Receipt(row=row, proof=proof, checkpoint=checkpoint).model_dump_json())
    return path


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return write(SIGNING.public(), tmp_path / "keys.json")


def write(keys: PublicKeys, path: Path) -> Path:
    path.write_text(json.dumps(keys.jwks()))
    return path


def test_one_that_holds_is_named(receipt: Path, keys: Path) -> None:
    result = CliRunner().invoke(app, ["verify-receipt", str(receipt), "--public-keys", str(keys)])
    assert result.exit_code == 0, result.output
    assert result.output.startswith("holds: GAME_BET ")


def test_one_that_was_changed_does_not_hold(receipt: Path, keys: Path) -> None:
    fields = json.loads(receipt.read_text())
    fields["row"]["amount_minor"] = 999_999
    receipt.write_text(json.dumps(fields))
    with pytest.raises(IntegrityViolation, match="not what was sealed"):
        verify.receipt(receipt, keys)
    assert CliRunner().invoke(app, ["verify-receipt", str(receipt), "--public-keys", str(keys)]).exit_code == 1


def test_anothers_keys_do_not_vouch_for_it(receipt: Path, tmp_path: Path) -> None:
    theirs = write(SigningKeys.parse("s1:" + "22" * 32).public(), tmp_path / "theirs.json")
    with pytest.raises(IntegrityViolation, match="signature"):
        verify.receipt(receipt, theirs)


def test_what_is_no_receipt_or_not_there_is_said(receipt: Path, keys: Path, tmp_path: Path) -> None:
    receipt.write_text("{}")
    with pytest.raises(ConfigurationError, match="is no receipt"):
        verify.receipt(receipt, keys)
    with pytest.raises(ConfigurationError, match="No such file"):
        verify.receipt(tmp_path / "missing", keys)
    with pytest.raises(ConfigurationError, match="No such file"):
        verify.read_public_keys(tmp_path / "missing")
