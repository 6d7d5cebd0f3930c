"""A collector of traces, as OpenTelemetry's protocol has it (OTLP 1.x, protobuf over HTTP), in this process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Seen(NamedTuple):
    """A span as it came, with the service that sent it."""

    service: str
    span: Span

    @property
    def name(self) -> str:
        """The span's name."""
        return self.span.name

    @property
    def trace(self) -> str:
        """The id of its trace, in hex."""
        return self.span.trace_id.hex()

    @property
    def attributes(self) -> dict[str, str | int]:
        """Its attributes, those that are texts or integers."""
        found: dict[str, str | int] = {}
        for each in self.span.attributes:
            kind = each.value.WhichOneof("value")
            found[each.key] = each.value.int_value if kind == "int_value" else each.value.string_value
        return found

    @property
    def links(self) -> set[bytes]:
        """The ids of the spans that it is linked to."""
        return {link.span_id for link in self.span.links}


@dataclass
class Collector:
    """What has come, in the order in which it came."""

    endpoint: str
    seen: list[Seen] = field(default_factory=list)

    def of(self, trace: str) -> list[Seen]:
        """The spans of one trace."""
        return [each for each in self.seen if each.trace == trace]

    def named(self, service: str, name: str) -> list[Seen]:
        """A service's spans of one name."""
        return [each for each in self.seen if (each.service, each.name) == (service, name)]

    def take(self, body: bytes) -> None:
        """Keep what one request brought."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.seen += [Seen(names["service.name"], span) for span in scope.spans]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens, for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
            found.take(self.rfile.read(int(self.headers["content-length"])))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Not to the tests' output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Collector(f"http://127.0.0.1:{server.server_port}")
    listening = threading.Thread(target=server.serve_forever)
    listening.start()
    try:
        yield found
    finally:
        server.shutdown()
        listening.join()
        server.server_close()
