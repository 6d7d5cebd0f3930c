"""Whether two versions of a contract can live beside each other: JSON schemas, as pydantic writes them.

Backward: what was written by the old version is read by the new one. Forward: the other way round. Beyond that, a
field that exists stays, with its default.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from shared.contracts.checkpoints import Checkpoint, Receipt
from shared.contracts.commands import Command
from shared.contracts.compliance_events import COMPLIANCE_EVENT_TYPES
from shared.contracts.events import LaneHead, LedgerEvent
from shared.contracts.fees import PaymentFee
from shared.contracts.fraud_events import FRAUD_EVENT_TYPES
from shared.contracts.payments import PaymentEvent
from shared.contracts.replies import Reply
from shared.contracts.reports import ReportMade
from shared.contracts.rounds import GameRound
from shared.contracts.signals import PlayerSignal

Schema = dict[str, Any]

GOLDEN = Path(__file__).parent / "golden"


def _snake(name: str) -> str:
    """As a golden file is named."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


CONTRACTS: dict[str, type[BaseModel]] = {
    "command": Command,
    "ledger_event": LedgerEvent,
    "reply": Reply,
    "game_round": GameRound,
    "player_signal": PlayerSignal,
    "lane_head": LaneHead,
    **{_snake(model.__name__): model for model in {**COMPLIANCE_EVENT_TYPES, **FRAUD_EVENT_TYPES}.values()},
    "payment_event": PaymentEvent,
    "checkpoint": Checkpoint,
    "receipt": Receipt,
    "payment_fee": PaymentFee,
    "report_made": ReportMade,
}

# For people alone.
_WORDS = frozenset({"title", "description", "examples", "default", "$defs"})
# What a value has to be equal in, on both sides.
_SAME = ("pattern", "format", "const")
_LOWER_BOUNDS = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_UPPER_BOUNDS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_STRUCTURE = ("type", "enum", "anyOf", "properties", "required", "items", "additionalProperties")
_KNOWN = _WORDS | {*_SAME, *_LOWER_BOUNDS, *_UPPER_BOUNDS, *_STRUCTURE}


def current(name: str) -> Schema:
    """A contract's schema, as the code has it."""
    return CONTRACTS[name].model_json_schema()


def golden(name: str) -> Schema:
    """A contract's schema, as it was agreed."""
    schema: Schema = json.loads((GOLDEN / f"{name}.json").read_text())
    return schema


def as_text(schema: Schema) -> str:
    """As a golden file has it."""
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def breaches(old: Schema, new: Schema) -> list[str]:
    """Everything that keeps the two versions from living beside each other; empty where nothing does."""
    old, new = _expanded(old, old), _expanded(new, new)
    return [
        *(f"backward: {gap}" for gap in _gaps(old, new, "")),
        *(f"forward: {gap}" for gap in _gaps(new, old, "")),
        *_redefined(old, new, ""),
    ]


def _expanded(schema: Schema, root: Schema) -> Schema:
    """The schema with every reference replaced by what it names."""
    found: Schema = {}
    for key, value in schema.items():
        if key == "$ref":
            found |= _expanded(root["$defs"][value.removeprefix("#/$defs/")], root)
        elif isinstance(value, dict) and key != "default":
            found[key] = _expanded(value, root) if key != "$defs" else {}
        elif key == "anyOf":
            found[key] = [_expanded(option, root) for option in value]
        else:
            found[key] = value
    return found


def _gaps(writer: Schema, reader: Schema, path: str) -> Iterator[str]:
    """What the writer may write and the reader does not take."""
    if "anyOf" in writer:
        for option in writer["anyOf"]:
            yield from _gaps(option, reader, path)
    elif "anyOf" in reader:
        if all(any(_gaps(writer, option, path)) for option in reader["anyOf"]):
            yield f"{path}: no alternative takes {_brief(writer)}"
    elif reader_keywords := reader.keys() - _WORDS:
        assert reader_keywords <= _KNOWN, f"{path}: the checker does not know {reader_keywords - _KNOWN}"
        yield from _value_gaps(writer, reader, path)
        yield from _object_gaps(writer, reader, path)


def _value_gaps(writer: Schema, reader: Schema, path: str) -> Iterator[str]:
    if writer.get("type") != reader.get("type"):
        yield f"{path}: {writer.get('type')} is written, {reader.get('type')} is read"
    if "enum" in reader and not set(writer.get("enum", ["anything else"])) <= set(reader["enum"]):
        yield f"{path}: {sorted(set(writer.get('enum', ['anything else'])) - set(reader['enum']))} is not read"
    for keyword in _SAME:
        if keyword in reader and writer.get(keyword) != reader[keyword]:
            yield f"{path}: {keyword} {writer.get(keyword)} is written, {reader[keyword]} is read"
    for keyword in _LOWER_BOUNDS:
        if keyword in reader and not (keyword in writer and writer[keyword] >= reader[keyword]):
            yield f"{path}: {keyword} {writer.get(keyword)} is written, {reader[keyword]} is read"
    for keyword in _UPPER_BOUNDS:
        if keyword in reader and not (keyword in writer and writer[keyword] <= reader[keyword]):
            yield f"{path}: {keyword} {writer.get(keyword)} is written, {reader[keyword]} is read"


def _object_gaps(writer: Schema, reader: Schema, path: str) -> Iterator[str]:
    written, read = writer.get("properties", {}), reader.get("properties", {})
    for name in sorted(set(reader.get("required", [])) - set(writer.get("required", []))):
        yield f"{path}.{name}: may be missing, and is required"
    for name in sorted(written.keys() & read.keys()):
        yield from _gaps(written[name], read[name], f"{path}.{name}")
    if reader.get("additionalProperties") is False and writer.get("additionalProperties") is not False:
        yield f"{path}: unknown fields are refused"
    for keyword in ("items", "additionalProperties"):
        if isinstance(writer.get(keyword), dict) and isinstance(reader.get(keyword), dict):
            yield from _gaps(writer[keyword], reader[keyword], f"{path}[]")


def _redefined(old: Schema, new: Schema, path: str) -> Iterator[str]:
    """Fields that are gone, or whose default is another."""
    for name, field in old.get("properties", {}).items():
        now = new.get("properties", {}).get(name)
        if now is None:
            yield f"{path}.{name}: is gone"
            continue
        if field.get("default") != now.get("default"):
            yield f"{path}.{name}: default {field.get('default')} became {now.get('default')}"
        yield from _redefined(_object_in(field), _object_in(now), f"{path}.{name}")


def _object_in(schema: Schema) -> Schema:
    """An optional object's own schema."""
    return next((option for option in schema.get("anyOf", []) if "properties" in option), schema)


def _brief(schema: Schema) -> str:
    return str({key: value for key, value in schema.items() if key not in _WORDS and key != "properties"})
