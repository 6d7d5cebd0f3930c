"""The contracts against their golden schemas; and the checker against planted breaches.

A golden file changes only by hand: print the new text with

python -c "from tests.contracts.compatibility import *; print(as_text(current('command')), end='')"
"""

from collections.abc import Callable
from copy import deepcopy

import pytest

from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind
from shared.testing import FakeLedger
from tests.contracts.compatibility import CONTRACTS, Schema, as_text, breaches, current, golden

Change = Callable[[Schema], object]


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_contract_lives_beside_what_was_agreed(name: str) -> None:
    assert breaches(golden(name), current(name)) == []


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_golden_file_is_what_the_code_has(name: str) -> None:
    assert as_text(golden(name)) == as_text(current(name))


def changed(name: str, change: Change) -> Schema:
    schema = deepcopy(golden(name))
    change(schema)
    return schema


def field(schema: Schema, name: str) -> Schema:
    found: Schema = schema["properties"][name]
    return found


def in_transaction(schema: Schema, name: str) -> Schema:
    found: Schema = schema["$defs"]["LedgerEvent"]["properties"][name]
    return found


BREACHES: dict[str, tuple[str, Change, set[str]]] = {
    "an optional field is gone": ("command", lambda s: s["properties"].pop("round_id"), {".round_id: is gone"}),
    "a required field is gone": (
        "ledger_event",
        lambda s: (s["properties"].pop("lane"), s["required"].remove("lane")),
        {"forward: .lane", ".lane: is gone"},
    ),
    "a field is renamed": (
        "lane_head",
        lambda s: s["properties"].update(top=s["properties"].pop("head")),
        {".head: is gone"},
    ),
    "a type is another": (
        "command",
        lambda s: field(s, "user_id").update(type="string"),
        {"backward: .user_id", "forward: .user_id"},
    ),
    "a number takes fractions": (
        "ledger_event",
        lambda s: field(s, "amount_minor").update(type="number"),
        {"backward: .amount_minor", "forward: .amount_minor"},
    ),
    "a new field is required": (
        "command",
        lambda s: (s["properties"].update(site={"type": "string"}), s["required"].append("site")),
        {"backward: .site: may be missing"},
    ),
    "an optional field becomes required": (
        "command",
        lambda s: s["required"].append("round_id"),
        {"backward: .round_id: may be missing"},
    ),
    "a required field becomes optional": (
        "ledger_event",
        lambda s: s["required"].remove("checksum"),
        {"forward: .checksum: may be missing"},
    ),
    "an enum value is gone": (
        "command",
        lambda s: s["$defs"]["Kind"]["enum"].remove("REFUND"),
        {"backward: .kind: ['REFUND'] is not read"},
    ),
    "a closed enum has a new value": (
        "ledger_event",
        lambda s: s["$defs"]["Status"]["enum"].append("half"),
        {"forward: .status: ['half'] is not read"},
    ),
    "an enum becomes any text": (
        "reply",
        lambda s: s["$defs"]["Outcome"].pop("enum"),
        {"forward: .outcome"},
    ),
    "null is no longer taken": (
        "command",
        lambda s: field(s, "round_id")["anyOf"].pop(),
        {"backward: .round_id: no alternative takes"},
    ),
    "null comes where none came": (
        "lane_head",
        lambda s: s["properties"].update(head={"anyOf": [{"type": "string"}, {"type": "null"}]}),
        {"forward: .head"},
    ),
    "a largest value is smaller": (
        "command",
        lambda s: field(s, "amount_minor").update(maximum=10),
        {"backward: .amount_minor: maximum"},
    ),
    "a largest value is larger": (
        "command",
        lambda s: field(s, "amount_minor").update(maximum=10**18),
        {"forward: .amount_minor: maximum"},
    ),
    "a bound is new": ("lane_head", lambda s: field(s, "head").update(maxLength=64), {"backward: .head: maxLength"}),
    "a bound is gone": ("lane_head", lambda s: field(s, "position").pop("minimum"), {"forward: .position: minimum"}),
    "a pattern is another": (
        "ledger_event",
        lambda s: field(s, "checksum").update(pattern="^[0-9A-F]{64}$"),
        {"backward: .checksum: pattern", "forward: .checksum: pattern"},
    ),
    "a format is gone": ("command", lambda s: field(s, "command_id").pop("format"), {"forward: .command_id: format"}),
    "a default is another": ("reply", lambda s: field(s, "replayed").update(default=True), {".replayed: default"}),
    "unknown fields are refused": (
        "reply",
        lambda s: s.update(additionalProperties=False),
        {"backward: : unknown fields are refused"},
    ),
    "a field inside a field is gone": (
        "reply",
        lambda s: s["$defs"]["LedgerEvent"]["properties"].pop("round_id"),
        {".transaction.round_id: is gone"},
    ),
    "a field inside a field is of another type": (
        "reply",
        lambda s: in_transaction(s, "lane").update(type="string"),
        {"backward: .transaction: no alternative takes"},
    ),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_planted_breach_is_found(breach: str) -> None:
    name, change, expected = BREACHES[breach]
    found = breaches(golden(name), changed(name, change))
    assert expected, "a breach names what is to be found"
    for start in expected:
        assert any(line.startswith(start) for line in found), found


HARMLESS: dict[str, tuple[str, Change]] = {
    "nothing": ("reply", lambda s: None),
    "a new optional field": (
        "command",
        lambda s: s["properties"].update(site={"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}),
    ),
    "another description": ("command", lambda s: field(s, "user_id").update(description="Who plays.")),
    "another order of fields": (
        "command",
        lambda s: s.update(properties=dict(reversed(s["properties"].items())), required=s["required"][::-1]),
    ),
    "a new value where any text is taken beside the enum": (
        "ledger_event",
        lambda s: s["$defs"]["Reason"]["enum"].append("MAX_BET_EXCEEDED"),
    ),
    "a new optional field inside a field": (
        "reply",
        lambda s: s["$defs"]["LedgerEvent"]["properties"].update(site={"type": "string", "default": ""}),
    ),
}


@pytest.mark.parametrize("change", HARMLESS)
def test_what_harms_nobody_is_let_through(change: str) -> None:
    name, make = HARMLESS[change]
    assert breaches(golden(name), changed(name, make)) == []


def test_a_keyword_that_the_checker_does_not_know_is_not_passed_over() -> None:
    new = changed("lane_head", lambda s: field(s, "head").update(contentEncoding="base64"))
    with pytest.raises(AssertionError, match="contentEncoding"):
        breaches(golden("lane_head"), new)


def test_a_known_kind_is_read_as_itself_and_another_as_its_text() -> None:
    row = FakeLedger(1).add(Kind.GAME_BET, 42)
    assert LedgerEvent.model_validate_json(row.model_dump_json()).kind is Kind.GAME_BET
    later = row.model_dump(mode="json") | {"kind": "BONUS", "credit": "jackpot"}
    assert LedgerEvent.model_validate(later).kind == "BONUS"
