"""Checkpoints: the bytes that are signed, their chain, and receipts."""

import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shared import merkle
from shared.checkpoints import (
    NO_CHECKPOINT,
    PublicKeys,
    Sealed,
    SigningKeys,
    chained_row,
    hash_of,
    leaf_of,
    signed_bytes,
    verify_receipt,
    wrong_successor,
)
from shared.contracts.checkpoints import Checkpoint, InclusionProof, Receipt
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind, Reason
from shared.errors import ConfigurationError, IntegrityViolation
from shared.signing import content
from shared.testing import MOMENT, FakeLedger

KEYS = SigningKeys.parse("s2:" + "22" * 32 + ",s1:" + "11" * 32)
PUBLIC = KEYS.public()
SEALED = Sealed(3, 1, 1, 10, bytes([1] * 32), bytes([2] * 32), NO_CHECKPOINT, MOMENT)
FIRST = KEYS.signed(SEALED)


def after(before: Checkpoint, **fields: Any) -> Checkpoint:
    sealed = SEALED._replace(
        number=before.number + 1,
        first_position=before.last_position + 1,
        last_position=before.last_position + 5,
        previous=hash_of(before),
    )
    return KEYS.signed(sealed._replace(**fields))


class TestSigning:
    """Anyone with the public key can tell, without this code."""

    def test_the_signed_bytes_are_known(self) -> None:
        expected = (
            "langsense.checkpoint.v1\n3\n1\n1\n10\n10\n" + "01" * 32 + "\n" + "02" * 32 + "\n" + "00" * 32 + "\n"
            "2026-11-24T10:00:00.000000Z\ns2"
        )
        assert signed_bytes(FIRST) == expected.encode()
        assert hash_of(FIRST) == hashlib.sha256(expected.encode() + bytes.fromhex(FIRST.signature)).digest()
        # Ed25519 is deterministic, so this is a known answer of the whole.
        assert hash_of(FIRST).hex() == "110d11e4ccd85fc2c751d1e66201cf5e02eee6df1eed41b10d86b15a00b0765d"

    def test_the_signature_holds_and_no_field_can_change(self) -> None:
        assert PUBLIC.problem(FIRST) is None
        changes: dict[str, Any] = {
            "lane": 4,
            "number": 2,
            "first_position": 2,
            "last_position": 11,
            "rows": 11,
            "head": "03" * 32,
            "root": "03" * 32,
            "previous": "03" * 32,
            "sealed_at": MOMENT.replace(microsecond=1),
            "key_id": "s1",
            "signature": "00" * 64,
        }
        assert changes.keys() == Checkpoint.model_fields.keys()
        for field, value in changes.items():
            assert PUBLIC.problem(FIRST.model_copy(update={field: value})) == "has a signature that is not its key's"

    def test_another_key_of_the_same_name_is_found(self) -> None:
        forged = SigningKeys.parse("s2:" + "33" * 32).signed(SEALED)
        assert PUBLIC.problem(forged) == "has a signature that is not its key's"
        unknown = SigningKeys.parse("s9:" + "33" * 32).signed(SEALED)
        assert PUBLIC.problem(unknown) == "is signed with key 's9', which is not known here"

    def test_the_newest_signs_and_the_older_still_verifies(self) -> None:
        assert FIRST.key_id == "s2"
        old = SigningKeys.parse("s1:" + "11" * 32).signed(SEALED)
        assert PUBLIC.problem(old) is None

    def test_public_keys_travel_as_a_jwk_set(self) -> None:
        text = json.dumps(PUBLIC.jwks())
        assert PublicKeys.from_jwks(text).problem(FIRST) is None
        assert "11" * 32 not in text
        assert [key["kid"] for key in json.loads(text)["keys"]] == ["s2", "s1"]

    @pytest.mark.parametrize(
        "text", ["", "{}", '{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "x", "x": "AA"}]}', "[]"]
    )
    def test_what_is_no_jwk_set_is_said(self, text: str) -> None:
        with pytest.raises(ConfigurationError, match="JWK set"):
            PublicKeys.from_jwks(text)

    def test_a_seed_has_32_bytes(self) -> None:
        with pytest.raises(ConfigurationError, match="CHECKPOINT_KEYS"):
            SigningKeys.parse("s1:" + "11" * 33)


class TestChain:
    """Each checkpoint follows the one before it."""

    def test_a_row_of_them_follows(self) -> None:
        second = after(FIRST)
        assert wrong_successor(FIRST, None) is None
        assert wrong_successor(second, FIRST) is None
        assert wrong_successor(after(second), second) is None

    @pytest.mark.parametrize(
        ("field", "value", "expected"),
        [
            ("number", 3, "number 2"),
            ("first_position", 12, "not at 11"),
            ("previous", bytes(32), "hash of the one before"),
        ],
    )
    def test_a_gap_is_named(self, field: str, value: object, expected: str) -> None:
        assert expected in str(wrong_successor(after(FIRST, **{field: value}), FIRST))

    def test_a_signature_replaced_breaks_the_chain_too(self) -> None:
        again = SigningKeys.parse("s1:" + "11" * 32).signed(SEALED)
        assert "hash of the one before" in str(wrong_successor(after(FIRST), again))

    def test_rows_are_what_the_positions_say(self) -> None:
        assert "says 9 rows" in str(wrong_successor(FIRST.model_copy(update={"rows": 9}), None))


def receipt_of(rows: list[LedgerEvent], index: int) -> Receipt:
    leaves = [leaf_of(bytes.fromhex(row.checksum), content(chained_row(row))) for row in rows]
    checkpoint = KEYS.signed(
        Sealed(rows[0].lane, 1, 1, len(rows), bytes(32), merkle.root(leaves), NO_CHECKPOINT, MOMENT)
    )
    path = [sibling.hex() for sibling in merkle.path(leaves, index)]
    return Receipt(
        row=rows[index],
        proof=InclusionProof(leaf_index=index, tree_size=len(rows), path=path),
        checkpoint=checkpoint,
    )


class TestReceipts:
    """One decision, proven by the public key alone."""

    @pytest.fixture
    def receipt(self, ledger: FakeLedger) -> Receipt:
        rows = [ledger.add(Kind.DEPOSIT, 42, amount) for amount in range(1, 8)]
        rows.append(ledger.add(Kind.GAME_BET, 42, reason=Reason.INSUFFICIENT_FUNDS))
        facts = rows[5].model_copy(update={"facts": {"limit_minor": 5, "asked_minor": 9, "note": 'ä"\\'}})
        return receipt_of([*rows[:5], facts, *rows[6:]], 5)

    def test_an_honest_one_holds_as_it_travels(self, receipt: Receipt) -> None:
        verify_receipt(Receipt.model_validate_json(receipt.model_dump_json()), PUBLIC)

    def test_the_content_needs_no_code_of_ours_but_the_recipe(self, receipt: Receipt) -> None:
        assert '\n{"asked_minor":9,"limit_minor":5,"note":"ä\\"\\\\"}\n' in content(chained_row(receipt.row)).decode()

    @pytest.mark.parametrize(
        "change", [{"amount_minor": 7000}, {"user_id": 43}, {"facts": None}, {"checksum": "00" * 32}]
    )
    def test_a_changed_row_is_refused(self, receipt: Receipt, change: dict[str, Any]) -> None:
        changed = receipt.model_copy(update={"row": receipt.row.model_copy(update=change)})
        with pytest.raises(IntegrityViolation, match="not what was sealed"):
            verify_receipt(changed, PUBLIC)

    @pytest.mark.parametrize("change", [{"leaf_index": 4}, {"tree_size": 9}, {"leaf_index": 10**9}])
    def test_another_place_is_refused(self, receipt: Receipt, change: dict[str, Any]) -> None:
        changed = receipt.model_copy(update={"proof": receipt.proof.model_copy(update=change)})
        with pytest.raises(IntegrityViolation, match="does not cover"):
            verify_receipt(changed, PUBLIC)

    def test_another_path_is_refused(self, receipt: Receipt) -> None:
        shorter = receipt.proof.model_copy(update={"path": receipt.proof.path[:-1]})
        with pytest.raises(IntegrityViolation, match="not what was sealed"):
            verify_receipt(receipt.model_copy(update={"proof": shorter}), PUBLIC)

    def test_a_checkpoint_of_ones_own_is_refused(self, receipt: Receipt) -> None:
        stranger = PublicKeys({"s2": Ed25519PublicKey.from_public_bytes(bytes(31) + b"\x01")})
        with pytest.raises(IntegrityViolation, match="signature"):
            verify_receipt(receipt, stranger)
