"""Journal rows as the messages that carry them."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import orjson

from shared.broker import Record
from shared.contracts import headers
from shared.contracts.kinds import Status
from shared.contracts.replies import Outcome
from shared.errors import LangSenseError
from shared.lanes import key_of
from wallet_service.domain.events import event
from wallet_service.domain.needs import Answer, JournalRow

_POSTED = Status.POSTED.value

# The `traceparent` of what follows from a command, by the command's id: of those alone whose trace is recorded.
Traces = Mapping[UUID, str]
NO_TRACES: Final[Traces] = {}


def event_records(rows: Sequence[JournalRow], traces: Traces) -> Sequence[Record]:
    """Rows as records of `ledger.events.v1`, each in the trace of its command, where that is recorded."""
    records = [event_record(row) for row in rows]
    if traces:
        for row, record in zip(rows, records, strict=True):
            if (traceparent := traces.get(row.content.command_id)) is not None:
                record.headers.append((headers.TRACEPARENT, traceparent.encode()))
    return records


def event_record(row: JournalRow) -> Record:
    """A row as a record of `ledger.events.v1`."""
    content = row.content
    user = str(content.user_id)
    return Record(
        key=key_of(content.user_id),
        value=orjson.dumps(event(row), option=orjson.OPT_UTC_Z),
        headers=headers.cloud_event(
            event_id=f"{content.lane}/{content.position}",
            event_type=headers.POSTED_TYPE if content.status == _POSTED else headers.REFUSED_TYPE,
            source="/langsense/wallet",
            subject=user,
            time=content.created_at,
        ),
    )


def reply_body(answer: Answer) -> bytes:
    """The value of the reply that carries a decision."""
    fields = {
        "command_id": str(answer.row.content.command_id),
        "outcome": Outcome.DECIDED.value,
        "replayed": answer.replayed,
        "transaction": event(answer.row),
    }
    return orjson.dumps(fields, option=orjson.OPT_UTC_Z)


def rejection_body(command_id: UUID, error: LangSenseError) -> bytes:
    """The value of the reply to a command that was not decided."""
    fields = {
        "command_id": command_id,
        "outcome": Outcome.REJECTED.value,
        "code": error.code,
        "detail": str(error),
    }
    return orjson.dumps(fields)
