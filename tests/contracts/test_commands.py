"""Commands as any client may publish them."""

import contextlib
import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.commands import MAX_COMMAND_BYTES, Command, decode, encode
from shared.contracts.kinds import (
    BLOCK_KINDS,
    LIMIT_KINDS,
    MOVES_NOTHING,
    NEEDS_ORIGINAL,
    NEEDS_PROVIDER,
    NEEDS_REASON,
    NEEDS_REFERENCE,
    PLAYER_KINDS,
    REQUEST_KINDS,
    Kind,
)
from shared.contracts.limits import MAX_LIMIT_SECONDS
from shared.errors import Undecodable
from shared.money import MAX_AMOUNT_MINOR

BET: dict[str, Any] = {
    "command_id": "0192f0c1-0000-7000-8000-000000000001",
    "kind": "GAME_BET",
    "user_id": 42,
    "amount_minor": 1000,
    "currency": "USD",
    "reference_id": "game_77",
    "round_id": "r-9",
    "occurred_at": "2026-11-24T10:00:00Z",
    "expires_at": None,
}


# What a command of these kinds names.
ABOUT = {
    **dict.fromkeys(NEEDS_ORIGINAL, BET["command_id"]),
    **dict.fromkeys(LIMIT_KINDS, "DAILY_LOSS_LIMIT"),
    **dict.fromkeys(PLAYER_KINDS - BLOCK_KINDS, "TEMPORARY"),
    Kind.KYC_TIER: "VERIFIED",
}


def of_player(kind: Kind) -> dict[str, str]:
    """What a command about a player as a whole has beside."""
    ends = {"until": "2026-12-24T10:00:00Z"} if kind is Kind.EXCLUSION else {}
    return {"currency": "XXX", **ends} if kind in PLAYER_KINDS else {}


def wrong_fields(body: bytes) -> list[str]:
    with pytest.raises(Undecodable) as refused:
        decode(body)
    return [error.field for error in refused.value.errors]


def test_the_published_example_is_a_command() -> None:
    command = decode(json.dumps(BET).encode())
    assert command.kind is Kind.GAME_BET
    assert command.command_id == UUID("0192f0c1-0000-7000-8000-000000000001")
    assert decode(encode(command)) == command


def test_a_field_that_is_not_known_is_ignored() -> None:
    assert decode(json.dumps(BET | {"colour": "red"}).encode()) == decode(json.dumps(BET).encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("command_id", "not-a-uuid"),
        ("command_id", 7),
        ("kind", "GIFT"),
        ("kind", "game_bet"),
        ("user_id", 0),
        ("user_id", -1),
        ("user_id", 2**63),
        ("user_id", "42"),
        ("user_id", 42.0),
        ("user_id", True),
        ("amount_minor", 0),
        ("amount_minor", -1000),
        ("amount_minor", 10.5),
        ("amount_minor", "1000"),
        ("amount_minor", MAX_AMOUNT_MINOR + 1),
        ("currency", "XYZ"),
        ("currency", "usd"),
        ("currency", "XAU"),
        ("currency", "USDX"),
        ("reference_id", ""),
        ("reference_id", "x" * 129),
        ("reference_id", "two\nlines"),
        ("reference_id", "nul\x00"),
        ("round_id", "\u2028"),
        ("occurred_at", "2026-11-24T10:00:00"),
        ("occurred_at", "yesterday"),
        ("occurred_at", 1_732_442_400),
        ("occurred_at", "0001-01-01T00:00:00Z"),
        ("expires_at", "9999-12-31T23:59:59Z"),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object) -> None:
    assert wrong_fields(json.dumps(BET | {field: value}).encode()) == [field]


@pytest.mark.parametrize("field", ["command_id", "kind", "user_id", "amount_minor", "currency", "occurred_at"])
def test_a_missing_field_is_named(field: str) -> None:
    body = {name: value for name, value in BET.items() if name != field}
    assert wrong_fields(json.dumps(body).encode()) == [field]


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"42", b"{", b'"text"', b"\xff\xfe", b"{}{}", b"[" * 5000, b'{"kind":' * 500]
)
def test_what_is_no_json_object_is_undecodable(body: bytes) -> None:
    assert wrong_fields(body)


def test_a_number_of_ten_thousand_digits_is_refused_unread() -> None:
    body = json.dumps(BET).replace("1000", "9" * 10_000).encode()
    with pytest.raises(Undecodable, match=f"body: must be at most {MAX_COMMAND_BYTES} bytes"):
        decode(body)


def test_a_number_of_a_thousand_digits_is_refused_by_name() -> None:
    assert wrong_fields(json.dumps(BET).replace("1000", "9" * 1000).encode()) == ["amount_minor"]


@pytest.mark.parametrize("kind", Kind)
def test_a_kind_that_needs_more_says_what(kind: Kind) -> None:
    bare = {name: value for name, value in BET.items() if name not in {"reference_id", "round_id"}}
    bare |= {"kind": kind} | of_player(kind)
    needs = kind in NEEDS_PROVIDER or kind in NEEDS_REASON or kind in NEEDS_REFERENCE
    if needs:
        with pytest.raises(Undecodable, match=f"is required for {kind}"):
            decode(json.dumps(bare).encode())
    given = {"provider": "bank", "reason": "goodwill", "actor": "ann"}
    full = bare | of_player(kind) | {"reference_id": ABOUT.get(kind, "r"), **given}
    assert decode(json.dumps(full).encode()).kind is kind


def test_what_came_is_not_in_the_error() -> None:
    with pytest.raises(Undecodable) as refused:
        decode(json.dumps(BET | {"currency": "4111111111111111"}).encode())
    assert "4111" not in str(refused.value)


@given(st.binary(max_size=200))
def test_no_bytes_at_all_raise_anything_else(body: bytes) -> None:
    with contextlib.suppress(Undecodable):
        assert isinstance(decode(body), Command)


@pytest.mark.parametrize("kind", Kind)
def test_only_what_moves_nothing_takes_an_amount_of_zero(kind: Kind) -> None:
    given = {"provider": "bank", "reason": "goodwill", "actor": "ann", "reference_id": ABOUT.get(kind, "r")}
    body = json.dumps(BET | given | of_player(kind) | {"kind": kind, "amount_minor": 0}).encode()
    if kind in MOVES_NOTHING:
        assert decode(body).amount_minor == 0
    else:
        assert wrong_fields(body) == ["amount_minor"]


@pytest.mark.parametrize("kind", sorted(NEEDS_ORIGINAL))
@pytest.mark.parametrize(
    "reference", ["game_77", "0192F0C1-0000-7000-8000-000000000001", "0192f0c1000070008000000000000001"]
)
def test_another_transaction_is_named_by_its_id_in_one_way(kind: Kind, reference: str) -> None:
    body = BET | {"kind": kind, "reference_id": reference, "reason": "mistake", "actor": "ann"}
    assert wrong_fields(json.dumps(body).encode()) == ["reference_id"]


@pytest.mark.parametrize("kind", sorted(LIMIT_KINDS))
def test_a_limit_is_named_by_its_name(kind: Kind) -> None:
    body = BET | {"kind": kind, "reason": "vip", "actor": "ann"}
    for name, allowed in (("DAILY_LOSS_LIMIT", True), ("MAX_PAYOUT_AMOUNT", kind not in REQUEST_KINDS), ("MAX", False)):
        encoded = json.dumps(body | {"reference_id": name}).encode()
        if allowed:
            assert decode(encoded).reference_id == name
        else:
            assert wrong_fields(encoded) == ["reference_id"]


@pytest.mark.parametrize(("seconds", "allowed"), [(0, True), (MAX_LIMIT_SECONDS, True), (MAX_LIMIT_SECONDS + 1, False)])
def test_a_cooldown_is_no_longer_than_a_withdrawal_may_be_kept(seconds: int, allowed: bool) -> None:
    asked = {
        **BET,
        "kind": "LIMIT_OVERRIDE",
        "reference_id": "WITHDRAWAL_COOLDOWN_SECONDS",
        "amount_minor": seconds,
        "reason": "why",
        "actor": "ann",
    }
    if allowed:
        assert decode(json.dumps(asked).encode()).amount_minor == seconds
    else:
        with pytest.raises(Undecodable, match="amount_minor must be at most"):
            decode(json.dumps(asked).encode())


@pytest.mark.parametrize("kind", Kind)
def test_what_is_about_the_player_is_in_no_currency_and_all_else_in_one(kind: Kind) -> None:
    given = {"provider": "bank", "reason": "goodwill", "actor": "ann", "reference_id": ABOUT.get(kind, "r")}
    for currency in ("USD", "XXX"):
        body = json.dumps(BET | given | of_player(kind) | {"kind": kind, "currency": currency}).encode()
        if kind in NEEDS_ORIGINAL or (currency == "XXX") == (kind in PLAYER_KINDS):
            assert decode(body).currency == currency
        else:
            assert wrong_fields(body) == ["currency"]


@pytest.mark.parametrize(
    ("kind", "until"), [("TEMPORARY", None), ("PERMANENT", "2027-01-01T00:00:00Z"), ("SHORT", None)]
)
def test_an_exclusion_has_an_end_unless_it_is_permanent(kind: str, until: str | None) -> None:
    body = BET | {"kind": "EXCLUSION", "currency": "XXX", "reason": "asked", "actor": "ann"}
    assert wrong_fields(json.dumps(body | {"reference_id": kind, "until": until}).encode())
