"""The AsyncAPI document."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from shared.contracts import asyncapi
from shared.contracts.compliance_events import COMPLIANCE_EVENT_TYPES
from shared.contracts.fraud_events import FRAUD_EVENT_TYPES
from shared.contracts.headers import POSTED_TYPE, cloud_event
from shared.contracts.kinds import Kind
from shared.contracts.payments import PAYMENT_EVENT_TYPES
from shared.contracts.topics import (
    COMPLIANCE_EVENTS,
    FRAUD_EVENTS,
    LEDGER_EVENTS,
    PAYMENTS_EVENTS,
    TOPICS,
    WALLET_COMMANDS,
)
from shared.testing import MOMENT, FakeLedger

COMMITTED = Path(__file__).parents[2] / "docs" / "asyncapi.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return asyncapi.document()


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolved(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_the_committed_document_is_what_the_contracts_say() -> None:
    assert COMMITTED.read_text() == asyncapi.text(), "run `python -m shared.contracts.asyncapi > docs/asyncapi.json`"


def test_every_topic_is_a_channel_with_its_key(document: dict[str, Any]) -> None:
    assert {name: channel["x-key"] for name, channel in document["channels"].items()} == {
        topic.name: topic.key for topic in TOPICS
    }


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = set(references(document))
    assert found
    for reference in found:
        assert isinstance(resolved(document, reference), dict)


def test_it_names_no_host(document: dict[str, Any]) -> None:
    assert document["servers"]["kafka"]["host"] == "{bootstrap}"
    assert not re.search(r"localhost|127\.0\.0\.1|//[a-z]+\.", asyncapi.text())


def test_a_command_needs_the_decimal_user_id_as_its_key_on_the_partition_of_murmur2(document: dict[str, Any]) -> None:
    key = document["components"]["messages"]["Command"]["bindings"]["kafka"]["key"]
    jsonschema.validate("42", key)
    for wrong in ("", "042", "-1", "4.2", "forty-two"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, key)
    assert "murmur2" in document["channels"][WALLET_COMMANDS]["description"]


def test_a_real_event_is_as_the_document_says(document: dict[str, Any], ledger: FakeLedger) -> None:
    row = ledger.add(Kind.GAME_BET, 42)
    message = resolved(document, document["channels"][LEDGER_EVENTS]["messages"]["LedgerEvent"]["$ref"])
    payload = {**message["payload"], "components": document["components"]}
    jsonschema.validate(json.loads(row.model_dump_json()), payload)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**json.loads(row.model_dump_json()), "lane": "three"}, payload)
    headers = cloud_event(
        event_id=str(row.command_id), event_type=POSTED_TYPE, source="wallet_service", subject="42", time=MOMENT
    )
    jsonschema.validate(
        {name: value.decode() for name, value in headers}, {**message["headers"], "components": document["components"]}
    )


def test_what_services_say_is_there_by_type_with_its_payload(document: dict[str, Any]) -> None:
    said = {
        COMPLIANCE_EVENTS: COMPLIANCE_EVENT_TYPES,
        FRAUD_EVENTS: FRAUD_EVENT_TYPES,
        PAYMENTS_EVENTS: PAYMENT_EVENT_TYPES,
    }
    for topic, types in said.items():
        messages = [resolved(document, message["$ref"]) for message in document["channels"][topic]["messages"].values()]
        told = {
            name: message["payload"]["$ref"].rsplit("/", 1)[1]
            for message in messages
            for name in resolved(document, message["headers"]["$ref"])["properties"]["ce_type"]["enum"]
        }
        assert told == {name: model.__name__ for name, model in types.items()}
