"""Record headers: CloudEvents 1.0 in Kafka's binary mode, correlation, and where to send the reply.

Source: CloudEvents Kafka protocol binding 1.0, section 3.2 (binary content mode).
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from shared import clock

Headers = list[tuple[str, bytes]]

REPLY_TO = "reply-to"
CORRELATION_ID = "correlation-id"
CAUSATION_ID = "causation-id"
TRACEPARENT = "traceparent"

COMMAND_TYPE = "wallet.command.requested.v1"
REPLY_TYPE = "wallet.command.answered.v1"
POSTED_TYPE = "ledger.transaction.posted.v1"
REFUSED_TYPE = "ledger.transaction.refused.v1"
SEALED_TYPE = "ledger.checkpoint.sealed.v1"

_MAX_ADDRESS = 64
_TRACEPARENT_FORM = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_CORRELATION_FORM = re.compile(r"[A-Za-z0-9._-]{1,96}")


class ReplyTo(NamedTuple):
    """A partition of `wallet.replies.v1`, and the address that becomes the reply's key."""

    partition: int
    address: str

    def to_text(self) -> str:
        """As it stands in the header: `7/gateway-1f3a`."""
        return f"{self.partition}/{self.address}"


def cloud_event(*, event_id: str, event_type: str, source: str, subject: str, time: datetime) -> Headers:
    """The CloudEvents attributes of one record."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_type", event_type.encode()),
        ("ce_source", source.encode()),
        ("ce_subject", subject.encode()),
        ("ce_time", clock.to_text(time).encode()),
        ("content-type", b"application/json"),
    ]


def find(headers: Iterable[tuple[str, bytes | None]], name: str) -> str | None:
    """A header's text, or None where it is missing or null. What is no UTF-8 in it is replaced.

    A client's header never fails a record.
    """
    for key, value in headers:
        if key == name and value is not None:
            return value.decode("utf-8", errors="replace")[:256]
    return None


def trace_id(traceparent: str | None) -> str | None:
    """The id of the trace that a W3C `traceparent` names; None for one that has not the form."""
    found = _TRACEPARENT_FORM.fullmatch(traceparent or "")
    return found and found[1]


def correlation_id(headers: Iterable[tuple[str, bytes | None]]) -> str | None:
    """The correlation id that a record carries; None for none, and for one that has not the form of an id."""
    text = find(headers, CORRELATION_ID) or ""
    return text if _CORRELATION_FORM.fullmatch(text) else None


def reply_to(headers: Iterable[tuple[str, bytes | None]], partitions: int) -> ReplyTo | None:
    """Where the reply goes, or None where nobody asked for one in a form that can be served."""
    text = find(headers, REPLY_TO)
    if text is None:
        return None
    partition, slash, address = text.partition("/")
    if not slash or not (partition.isascii() and partition.isdigit()) or not 1 <= len(address) <= _MAX_ADDRESS:
        return None
    number = int(partition)
    return ReplyTo(number, address) if number < partitions else None
