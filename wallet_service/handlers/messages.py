"""Journal rows as the messages that carry them."""

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
