"""Stripe's and PayPal's APIs, as far as payments use them: one server in this process, which keeps what was asked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Answer = tuple[int, dict[str, Any]]


class StandIn:
    """What the providers' servers would answer. Every id is the number of what was made before it."""

    def __init__(self) -> None:
        self.url = ""
        # Stripe's intents and refunds, PayPal's orders and refunds, by their ids.
        self.made: dict[str, dict[str, Any]] = {}
        self._by_key: dict[str, str] = {}

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """What was made of a kind."""
        return [each for each in self.made.values() if each["object"] == kind]

    def answer(self, method: str, path: str, key: str, body: dict[str, Any]) -> Answer:
        """What a request is answered. A key that was used before gets what was made then."""
        if key in self._by_key:
            return 200, self.made[self._by_key[key]]
        match (method, path.strip("/").split("/")):
            case "POST", ["v1", "oauth2", "token"]:
                return 200, {"access_token": "t", "expires_in": 3600}
            case "POST", ["v1", "payment_intents"]:
                money = {"amount": int(body["amount"]), "currency": body["currency"]}
                metadata = {name: body[f"metadata[{name}]"] for name in ("payment_id", "user_id", "confirmed")}
                return 200, self._make(key, "payment_intent", status="processing", metadata=metadata, **money)
            case "POST", ["v1", "refunds"]:
                about = {"payment_intent": body["payment_intent"], "amount": int(body["amount"])}
                return 200, self._make(key, "refund", status="succeeded", **about)
            case "POST", ["v2", "checkout", "orders"]:
                (unit,) = body["purchase_units"]
                capture = {"id": f"CAP{len(self.made)}", "status": "COMPLETED", "amount": unit["amount"]}
                units = [{**unit, "payments": {"captures": [capture]}}]
                return 201, self._make(key, "order", status="COMPLETED", purchase_units=units)
            case "POST", ["v2", "payments", "captures", capture_id, "refund"]:
                return 201, self._make(key, "paypal_refund", status="COMPLETED", capture_id=capture_id, **body)
            case "GET", ["v1", "customer", "disputes"]:
                return 200, {"items": []}
            case "GET", [*_, found] if found in self.made:
                return 200, self.made[found]
        return 404, {"error": {"type": "invalid_request_error", "message": f"{method} {path}"}}

    def _make(self, key: str, kind: str, **members: Any) -> dict[str, Any]:
        found = {"id": f"{kind}_{len(self.made)}", "object": kind, **members}
        self.made[found["id"]] = found
        self._by_key[key] = found["id"]
        return found


@contextmanager
def standing_in() -> Iterator[StandIn]:
    """Serve for the length of the block."""
    there = StandIn()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(there))
    server.daemon_threads = True
    there.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.1,))
    thread.start()
    try:
        yield there
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(there: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            body = json.loads(text) if text.startswith("{") else dict(parse_qsl(text))
            key = self.headers.get("Idempotency-Key") or self.headers.get("PayPal-Request-Id") or ""
            status, answer = there.answer(self.command, urlsplit(self.path).path, key, body)
            told = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *args: Any) -> None:
            """A test's output has no room for it."""

    return Handler
