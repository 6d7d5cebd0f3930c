"""The contracts as an AsyncAPI 3.0 document. `docs/asyncapi.json` is its committed text, written by

python -m shared.contracts.asyncapi > docs/asyncapi.json
"""

import json
import sys
from collections.abc import Mapping, Sequence
from inspect import cleandoc
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.contracts import headers, topics
from shared.contracts.checkpoints import Checkpoint
from shared.contracts.commands import Command
from shared.contracts.compliance_events import COMPLIANCE_EVENT_TYPES
from shared.contracts.events import LaneHead, LedgerEvent
from shared.contracts.fraud_events import FRAUD_EVENT_TYPES
from shared.contracts.payments import PAYMENT_EVENT_TYPES
from shared.contracts.replies import Reply
from shared.contracts.rounds import GameRound
from shared.contracts.topics import Topic

Json = dict[str, Any]

CONTRACTS_VERSION = "1.0.0"

# What services say of players beside the ledger: of each topic, its payloads with their CloudEvents types.
_SAID: Mapping[str, Mapping[str, type[BaseModel]]] = {
    topics.COMPLIANCE_EVENTS: COMPLIANCE_EVENT_TYPES,
    topics.FRAUD_EVENTS: FRAUD_EVENT_TYPES,
    topics.PAYMENTS_EVENTS: PAYMENT_EVENT_TYPES,
}
_TYPES: Mapping[str, Mapping[type[BaseModel], Sequence[str]]] = {
    topic: {payload: [name for name, of in types.items() if of is payload] for payload in dict.fromkeys(types.values())}
    for topic, types in _SAID.items()
}

# Of each message: its payload, the headers that it has beside those of every message, and what it is.
_MESSAGES: Mapping[str, tuple[type[BaseModel], str, str]] = {
    **{
        payload.__name__: (payload, f"{payload.__name__}Headers", cleandoc(payload.__doc__ or ""))
        for payloads in _TYPES.values()
        for payload in payloads
    },
    "Command": (Command, "CommandHeaders", "Asks the wallet for one decision."),
    "Reply": (Reply, "ReplyHeaders", "The decision, for whoever asked by a reply-to header."),
    "LedgerEvent": (LedgerEvent, "EventHeaders", "One journal row, posted or refused."),
    "Checkpoint": (Checkpoint, "CheckpointHeaders", "A signed Merkle root over a lane's new rows."),
    "GameRound": (GameRound, "RoundHeaders", "How a round of a game ended for one player."),
}
_ON_TOPIC: Mapping[str, Sequence[str]] = {
    topics.WALLET_COMMANDS: ["Command"],
    topics.WALLET_REPLIES: ["Reply"],
    topics.LEDGER_EVENTS: ["LedgerEvent"],
    topics.LEDGER_CHECKPOINTS: ["Checkpoint"],
    topics.GAME_ROUNDS: ["GameRound"],
    **{topic: [payload.__name__ for payload in _TYPES[topic]] for topic in _TYPES},
}

_TEXT: Json = {"type": "string"}
_DECIMAL_USER_ID: Json = {"type": "string", "pattern": "^[1-9][0-9]{0,18}$", "description": "The decimal user id."}
_KEYS: Mapping[str, Json] = {
    "user_id": _DECIMAL_USER_ID,
    "reply address": {"type": "string", "description": "The address that the command's reply-to header names."},
    "lane": {"type": "string", "pattern": "^[0-9]+$", "description": "The decimal lane number."},
}
_PARTITIONERS: Mapping[str, str] = {
    "user_id": (
        "The partition is murmur2 of the key's bytes, made positive, modulo the number of partitions, as the Java "
        "client's default partitioner has it (librdkafka: partitioner=murmur2). A record elsewhere is parked."
    ),
    "reply address": "The partition is the one that the command's reply-to header names; the key does not choose it.",
    "lane": "There is one partition.",
}


def document() -> Json:
    """The AsyncAPI document: topics as channels, what the platform does with them as operations."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "LangSense",
            "version": CONTRACTS_VERSION,
            "description": (
                "The money platform's topics. Bodies are JSON; headers follow CloudEvents 1.0 in Kafka's binary mode. "
                "Fields are added, never redefined: ignore what you do not know."
            ),
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "The platform's cluster. A topic's name may have a prefix there.",
                "variables": {"bootstrap": {"description": "host:port of any of its brokers."}},
            }
        },
        "channels": {topic.name: _channel(topic) for topic in topics.TOPICS},
        "operations": _operations(),
        "components": {
            "messages": {name: _message(name) for name in _MESSAGES} | {"Parked": _parked_message()},
            "schemas": _payloads() | _header_schemas(),
        },
    }


def text() -> str:
    """The document as it is committed."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _channel(topic: Topic) -> Json:
    parked = topic.name.endswith(topics.PARKED_SUFFIX)
    messages = ["Parked"] if parked else _ON_TOPIC.get(topic.name, [])
    placing = _PARTITIONERS["lane"] if topic.partitions == 1 else _PARTITIONERS[topic.key]
    count = topic.partitions or "as many as there are lanes"
    return {
        "address": topic.name,
        "description": f"Written by: {topic.written_by}. Read by: {topic.read_by}. Partitions: {count}. {placing}",
        "messages": {message: {"$ref": f"#/components/messages/{message}"} for message in messages},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                **({"partitions": topic.partitions} if topic.partitions else {}),
                "topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": topic.retention_ms},
                "bindingVersion": "0.5.0",
            }
        },
        "x-key": topic.key,
    }


def _operations() -> Json:
    def operation(action: str, topic: str, summary: str) -> Json:
        return {"action": action, "channel": {"$ref": f"#/channels/{topic}"}, "summary": summary}

    decide = operation("receive", topics.WALLET_COMMANDS, "The wallet decides each command once.")
    decide["reply"] = {"channel": {"$ref": f"#/channels/{topics.WALLET_REPLIES}"}}
    return {
        "decide": decide,
        "publishDecision": operation("send", topics.LEDGER_EVENTS, "The wallet says every decision, in lane order."),
        "publishPayment": operation("send", topics.PAYMENTS_EVENTS, "Payments say every state that one comes into."),
        "publishCheckpoint": operation("send", topics.LEDGER_CHECKPOINTS, "The wallet says every checkpoint."),
        "publishCompliance": operation("send", topics.COMPLIANCE_EVENTS, "How players are known and protected."),
        "publishFraud": operation("send", topics.FRAUD_EVENTS, "What is suspicious, and what was done about it."),
    }


def _message(name: str) -> Json:
    payload, header_schema, summary = _MESSAGES[name]
    (key,) = {topic.key for topic in topics.TOPICS if name in _ON_TOPIC.get(topic.name, ())}
    return {
        "name": name,
        "summary": summary,
        "contentType": "application/json",
        "headers": _ref(header_schema),
        "payload": _ref(payload.__name__),
        "bindings": {"kafka": {"key": _KEYS[key], "bindingVersion": "0.5.0"}},
    }


def _parked_message() -> Json:
    return {
        "name": "Parked",
        "summary": "A record that could not be processed: its own key, value and headers, and why.",
        "headers": _ref("ParkedHeaders"),
        "payload": {"description": "The value as it came, whatever it was."},
    }


def _payloads() -> Json:
    models: list[type[BaseModel]] = [*(payload for payload, _, _ in _MESSAGES.values()), LaneHead]
    _, schemas = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    found: Json = schemas["$defs"]
    return found


def _header_schemas() -> Json:
    def event(required: list[str], **further: Json) -> Json:
        attributes = {
            "ce_specversion": {"type": "string", "const": "1.0"},
            "ce_id": {"type": "string", "description": "The command's id."},
            "ce_type": _TEXT,
            "ce_source": _TEXT,
            "ce_subject": _DECIMAL_USER_ID,
            "ce_time": {"type": "string", "format": "date-time"},
            "content-type": {"type": "string", "const": "application/json"},
            headers.CORRELATION_ID: {"type": "string", "description": "Echoed from the command to all that follows."},
            headers.CAUSATION_ID: {"type": "string", "description": "The id of what caused this."},
            headers.TRACEPARENT: {"type": "string", "description": "W3C trace context."},
        }
        return {"type": "object", "properties": attributes | further, "required": required}

    always = ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "content-type"]
    told = {payload: names for payloads in _TYPES.values() for payload, names in payloads.items()}
    event_id = {"type": "string", "description": "The event's id: told twice, it is the same event."}
    return {
        **{
            f"{payload.__name__}Headers": event(always, ce_id=event_id, ce_type={"type": "string", "enum": list(names)})
            for payload, names in told.items()
        },
        # A command is its body and its key; whoever publishes without headers is served too.
        "CommandHeaders": event(
            [],
            **{
                "ce_type": {"type": "string", "const": headers.COMMAND_TYPE},
                headers.REPLY_TO: {
                    "type": "string",
                    "pattern": "^[0-9]+/.{1,64}$",
                    "description": f"<partition of {topics.WALLET_REPLIES}>/<address, which becomes the reply's key>",
                },
            },
        ),
        "ReplyHeaders": event(always, ce_type={"type": "string", "const": headers.REPLY_TYPE}),
        "EventHeaders": event(always, ce_type={"type": "string", "enum": [headers.POSTED_TYPE, headers.REFUSED_TYPE]}),
        "CheckpointHeaders": event(
            always,
            ce_id={"type": "string", "description": "<lane>/<number>"},
            ce_type={"type": "string", "const": headers.SEALED_TYPE},
            ce_subject=_KEYS["lane"],
        ),
        # Told twice, a round counts once: its body names it.
        "RoundHeaders": event([]),
        "ParkedHeaders": {
            "type": "object",
            "properties": {
                "parked-code": {"type": "string", "description": "Machine-readable, such as UNDECODABLE."},
                "parked-reason": {"type": "string", "description": "What is wrong, in words."},
                "parked-from": {"type": "string", "description": "<topic>/<partition>/<offset>"},
                "parked-at": {"type": "string", "format": "date-time"},
            },
            "required": ["parked-code", "parked-reason", "parked-from", "parked-at"],
        },
    }


def _ref(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


if __name__ == "__main__":
    sys.stdout.write(text())
