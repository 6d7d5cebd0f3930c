"""Record headers: what a client sends in them never fails a record."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.headers import REPLY_TO, ReplyTo, cloud_event, find, reply_to


def test_a_reply_address_comes_back_as_it_was_sent() -> None:
    sent = ReplyTo(7, "gateway-1f3a/with/slashes")
    assert reply_to([(REPLY_TO, sent.to_text().encode())], partitions=12) == sent


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"7", b"/", b"7/", b"/gateway", b"-1/gateway", b"x/gateway", b"12/gateway", b"\xff/a"),
        b"7/" + b"a" * 65,
        "\u0663/gateway".encode(),
        b"1" * 300 + b"/gateway",
    ],
)
def test_an_address_that_cannot_be_served_is_none(text: bytes) -> None:
    assert reply_to([(REPLY_TO, text)], partitions=12) is None


def test_no_header_is_no_address() -> None:
    assert reply_to([("something-else", b"7/gateway")], partitions=12) is None


@given(st.lists(st.tuples(st.text(max_size=12), st.binary(max_size=80))), st.binary(max_size=400))
def test_no_header_of_a_client_raises(headers: list[tuple[str, bytes]], value: bytes) -> None:
    found = reply_to([*headers, (REPLY_TO, value)], partitions=3)
    assert found is None or 0 <= found.partition < 3
    text = find([(REPLY_TO, value)], REPLY_TO)
    assert text is not None
    assert len(text) <= 256


def test_the_first_of_two_equal_headers_counts() -> None:
    assert find([("a", b"1"), ("a", b"2")], "a") == "1"


def test_a_record_carries_the_attributes_of_cloudevents_in_utc() -> None:
    moment = datetime(2026, 11, 24, 12, tzinfo=timezone(timedelta(hours=2)))
    headers = cloud_event(event_id="e-1", event_type="t.v1", source="wallet_service", subject="42", time=moment)
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"e-1",
        "ce_type": b"t.v1",
        "ce_source": b"wallet_service",
        "ce_subject": b"42",
        "ce_time": b"2026-11-24T10:00:00.000000Z",
        "content-type": b"application/json",
    }
    assert moment.astimezone(UTC).hour == 10
