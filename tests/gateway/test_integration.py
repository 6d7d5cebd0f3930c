"""The gateway on real Kafka, before a wallet that is made up: out by one topic, in by one partition of another."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient

from gateway.app import create_app
from shared.broker import BrokerOptions, Publisher
from shared.contracts import headers
from shared.contracts.commands import decode
from shared.contracts.topics import WALLET_COMMANDS, WALLET_REPLIES
from shared.errors import BrokerUnavailable, ConfigurationError
from shared.tokens import Role
from tests.gateway.fakes import PLAYER, FakeWallet
from tests.gateway.support import BET, DEPOSIT, bearer, client_of, development_keys, settings
from tests.support import eventually

pytestmark = pytest.mark.integration
POST = "/api/v1/transactions"


@asynccontextmanager
async def ready_wallet() -> AsyncIterator[str]:
    """Somebody who answers that it is ready, whatever is asked."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def deciding(kafka: BrokerOptions, publisher: Publisher, wallet: FakeWallet) -> AsyncIterator[None]:
    """A made-up wallet on the real command topic."""
    consumer = AIOKafkaConsumer(
        kafka.topic(WALLET_COMMANDS), bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()

    async def decide() -> None:
        async for record in consumer:
            to = headers.reply_to(record.headers, 1000)
            assert to is not None
            correlation = headers.find(record.headers, headers.CORRELATION_ID) or ""
            reply = wallet.decide(decode(record.value))
            await publisher.publish(
                WALLET_REPLIES,
                key=to.address.encode(),
                value=reply.model_dump_json().encode(),
                partition=to.partition,
                headers=[(headers.CORRELATION_ID, correlation.encode())],
            )

    task = asyncio.create_task(decide())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await consumer.stop()


@asynccontextmanager
async def gateway(
    kafka: BrokerOptions, folder: Path, wallet_url: str, **overrides: Any
) -> AsyncIterator[httpx2.AsyncClient]:
    """A whole gateway, and a client of it that may begin."""
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps(development_keys()[1]))
    app = create_app(
        settings(
            kafka_bootstrap_servers=kafka.bootstrap_servers,
            kafka_topic_prefix=kafka.topic_prefix,
            kafka_idempotent_producer=kafka.idempotent_producer,
            wallet_service_url=wallet_url,
            jwks_file=jwks,
            **overrides,
        )
    )
    async with app.router.lifespan_context(app), client_of(app) as client:

        async def ready() -> bool:
            return (await client.get("/api/v1/health/ready")).status_code == 200

        await eventually(ready)
        yield client


async def test_the_first_reply_is_not_missed_and_a_retry_gets_the_same(
    kafka: BrokerOptions, publisher: Publisher, tmp_path: Path
) -> None:
    wallet = FakeWallet()
    who = {**bearer(Role.ADMIN), "Idempotency-Key": "1", "Prefer": "wait=10"}
    async with (
        ready_wallet() as url,
        deciding(kafka, publisher, wallet),
        gateway(kafka, tmp_path, url) as client,
    ):
        first = await client.post(POST, json=DEPOSIT, headers=who)
        second = await client.post(POST, json=DEPOSIT, headers=who)
        bet = await client.post(POST, json=BET, headers={**who, "Idempotency-Key": "2"})

    assert (first.status_code, second.status_code, bet.status_code) == (201, 201, 201)
    assert second.content == first.content
    assert second.headers["idempotency-replayed"] == "true"
    assert bet.json()["wallet"]["balances"][0]["cash"] == "90.00"


async def test_two_gateways_on_one_partition_each_get_their_own(
    kafka: BrokerOptions, publisher: Publisher, tmp_path: Path
) -> None:
    who = {**bearer(Role.ADMIN), "Prefer": "wait=10"}
    async with (
        ready_wallet() as url,
        deciding(kafka, publisher, FakeWallet()),
        gateway(kafka, tmp_path, url, gateway_reply_partition=0) as one,
        gateway(kafka, tmp_path, url, gateway_reply_partition=0) as other,
    ):
        responses = await asyncio.gather(
            *(
                client.post(POST, json={**DEPOSIT, "user_id": PLAYER + number}, headers={**who, "Idempotency-Key": key})
                for number in range(10)
                for client, key in ((one, f"one-{number}"), (other, f"other-{number}"))
            )
        )

    assert [response.status_code for response in responses] == [201] * 20


async def test_an_undecided_command_is_pending_and_no_group_is_left_behind(
    kafka: BrokerOptions, tmp_path: Path
) -> None:
    who = {**bearer(Role.ADMIN), "Idempotency-Key": "1", "Prefer": "respond-async"}
    async with ready_wallet() as url, gateway(kafka, tmp_path, url) as client:
        response = await client.post(POST, json=DEPOSIT, headers=who)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
        await admin.start()
        try:
            groups = [name for name, *_ in await admin.list_consumer_groups()]
        finally:
            await admin.close()

    assert response.status_code == 202
    assert not [name for name in groups if kafka.topic_prefix in name or "gateway" in name]


async def test_without_the_wallet_writes_are_refused_at_once(kafka: BrokerOptions, tmp_path: Path) -> None:
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps(development_keys()[1]))
    app = create_app(
        settings(
            kafka_bootstrap_servers=kafka.bootstrap_servers,
            kafka_topic_prefix=kafka.topic_prefix,
            wallet_service_url="http://127.0.0.1:1",
            jwks_file=jwks,
        )
    )
    async with app.router.lifespan_context(app), client_of(app) as client:
        response = await client.post(POST, json=DEPOSIT, headers={**bearer(Role.ADMIN), "Idempotency-Key": "1"})
        ready = await client.get("/api/v1/health/ready")
        live = await client.get("/api/v1/health/live")

    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert (ready.status_code, live.status_code) == (503, 200)


async def test_a_partition_that_is_not_there_stops_the_start(kafka: BrokerOptions, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="GATEWAY_REPLY_PARTITION"):
        async with gateway(kafka, tmp_path, "http://127.0.0.1:1", gateway_reply_partition=999):
            pass


async def test_a_topic_can_be_written_to_only_when_it_is_there(publisher: Publisher) -> None:
    async def writable() -> bool:
        try:
            await publisher.ping(WALLET_COMMANDS)
        except BrokerUnavailable:
            return False
        return True

    # A topic that was just made is not known to every part of the cluster at once.
    await eventually(writable)
    with pytest.raises(BrokerUnavailable, match="no topic"):
        await publisher.ping("wallet.wishes.v1")
