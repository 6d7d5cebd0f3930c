"""The two doors: REST through the gateway, and Kafka by librdkafka, a client that shares no code with ours."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import uuid4

import httpx2
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from ops.demo.players import Asked, Request
from ops.places import Places
from shared import money
from shared.contracts import topics
from shared.errors import BrokerUnavailable

ANSWER_WITHIN_S = 10.0
# A client that hears nothing, or that the platform is not ready, asks again for as long as this.
GIVE_UP_AFTER_S = 30.0
SENDINGS = 3
LONGEST_PAUSE_S = 2.0
POLL_S = 0.02
START_WITHIN_S = 15.0


class Channel(Protocol):
    """A way to ask the wallet for something."""

    name: str

    async def ask(self, request: Request) -> Asked:
        """Send a request once, and wait for its answer."""


class Rest:
    """Through the gateway, as a game server's or a cashier's HTTP client would."""

    name = "REST"

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def ask(self, request: Request) -> Asked:
        body: dict[str, Any] = {
            "user_id": request.user_id,
            "type": request.kind.value,
            "amount": money.to_decimal(request.amount_minor, request.currency),
            "currency": request.currency,
            "reference_id": request.reference_id,
            "round_id": request.round_id,
            "provider": request.provider,
        }
        present = {name: value for name, value in body.items() if value is not None}
        started = time.perf_counter()
        try:
            answer = await self._decided(present, str(request.key), started + GIVE_UP_AFTER_S)
        except httpx2.TransportError as error:
            return Asked(f"no answer: {type(error).__name__}", None, None, time.perf_counter() - started)
        took = time.perf_counter() - started
        transaction = answer.get("transaction") or {}
        outcome = transaction.get("status") or "error"
        if outcome != "posted":
            outcome = answer.get("code") or outcome
        decision = f"{transaction['lane']}/{transaction['position']}" if "position" in transaction else None
        return Asked(outcome, transaction.get("id"), decision, took)

    async def _decided(self, body: dict[str, Any], key: str, give_up_at: float) -> dict[str, Any]:
        """The answer to a request; sent again with the same key while the platform says that it is not ready."""
        while True:
            response = await self._client.post("/api/v1/transactions", json=body, headers={"Idempotency-Key": key})
            undecided = response.status_code in (httpx2.codes.ACCEPTED, httpx2.codes.SERVICE_UNAVAILABLE)
            if not undecided or time.perf_counter() > give_up_at:
                answer: dict[str, Any] = response.json()
                return answer
            await asyncio.sleep(min(float(response.headers.get("Retry-After", "1")), LONGEST_PAUSE_S))


@contextlib.asynccontextmanager
async def rest(places: Places, token: str) -> AsyncIterator[Rest]:
    """A REST channel, closed at the end."""
    async with httpx2.AsyncClient(
        base_url=places.gateway_url,
        headers={"Authorization": f"Bearer {token}"},
        timeout=ANSWER_WITHIN_S,
        limits=httpx2.Limits(max_connections=64, max_keepalive_connections=64),
        trust_env=False,
    ) as client:
        yield Rest(client)


class Kafka:
    """Straight to `wallet.commands.v1`, as a game server that speaks Kafka would; it asks for replies."""

    name = "Kafka"

    def __init__(self, places: Places) -> None:
        self._topic = places.kafka_topic_prefix + topics.WALLET_COMMANDS
        self._replies = places.kafka_topic_prefix + topics.WALLET_REPLIES
        identity = uuid4()
        self._address = f"demo-{identity.hex[:12]}"
        self._identity = identity.int
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._stop = threading.Event()
        self._loop = asyncio.get_running_loop()
        servers = {"bootstrap.servers": places.kafka_bootstrap_servers}
        self._producer = Producer(
            {
                **servers,
                # librdkafka's default is another hash; this one puts a player where the Java client would.
                "partitioner": "murmur2",
                "enable.idempotence": places.kafka_idempotent_producer,
                "linger.ms": 1,
            }
        )
        self._consumer = Consumer(
            {
                **servers,
                "group.id": self._address,
                "enable.auto.commit": False,
                "fetch.wait.max.ms": places.kafka_fetch_max_wait_ms,
            }
        )
        self._partition = 0
        self._threads = [
            threading.Thread(target=self._read_replies, name="demo-replies"),
            threading.Thread(target=self._serve_deliveries, name="demo-deliveries"),
        ]

    async def start(self) -> None:
        """Raises BrokerUnavailable."""
        try:
            metadata = await asyncio.to_thread(self._consumer.list_topics, self._replies, START_WITHIN_S)
        except KafkaException as error:
            raise BrokerUnavailable("the broker does not answer the demo's client") from error
        self._partition = self._identity % max(1, len(metadata.topics[self._replies].partitions))
        end = await asyncio.to_thread(
            self._consumer.get_watermark_offsets, TopicPartition(self._replies, self._partition), START_WITHIN_S
        )
        offset = end[1] if end is not None else OFFSET_END
        self._consumer.assign([TopicPartition(self._replies, self._partition, offset)])
        for thread in self._threads:
            thread.start()

    async def stop(self) -> None:
        """Flush, and end the threads."""
        await asyncio.to_thread(self._producer.flush, ANSWER_WITHIN_S)
        self._stop.set()
        for thread in self._threads:
            await asyncio.to_thread(thread.join, ANSWER_WITHIN_S)
        self._consumer.close()

    async def ask(self, request: Request) -> Asked:
        command = {
            "command_id": str(request.key),
            "kind": request.kind.value,
            "user_id": request.user_id,
            "amount_minor": request.amount_minor,
            "currency": request.currency,
            "reference_id": request.reference_id,
            "round_id": request.round_id,
            "provider": request.provider,
            "reason": request.reason,
            "actor": request.actor,
            "occurred_at": datetime.now(UTC).isoformat(),
        }
        # A token of this sending: two sendings of one command have two replies.
        correlation = uuid4().hex
        future: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._waiting[correlation] = future
        started = time.perf_counter()
        try:
            reply = await self._replied(future, correlation, request, json.dumps(command))
        except TimeoutError:
            return Asked("no answer: timed out", str(request.key), None, time.perf_counter() - started)
        finally:
            del self._waiting[correlation]
        took = time.perf_counter() - started
        transaction = reply.get("transaction")
        if transaction is None:
            return Asked(reply.get("code") or "error", str(request.key), None, took)
        outcome = "posted" if transaction["status"] == "posted" else transaction["reason"]
        return Asked(outcome, str(request.key), f"{transaction['lane']}/{transaction['position']}", took)

    async def _replied(
        self, future: "asyncio.Future[dict[str, Any]]", correlation: str, request: Request, body: str
    ) -> dict[str, Any]:
        """The reply to a command; published again while none comes. Raises TimeoutError."""
        for _ in range(SENDINGS):
            self._producer.produce(
                self._topic,
                key=str(request.user_id),
                value=body,
                headers={"reply-to": f"{self._partition}/{self._address}", "correlation-id": correlation},
            )
            done, _ = await asyncio.wait([future], timeout=ANSWER_WITHIN_S)
            if done:
                return future.result()
        raise TimeoutError

    def _serve_deliveries(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(POLL_S)

    def _read_replies(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(POLL_S)
            if message is None:
                continue
            error = message.error()
            if error is not None:
                if error.code() != KafkaError._PARTITION_EOF:
                    self._loop.call_soon_threadsafe(self._loop.call_exception_handler, {"message": str(error)})
                continue
            if message.key() == self._address.encode():
                self._loop.call_soon_threadsafe(self._answered, message)

    def _answered(self, message: Message) -> None:
        correlation = dict(message.headers() or []).get("correlation-id")
        future = self._waiting.get(correlation.decode()) if isinstance(correlation, bytes) else None
        value = message.value()
        if future is not None and not future.done() and value is not None:
            future.set_result(json.loads(value))


@contextlib.asynccontextmanager
async def kafka(places: Places) -> AsyncIterator[Kafka]:
    """A Kafka channel, closed at the end."""
    channel = Kafka(places)
    await channel.start()
    try:
        yield channel
    finally:
        await channel.stop()
