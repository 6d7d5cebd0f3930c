"""What the wallet says has the form that its contracts promise."""

from datetime import datetime, timedelta, timezone
from uuid import UUID

import orjson
import pytest
from hypothesis import given

from shared import clock
from shared.contracts.commands import Command, decode, encode
from shared.contracts.events import LedgerEvent
from shared.contracts.kinds import Kind
from shared.contracts.replies import Outcome, Reply
from shared.errors import CommandIdReused
from tests.wallet_service.strategies import streams
from tests.wallet_service.support import MemoryWallet, command
from wallet_service.handlers.messages import event_record, rejection_body, reply_body


@given(streams())
def test_every_row_is_a_ledger_event_of_the_same_content(stream: list[Command]) -> None:
    for answer in MemoryWallet().take(stream):
        row, event = answer.row, LedgerEvent.model_validate_json(event_record(answer.row).value)
        fields = event.model_dump(exclude={"checksum", "facts"})
        assert fields == {name: value for name, value in row.content._asdict().items() if name != "facts"}
        assert event.checksum == row.checksum.hex()
        assert event.facts == (None if row.content.facts is None else orjson.loads(row.content.facts))


@given(streams(max_size=5))
def test_every_answer_is_a_reply_that_carries_its_event(stream: list[Command]) -> None:
    for answer in MemoryWallet().take(stream + stream):
        reply = Reply.model_validate_json(reply_body(answer))
        assert reply.outcome is Outcome.DECIDED
        assert reply.command_id == answer.row.content.command_id
        assert reply.replayed is answer.replayed
        assert reply.transaction == LedgerEvent.model_validate_json(event_record(answer.row).value)
        assert (reply.code, reply.detail) == (None, None)


def test_a_rejection_is_a_reply_that_says_why() -> None:
    command_id = UUID(int=7)
    reply = Reply.model_validate_json(rejection_body(command_id, CommandIdReused("amount")))
    assert reply.outcome is Outcome.REJECTED
    assert reply.command_id == command_id
    assert reply.code == "IDEMPOTENCY_KEY_REUSED"
    assert reply.detail is not None
    assert "another amount" in reply.detail
    assert reply.transaction is None


@pytest.mark.parametrize(
    ("stream", "event_type"),
    [
        ([command(Kind.DEPOSIT)], b"ledger.transaction.posted.v1"),
        ([command(Kind.GAME_BET)], b"ledger.transaction.refused.v1"),
    ],
)
def test_an_events_record_is_a_cloud_event_under_its_players_key(stream: list[Command], event_type: bytes) -> None:
    row = MemoryWallet().take(stream, lane=3)[0].row
    record = event_record(row)
    assert record.key == b"42"
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"3/1",
        "ce_type": event_type,
        "ce_source": b"/langsense/wallet",
        "ce_subject": b"42",
        "ce_time": b"2026-11-24T10:00:00.000000Z",
        "content-type": b"application/json",
    }


@pytest.mark.parametrize(
    "offset", [timedelta(0), timedelta(hours=5, minutes=30), -timedelta(hours=11), timedelta(minutes=1)]
)
def test_a_moment_with_an_offset_is_the_same_moment_in_utc(offset: timedelta) -> None:
    moment = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=timezone(offset))
    sent = decode(encode(command(Kind.DEPOSIT, occurred_at=moment)))
    body = orjson.loads(event_record(MemoryWallet().one(sent).row).value)
    assert body["occurred_at"] == clock.to_text(moment)
    assert LedgerEvent.model_validate(body).occurred_at == moment
