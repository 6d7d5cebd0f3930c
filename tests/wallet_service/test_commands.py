"""Commands from Kafka: each decided once and answered to whoever asks, in the order in which they came."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import httpx2
import pytest

from shared import clock
from shared.broker import BrokerOptions
from shared.contracts.commands import encode
from shared.contracts.kinds import Kind
from shared.contracts.replies import Outcome
from shared.contracts.topics import WALLET_COMMANDS, parked
from shared.lanes import key_of, lane_of
from tests.support import LANES, started
from tests.wallet_service.client import Client, read
from tests.wallet_service.support import decision, fresh
from wallet_service.app import create_app
from wallet_service.repository import Reads
from wallet_service.settings import Settings

pytestmark = pytest.mark.integration

USER = 42
LANE = lane_of(USER, LANES)


@pytest.fixture
async def wallet(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """A wallet that runs."""
    async with started(create_app(settings)) as client:
        yield client


@pytest.mark.usefixtures("wallet")
class TestOneCommandOneDecision:
    """Any number of deliveries, by anyone: one row, and every asker gets it."""

    async def test_fifty_times_on_one_connection(self, client: Client, reads: Reads) -> None:
        await client.send(*[fresh()] * 50)
        replies = await client.replies(50)
        (row,) = await reads.journal(LANE, 0, 100)
        assert {decision(reply) for reply in replies} == {("posted", None)}
        assert {reply.transaction.checksum for reply in replies if reply.transaction} == {row.checksum.hex()}

    async def test_fifty_times_on_many_connections(self, kafka: BrokerOptions, reads: Reads) -> None:
        bet = fresh(Kind.GAME_BET)
        async with AsyncExitStack() as stack:
            askers = [Client(kafka, partition=count % LANES) for count in range(10)]
            await asyncio.gather(*(stack.enter_async_context(asker) for asker in askers))
            await asyncio.gather(*(asker.send(*[bet] * 5) for asker in askers))
            answers = await asyncio.gather(*(asker.replies(5) for asker in askers))
        replies = [reply for of_one in answers for reply in of_one]
        (row,) = await reads.journal(LANE, 0, 100)
        assert {decision(reply) for reply in replies} == {("refused", "INSUFFICIENT_FUNDS")}
        assert {reply.transaction.checksum for reply in replies if reply.transaction} == {row.checksum.hex()}
        assert sum(not reply.replayed for reply in replies) == 1

    async def test_the_first_answer_says_that_it_is_the_first(self, client: Client) -> None:
        deposit = fresh()
        await client.send(*[deposit] * 5)
        assert [reply.replayed for reply in await client.replies(5)] == [False, True, True, True, True]

    async def test_a_reply_is_addressed_as_it_was_asked_for(self, client: Client) -> None:
        deposit = fresh()
        await client.put(encode(deposit), key=key_of(USER), also=client.asking("my-correlation"))
        (record,) = await client.reply_records(1)
        headers = dict(record.headers)
        assert record.key == client.address.encode()
        assert headers["correlation-id"] == b"my-correlation"
        assert headers["ce_type"] == b"wallet.command.answered.v1"
        assert headers["ce_subject"] == b"42"
        assert headers["ce_id"] == f"{LANE}/0".encode()

    async def test_an_id_with_other_content_is_told_to_its_asker_and_not_parked(
        self, client: Client, kafka: BrokerOptions, reads: Reads
    ) -> None:
        deposit = fresh()
        other = deposit.model_copy(update={"amount_minor": 2000})
        await client.send(deposit, other)
        decided, rejected = await client.replies(2)
        assert decided.outcome is Outcome.DECIDED
        assert (rejected.outcome, rejected.code) == (Outcome.REJECTED, "IDEMPOTENCY_KEY_REUSED")
        assert "another amount" in str(rejected.detail)
        await client.send(other, asking=False)
        (record,) = await read(kafka, parked(WALLET_COMMANDS), 1)
        # The one that nobody asked about, not the one before.
        assert dict(record.headers)["parked-from"] == f"{WALLET_COMMANDS}/{LANE}/2".encode()
        assert dict(record.headers)["parked-code"] == b"IDEMPOTENCY_KEY_REUSED"
        assert len(await reads.journal(LANE, 0, 100)) == 1

    async def test_a_command_that_comes_too_late_is_refused(self, client: Client) -> None:
        late = fresh(expires_at=clock.utc_now() - timedelta(milliseconds=1))
        in_time = fresh(expires_at=clock.utc_now() + timedelta(minutes=1))
        assert [decision(reply) for reply in await client.ask(late, in_time)] == [
            ("refused", "EXPIRED"),
            ("posted", None),
        ]

    async def test_commands_of_a_player_are_decided_in_the_order_in_which_they_were_published(
        self, client: Client
    ) -> None:
        await client.send(
            fresh(Kind.DEPOSIT, 300), *(fresh(Kind.GAME_BET, 100, reference_id=f"g-{n}") for n in range(4))
        )
        assert [decision(reply) for reply in await client.replies(5)] == [
            *[("posted", None)] * 4,
            ("refused", "INSUFFICIENT_FUNDS"),
        ]


async def test_batches_are_no_larger_than_the_setting_and_none_is_forgotten(settings: Settings, client: Client) -> None:
    deposits = [fresh(user_id=user) for user in range(1, 101)]
    await client.send(*deposits)
    async with started(create_app(settings.model_copy(update={"wallet_batch_records": 7}))) as http:
        assert len(await client.replies(100)) == 100
        metrics = (await http.get("/metrics")).text
    assert 'langsense_batch_records_bucket{le="10.0",topic="wallet.commands.v1"}' in metrics
    samples = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith("langsense_batch_records"))
    assert (
        samples['langsense_batch_records_bucket{le="10.0",topic="wallet.commands.v1"}']
        == samples['langsense_batch_records_count{topic="wallet.commands.v1"}']
    )
