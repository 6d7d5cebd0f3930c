"""One deposit over REST is one trace: the door, Kafka, the ledger's commit, and all who hear of it."""

import os
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import httpx2
import pytest

from tests.collector import Collector, Seen, collecting
from tests.end_to_end.support import Platform, running, until

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

PLAYER = 90_210
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
DOOR = ("gateway", "POST /api/v1/transactions")
SENT = ("gateway", "send wallet.commands.v1")
DECIDED = ("wallet_service", "process wallet.commands.v1")
COMMIT = ("wallet_service", "ledger commit")
REPLIED = ("wallet_service", "send wallet.replies.v1")
HEARERS = ("fraud_service", "metrics_service", "compliance_service", "payments_service")
HEARD = tuple((service, "process ledger.events.v1") for service in HEARERS)


class Running(NamedTuple):
    """A platform whose traces are collected."""

    platform: Platform
    collector: Collector


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with collecting() as collector, pytest.MonkeyPatch.context() as patched:
        patched.setitem(os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        with running(tmp_path_factory.mktemp("traced") / "data") as platform:
            yield Running(platform, collector)


def deposit(platform: Platform, key: str, **headers: str) -> str:
    """A deposit of a player's; returns its command's id."""
    body = {"user_id": PLAYER, "type": "DEPOSIT", "amount": "10.00", "currency": "USD", "provider": "bank"}
    token = platform.tokens()["finance"]
    answer = httpx2.post(
        f"http://127.0.0.1:{platform.gateway_port}/api/v1/transactions",
        json=body,
        headers={"Authorization": f"Bearer {token}", "Prefer": "wait=10", "Idempotency-Key": key, **headers},
        timeout=20,
        trust_env=False,
    )
    assert answer.status_code == 201, answer.text
    command_id: str = answer.json()["transaction"]["id"]
    return command_id


def by_name(spans: list[Seen]) -> dict[tuple[str, str], Seen]:
    return {(each.service, each.name): each for each in spans}


def test_a_deposit_is_one_trace_from_the_door_to_all_who_hear_of_it(traced: Running) -> None:
    platform, collector = traced
    command_id = deposit(platform, "traced", traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")

    # Each service tells of its own on its own time.
    spans = {DOOR, SENT, DECIDED, COMMIT, REPLIED, *HEARD}
    until(lambda: spans <= by_name(collector.of(TRACE)).keys(), within_s=60)

    found = by_name(collector.of(TRACE))
    way = (DOOR, SENT, DECIDED, COMMIT)
    assert found[DOOR].span.parent_span_id.hex() == "00f067aa0ba902b7"
    for before, after in pairwise(way):
        assert found[after].span.parent_span_id == found[before].span.span_id, after
    assert found[REPLIED].span.parent_span_id == found[DECIDED].span.span_id
    assert found[COMMIT].attributes["langsense.command_id"] == command_id
    assert found[COMMIT].attributes["langsense.status"] == "posted"
    for heard in HEARD:
        assert found[heard].span.parent_span_id == found[COMMIT].span.span_id, heard


def test_its_batches_are_linked_to_it_and_tell_of_their_transaction(traced: Running) -> None:
    _, collector = traced
    taken = [by_name(collector.of(TRACE))[each] for each in (DECIDED, *HEARD)]

    for each in taken:
        batches = collector.named(each.service, each.name.replace("process", "batch"))
        (together,) = (batch for batch in batches if each.span.span_id in batch.links)
        assert each.links == {together.span.span_id}
        assert together.trace != TRACE
        if each.service == "wallet_service":
            assert "transaction" in {span.name for span in collector.of(together.trace)}


def test_a_trace_that_nobody_named_begins_at_the_door(traced: Running) -> None:
    platform, collector = traced
    command_id = deposit(platform, "unnamed")

    def committed() -> list[Seen]:
        commits = collector.named(*COMMIT)
        return [each for each in commits if each.attributes["langsense.command_id"] == command_id]

    until(lambda: bool(committed()), within_s=60)
    (commit,) = committed()
    until(lambda: DOOR in by_name(collector.of(commit.trace)), within_s=60)
    assert by_name(collector.of(commit.trace))[DOOR].span.parent_span_id == b""


def test_no_span_tells_what_a_client_wrote_or_showed(traced: Running) -> None:
    platform, collector = traced
    deposit(platform, "a-key-of-theirs")
    until(lambda: len(collector.named(*DOOR)) >= 3, within_s=60)

    told = " ".join(str(each.span) for each in collector.seen)
    assert "a-key-of-theirs" not in told
    assert str(PLAYER) not in told
    assert not any(token in told for token in platform.tokens().values())
