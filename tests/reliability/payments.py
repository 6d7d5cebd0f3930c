"""What the reliability test of payments stands on: a door before several instances, and players who pay."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from uuid import UUID

import httpx2

from tests.reliability.support import Service
from tests.support import TOKEN

PLAYERS = range(1, 41)
AT_ONCE = 8
# All may be down at once, and take their time to be back on a busy machine.
TRIES = 300
SIGNED = (
    *("stripe-signature", "paypal-transmission-id", "paypal-transmission-time"),
    *("paypal-transmission-sig", "paypal-cert-url", "paypal-auth-algo"),
)
INSTRUMENTS = (None, "tok_a", "tok_b", "tok_waiting")
INTERNAL = {"Authorization": f"Bearer {TOKEN}"}


class Door:
    """Where webhooks come in: at whichever instance answers. The fraud service too, which knows nobody."""

    def __init__(self) -> None:
        self.instances: Sequence[Service] = ()
        # By the status that a webhook was answered with.
        self.webhooks: Counter[int] = Counter()
        self._lock = Lock()
        self._client = httpx2.Client(trust_env=False, headers=INTERNAL)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def open(self) -> Iterator[None]:
        """Serve for the length of the block."""
        thread = Thread(target=self._server.serve_forever, args=(0.1,))
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()
            self._client.close()

    def pass_on(self, headers: dict[str, str], body: bytes) -> int:
        """A webhook, to the first instance that answers."""
        status = 503
        for instance in random.sample(self.instances, len(self.instances)):
            try:
                url = f"{instance.url}/webhooks/sandbox"
                status = self._client.post(url, content=body, headers=headers).status_code
                break
            except httpx2.TransportError:
                continue
        with self._lock:
            self.webhooks[status] += 1
        return status

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        door = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                signed = {name: value for name, value in self.headers.items() if name.lower().endswith(SIGNED)}
                self._answer(door.pass_on(signed | {"Content-Type": "application/json"}, body))

            def do_GET(self) -> None:
                self._answer(404)

            def _answer(self, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """A test's output has no room for it."""

        return Handler


class Payers:
    """Players who pay in and out, ask again when they hear nothing, and some of them twice at once."""

    def __init__(self, instances: Sequence[Service], seed: int) -> None:
        self._instances = instances
        self._draw = random.Random(seed)
        self.asked: set[UUID] = set()

    async def pay(self, count: int) -> None:
        """So many payments, a few at a time."""
        left = iter(range(count))
        async with httpx2.AsyncClient(trust_env=False, headers=INTERNAL, timeout=30) as client:

            async def one_after_another() -> None:
                for _ in left:
                    await self._pay(client)

            await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))

    async def _pay(self, client: httpx2.AsyncClient) -> None:
        draw = self._draw
        payment_id, user_id = UUID(int=draw.getrandbits(128), version=4), draw.choice(PLAYERS)
        self.asked.add(payment_id)
        body = {
            "payment_id": str(payment_id),
            "user_id": user_id,
            "amount_minor": draw.randint(1, 5000),
            "currency": draw.choice(("USD", "EUR", "JPY")),
            "provider": "sandbox",
            "method": draw.choice(("card", "paypal")),
            "instrument": draw.choice(INSTRUMENTS),
            "actor": str(user_id),
        }
        path = draw.choice(("/payments/deposits", "/payments/deposits", "/payments/withdrawals"))
        times = 2 if draw.random() < 0.1 else 1
        await asyncio.gather(*(self._until_answered(client, path, body) for _ in range(times)))

    async def _until_answered(self, client: httpx2.AsyncClient, path: str, body: dict[str, Any]) -> None:
        for _ in range(TRIES):
            try:
                response = await client.post(self._draw.choice(self._instances).url + path, json=body)
            except httpx2.TransportError:
                await asyncio.sleep(0.2)
                continue
            if response.status_code == 503:
                await asyncio.sleep(0.2)
                continue
            assert response.status_code == 200, response.text
            return
        raise AssertionError(f"{path} was not answered in {TRIES} tries")
