"""The chain over journal rows."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from shared.errors import ConfigurationError
from shared.signing import GENESIS, ChainedRow, ChainKeys, content, key_id_of

KEY = bytes(range(32))
OLD_KEY = bytes(range(32, 64))
KEYS = ChainKeys({"k2": KEY, "k1": OLD_KEY}, "k2")
ROW = ChainedRow(
    lane=3,
    position=1021,
    command_id=UUID("0192f0c1-0000-7000-8000-000000000001"),
    kind="GAME_BET",
    status="refused",
    reason="INSUFFICIENT_FUNDS",
    user_id=42,
    amount_minor=1000,
    currency="USD",
    debit="cash",
    credit="revenue",
    provider="bank",
    reference_id="game_77",
    round_id="r-9",
    stated_reason="goodwill",
    actor="ann",
    cash_minor=900,
    reserved_minor=7,
    facts='{"limit":5}',
    occurred_at=datetime(2026, 11, 24, 10, tzinfo=UTC),
    created_at=datetime(2026, 11, 24, 10, 0, 0, 5, tzinfo=UTC),
    key_id="k2",
)
OTHER: dict[str, Any] = {
    "lane": 4,
    "position": 1022,
    "command_id": UUID("0192f0c1-0000-7000-8000-000000000002"),
    "kind": "GAME_PAYOUT",
    "status": "posted",
    "reason": None,
    "user_id": 43,
    "amount_minor": 1001,
    "currency": "EUR",
    "debit": "revenue",
    "credit": "cash",
    "provider": None,
    "reference_id": "game_78",
    "round_id": None,
    "stated_reason": None,
    "actor": "bob",
    "cash_minor": -900,
    "reserved_minor": 8,
    "facts": None,
    "occurred_at": ROW.occurred_at + timedelta(microseconds=1),
    "created_at": ROW.created_at + timedelta(microseconds=1),
    "key_id": "k1",
}


def test_a_checksum_can_be_computed_without_this_code() -> None:
    fields = (
        "langsense.journal.v1\n3\n1021\n0192f0c1-0000-7000-8000-000000000001\nGAME_BET\nrefused\nINSUFFICIENT_FUNDS\n42\n"
        "1000\nUSD\ncash\nrevenue\nbank\ngame_77\nr-9\ngoodwill\nann\n900\n7\n"
        '{"limit":5}\n2026-11-24T10:00:00.000000Z\n2026-11-24T10:00:00.000005Z\nk2'
    )
    expected = hmac.new(KEY, GENESIS + fields.encode(), hashlib.sha256).digest()
    assert KEYS.checksum(GENESIS, ROW) == expected
    # A known answer: a change of the form is a change of every checksum that was ever written.
    assert expected.hex() == "62e90ff7d1d24c274f3ea11349265f829e0ecb6912e8ac2bbb368c15590d7ad2"


@pytest.mark.parametrize("key", [bytes(32), bytes(range(64)), bytes(range(65)), bytes(200)])
def test_the_hmac_is_the_standard_librarys(key: bytes) -> None:
    keys = ChainKeys({"k2": key}, "k2")
    assert keys.checksum(GENESIS, ROW) == hmac.digest(key, GENESIS + content(ROW), "sha256")
    assert keys.checksum_of(GENESIS, "k2", content(ROW)) == keys.checksum(GENESIS, ROW)


def test_a_content_names_its_key() -> None:
    assert key_id_of(content(ROW)) == "k2"


def test_every_field_is_tried() -> None:
    assert set(OTHER) == set(ChainedRow._fields)


@pytest.mark.parametrize("field", ChainedRow._fields)
def test_every_field_is_covered(field: str) -> None:
    changed = ROW._replace(**{field: OTHER[field]})
    assert KEYS.checksum(GENESIS, changed) != KEYS.checksum(GENESIS, ROW)


def test_the_previous_row_is_covered() -> None:
    assert KEYS.checksum(bytes([1, *bytes(31)]), ROW) != KEYS.checksum(GENESIS, ROW)


def test_a_value_does_not_slide_into_its_neighbour() -> None:
    one = ROW._replace(provider="ab", reference_id=None)
    other = ROW._replace(provider=None, reference_id="ab")
    assert content(one) != content(other)


def test_the_same_moment_in_another_zone_is_the_same_row() -> None:
    abroad = ROW.occurred_at.astimezone(timezone(timedelta(hours=-8)))
    assert content(ROW._replace(occurred_at=abroad)) == content(ROW)


def test_the_key_is_the_one_that_the_row_names() -> None:
    old = ROW._replace(key_id="k1")
    assert KEYS.checksum(GENESIS, old) == hmac.new(OLD_KEY, GENESIS + content(old), hashlib.sha256).digest()
    assert KEYS.knows("k1")
    assert not KEYS.knows("k9")
    with pytest.raises(KeyError):
        KEYS.checksum(GENESIS, ROW._replace(key_id="k9"))


def test_keys_are_read_newest_first() -> None:
    keys = ChainKeys.parse(f"k2:{KEY.hex()}, k1:{OLD_KEY.hex()}")
    assert keys.current == "k2"
    assert keys.checksum(GENESIS, ROW) == KEYS.checksum(GENESIS, ROW)


@pytest.mark.parametrize(
    "text",
    [
        *("", "k1", "k1:", ":" + KEY.hex(), "k1:xyz", "k 1:" + KEY.hex(), "toolongid:" + KEY.hex()),
        "k1:" + KEY.hex()[:62],
        f"k1:{KEY.hex()},k1:{OLD_KEY.hex()}",
        f"k1:{KEY.hex()},",
    ],
)
def test_what_is_no_list_of_keys_stops_the_start_and_is_not_shown(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        ChainKeys.parse(text)
    assert KEY.hex()[:62] not in str(refused.value)


def test_the_current_key_must_be_there() -> None:
    with pytest.raises(ConfigurationError, match="k3"):
        ChainKeys({"k1": KEY}, "k3")
