"""Traces that are recorded, by OpenTelemetry's SDK, and sent by OTLP over HTTP from a thread beside the event loop.

A batch belongs to many traces. So each of its records has a span in the trace of whoever sent it, and the batch has one
of its own, in a trace of its own, with a link to each of them and from each.
"""

import asyncio
from asyncio import Future
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import structlog
from aiokafka import ConsumerRecord
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    StatusCode,
    TraceState,
    get_current_span,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes as SpanAttributes
from prometheus_client import Counter
from starlette.types import Scope

from shared import logs
from shared.contracts import topics
from shared.contracts.headers import TRACEPARENT, Headers, find
from shared.settings import ServiceSettings
from shared.tracing import NO_ATTRIBUTES, Answered, Attributes, Sending, Tracing, unseen

log = logs.get(__name__)

STOP_TIMEOUT_S = 5.0
EXPORT_TIMEOUT_S = 5.0
EXPORT_EVERY_MS = 1_000
EXPORT_SPANS = 512
# Above it spans are lost, and counted; a span is about two kilobytes.
MAX_QUEUE_SPANS = 8_192
MAX_LINKS = 1_000

# Machines look at them every few seconds.
_UNTRACED = ("/health/live", "/health/ready", "/metrics")
# What clients write. Any other record without a trace follows from something that is not recorded.
_BEGINNINGS = frozenset({topics.WALLET_COMMANDS, topics.GAME_ROUNDS})
# The last digit of a `traceparent`, where the flag of a recorded trace is not set.
_NOT_RECORDED = frozenset("02468ace")
_SYSTEM = "messaging.system"
_TOPIC = "messaging.destination.name"
_PROPAGATOR = TraceContextTextMapPropagator()

Place = tuple[str, int, int]
Count = Callable[[str, int], None]


def exported(settings: ServiceSettings, service: str) -> Tracing:
    """Traces that go to OTEL_EXPORTER_OTLP_ENDPOINT, with headers and keys from OpenTelemetry's variables."""
    exporter = OTLPSpanExporter(
        endpoint=f"{settings.otel_exporter_otlp_endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_TIMEOUT_S
    )
    return Recording(service, exporter, settings.otel_traces_sampler_arg)


class Recording(Tracing):
    """Traces of which a share is recorded: of those that begin here, `ratio`; of others, as their beginning has it."""

    on = True

    def __init__(self, service: str, exporter: SpanExporter, ratio: float) -> None:
        self._provider = TracerProvider(
            sampler=ParentBased(_Share(ratio)),
            resource=Resource.create({SERVICE_NAME: service}),
            span_limits=SpanLimits(max_links=MAX_LINKS),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(_Queue(exporter, self._count))
        self._tracer = self._provider.get_tracer("langsense")
        self._in_hand: dict[Place, Span] = {}
        self._spans: Counter | None = None

    def counted_by(self, spans: Counter) -> None:
        self._spans = spans

    async def stop(self) -> None:
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await asyncio.to_thread(self._provider.shutdown)
        except TimeoutError:
            log.warning("spans_left_behind")

    @contextmanager
    def request(self, scope: Scope) -> Iterator[Answered]:
        if scope["path"].endswith(_UNTRACED):
            yield unseen
            return
        given = dict(scope["headers"]).get(TRACEPARENT.encode(), b"").decode("latin-1")
        with self._current(self._tracer.start_span("request", context=_context(given), kind=SpanKind.SERVER)) as span:
            yield partial(_answered, span)

    @contextmanager
    def batch(self, topic: str, records: Sequence[ConsumerRecord]) -> Iterator[None]:
        spans = {_place(record): span for record in records if (span := self._received(topic, record)) is not None}
        if not spans:
            yield
            return
        self._in_hand |= spans
        together = self._tracer.start_span(
            f"batch {topic}",
            context=Context(),
            kind=SpanKind.CONSUMER,
            links=[Link(span.get_span_context()) for span in spans.values()],
            attributes={_SYSTEM: "kafka", _TOPIC: topic, "messaging.batch.message_count": len(records)},
        )
        for span in spans.values():
            span.add_link(together.get_span_context())
        try:
            with self._current(together):
                yield
        except BaseException as error:
            for span in spans.values():
                _failed(span, error)
            raise
        finally:
            for place, span in spans.items():
                del self._in_hand[place]
                span.end()

    @contextmanager
    def within(self, name: str, attributes: Attributes = NO_ATTRIBUTES) -> Iterator[None]:
        if not get_current_span().is_recording():
            yield
            return
        with self._current(self._tracer.start_span(name, attributes=attributes)):
            yield

    def holds(self, record: ConsumerRecord) -> bool:
        return _place(record) in self._in_hand

    def step(
        self,
        record: ConsumerRecord,
        name: str,
        began_ns: int,
        attributes: Attributes = NO_ATTRIBUTES,
        *,
        sends: bool = False,
    ) -> str:
        done = self._tracer.start_span(
            name,
            context=set_span_in_context(self._in_hand[_place(record)], Context()),
            kind=SpanKind.PRODUCER if sends else SpanKind.INTERNAL,
            start_time=began_ns,
            attributes=attributes,
        )
        done.end()
        return _text(done)

    @contextmanager
    def sending(self, topic: str, headers: Headers) -> Iterator[Sending]:
        if find(headers, TRACEPARENT) is not None:
            yield Sending(headers)
            return
        attributes = {_SYSTEM: "kafka", _TOPIC: topic}
        span = self._tracer.start_span(f"send {topic}", kind=SpanKind.PRODUCER, attributes=attributes)
        try:
            yield _Sent(headers, span)
        except BaseException as error:
            _failed(span, error)
            span.end()
            raise

    def here(self) -> str:
        span = get_current_span()
        if span.get_span_context().is_valid:
            return _text(span)
        # Asked by nobody's request, such as by a look that repeats itself: no trace begins of it elsewhere.
        ids = self._provider.id_generator
        return f"00-{ids.generate_trace_id():032x}-{ids.generate_span_id():016x}-00"

    def _received(self, topic: str, record: ConsumerRecord) -> Span | None:
        """The span of a record; None where its trace is not recorded."""
        given = find(record.headers, TRACEPARENT)
        if given[-1:] in _NOT_RECORDED if given else topic not in _BEGINNINGS:
            return None
        span = self._tracer.start_span(
            f"process {topic}",
            context=_context(given or ""),
            kind=SpanKind.CONSUMER,
            attributes={
                _SYSTEM: "kafka",
                _TOPIC: topic,
                "messaging.destination.partition.id": str(record.partition),
                "messaging.kafka.offset": record.offset,
            },
        )
        return span if span.is_recording() else None

    def _count(self, outcome: str, spans: int) -> None:
        if self._spans is not None:
            self._spans.labels(outcome).inc(spans)

    @contextmanager
    def _current(self, span: Span) -> Iterator[Span]:
        """What happens meanwhile is part of the span, and lines that are logged name its trace."""
        trace_id = f"{span.get_span_context().trace_id:032x}"
        # An error's text may hold what a user sent; a span tells its type alone.
        with (
            structlog.contextvars.bound_contextvars(trace_id=trace_id),
            use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False),
        ):
            try:
                yield span
            except BaseException as error:
                _failed(span, error)
                raise


class _Sent(Sending):
    """A record on its way, with its span."""

    def __init__(self, headers: Headers, span: Span) -> None:
        super().__init__([*headers, (TRACEPARENT, _text(span).encode())])
        self._span = span

    def follow(self, delivery: "Future[Any]") -> None:
        delivery.add_done_callback(self._ended)

    def _ended(self, delivery: "Future[Any]") -> None:
        error = asyncio.CancelledError() if delivery.cancelled() else delivery.exception()
        if error is not None:
            _failed(self._span, error)
        self._span.end()


class _Share(TraceIdRatioBased):
    """A share of the traces that begin here, and each batch that is linked to a recorded one."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: SpanAttributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if links:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        return super().should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)


class _Queue(BatchSpanProcessor):
    """Spans that wait for their export, counted as they come. One that is full forgets its oldest."""

    def __init__(self, exporter: SpanExporter, count: Count) -> None:
        super().__init__(
            _Counted(exporter, count),
            max_queue_size=MAX_QUEUE_SPANS,
            schedule_delay_millis=EXPORT_EVERY_MS,
            max_export_batch_size=EXPORT_SPANS,
        )
        self._count = count

    def on_end(self, span: ReadableSpan) -> None:
        self._count("ended", 1)
        super().on_end(span)


class _Counted(SpanExporter):
    """An exporter, with a count of what becomes of its spans."""

    def __init__(self, exporter: SpanExporter, count: Count) -> None:
        self._exporter = exporter
        self._count = count

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        self._count("exported" if result is SpanExportResult.SUCCESS else "failed", len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _answered(span: Span, method: str, route: str, status: int) -> None:
    span.update_name(f"{method} {route}")
    span.set_attributes({"http.request.method": method, "http.route": route, "http.response.status_code": status})
    if status >= 500:
        span.set_status(StatusCode.ERROR)


def _failed(span: Span, error: BaseException) -> None:
    span.set_status(StatusCode.ERROR, type(error).__name__)


def _context(traceparent: str) -> Context:
    """The context that a header names; an empty one where it names none."""
    return _PROPAGATOR.extract({TRACEPARENT: traceparent}, Context())


def _text(span: Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _place(record: ConsumerRecord) -> Place:
    return record.topic, record.partition, record.offset
