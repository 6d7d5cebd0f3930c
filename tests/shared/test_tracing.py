"""Traces: off at no cost; on, each record's span is in its sender's trace, and a batch is linked to all of them."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2
import pytest
from aiokafka import ConsumerRecord
from fastapi import APIRouter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shared import logs, tracing
from shared.broker import BrokerOptions, Publisher
from shared.contracts import topics
from shared.contracts.headers import CORRELATION_ID, TRACEPARENT, Headers, find
from shared.journal import internal_client
from shared.service import Health, application
from shared.settings import ServiceSettings
from shared.subscriber import handling
from shared.telemetry import Metrics
from shared.tracing import OFF, Tracing
from shared.tracing.recording import Recording
from tests.collector import collecting
from tests.support import TOKEN

APPS = ("gateway", "wallet_service", "fraud_service", "compliance_service", "payments_service", "metrics_service")
ONE, OTHER = "1" * 32, "2" * 32
NOBODY = BrokerOptions("127.0.0.1:1", "test", "", idempotent_producer=True)


def context(trace: str, *, sampled: bool = True) -> str:
    return f"00-{trace}-{'a' * 16}-{'01' if sampled else '00'}"


def record(offset: int, traceparent: str | None = None, *more: tuple[str, bytes]) -> ConsumerRecord:
    """A record on a command lane, as it is read."""
    found = [*more] if traceparent is None else [(TRACEPARENT, traceparent.encode()), *more]
    return ConsumerRecord(topics.WALLET_COMMANDS, 3, offset, 0, 0, b"42", b"{}", None, 2, 2, tuple(found))


def settings(**more: Any) -> ServiceSettings:
    return ServiceSettings.load(kafka_bootstrap_servers="127.0.0.1:1", internal_api_token=TOKEN, **more)


class Traced:
    """Traces that are kept here."""

    def __init__(self, ratio: float = 1.0) -> None:
        self._kept = InMemorySpanExporter()
        self.tracing = Recording("test", self._kept, ratio)
        self.metrics = Metrics(self.tracing)

    async def spans(self) -> dict[str, ReadableSpan]:
        """Those that have ended, by name; nothing is recorded after that."""
        await self.tracing.stop()
        return {span.name: span for span in self._kept.get_finished_spans()}

    async def of_batch(
        self, records: Sequence[ConsumerRecord], topic: str = topics.WALLET_COMMANDS
    ) -> list[ReadableSpan]:
        """The spans of one batch."""
        with self.tracing.batch(topic, records):
            pass
        await self.tracing.stop()
        return list(self._kept.get_finished_spans())


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def traceparent(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"00-{trace_of(span)}-{own(span):016x}-{span.context.trace_flags:02x}"


def linked(span: ReadableSpan) -> set[int]:
    return {link.context.span_id for link in span.links}


def own(span: ReadableSpan) -> int:
    found = span.get_span_context()
    assert found is not None
    return found.span_id


class TestOff:
    @pytest.mark.slow
    def test_without_an_endpoint_there_are_none_and_no_service_loads_the_sdk(self) -> None:
        assert tracing.of(settings(), "test") is OFF
        script = (
            f"import sys\nimport {', '.join(f'{app}.app' for app in APPS)}\n"
            "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
        )
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
        assert ran.stdout == "[]\n"

    async def test_a_record_is_sent_and_taken_as_it_is(self) -> None:
        sent = FakeProducer()
        headers: Headers = [("ce_id", b"1")]

        await sent.publisher(OFF).send("topic", key=b"", value=b"", headers=headers)
        with OFF.batch("topic", [record(1, context(ONE))]), OFF.within("part"), OFF.request({}) as answered:
            answered("GET", "/", 200)

        assert sent.headers is headers
        assert not OFF.holds(record(1, context(ONE)))
        assert OFF.here() is None

    def test_what_is_off_costs_nothing_to_speak_of(self) -> None:
        batch = [record(offset, context(ONE)) for offset in range(500)]
        began = time.process_time()
        for _ in range(1000):
            with OFF.batch(topics.WALLET_COMMANDS, batch):
                pass

        # A thousand batches of five hundred: whatever looked at each record would take a hundred times as long.
        assert time.process_time() - began < 0.1


class FakeProducer:
    """aiokafka's producer, as far as one record goes."""

    def __init__(self) -> None:
        self.headers: Headers | None = None
        self.delivery: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.fails = False

    async def send(self, topic: str, *, headers: Headers, **_: object) -> "asyncio.Future[None]":
        if self.fails:
            raise TimeoutError
        self.headers = headers
        return self.delivery

    def publisher(self, tracing: Tracing) -> Publisher:
        publisher = Publisher(NOBODY, tracing=tracing)
        publisher._producer = cast(Any, self)
        return publisher


class TestABatch:
    async def test_each_record_is_in_its_senders_trace_and_the_batch_is_linked_to_all(self) -> None:
        spans = await Traced().of_batch([record(1, context(ONE)), record(2, context(OTHER))])

        first, second = (span for span in spans if span.name == "process wallet.commands.v1")
        (together,) = (span for span in spans if span.name == "batch wallet.commands.v1")
        assert {trace_of(first), trace_of(second)} == {ONE, OTHER}
        assert trace_of(together) not in (ONE, OTHER)
        assert linked(together) == {own(first), own(second)}
        assert linked(first) == linked(second) == {own(together)}
        assert first.parent is not None
        assert f"{first.parent.span_id:016x}" == "a" * 16
        assert (together.attributes or {})["messaging.batch.message_count"] == 2

    async def test_what_is_not_recorded_at_its_beginning_is_not_recorded_here(self) -> None:
        assert await Traced().of_batch([record(1, context(ONE, sampled=False))]) == []

    async def test_a_batch_is_recorded_for_the_one_record_whose_trace_is(self) -> None:
        spans = await Traced(ratio=0.0).of_batch([record(1, context(ONE, sampled=False)), record(2, context(OTHER))])

        assert {span.name for span in spans} == {"process wallet.commands.v1", "batch wallet.commands.v1"}

    @pytest.mark.parametrize(
        ("topic", "begins"), [(topics.WALLET_COMMANDS, True), (topics.GAME_ROUNDS, True), (topics.LEDGER_EVENTS, False)]
    )
    async def test_a_clients_record_begins_a_trace_and_an_event_without_one_does_not(
        self, topic: str, begins: bool
    ) -> None:
        assert bool(await Traced().of_batch([record(1)], topic)) == begins

    @pytest.mark.parametrize("nonsense", ["", "1", "00-" + "0" * 32 + "-" + "a" * 16 + "-01", "ff" * 40])
    async def test_nonsense_for_a_trace_harms_nothing(self, nonsense: str) -> None:
        spans = await Traced().of_batch([record(1, nonsense)])

        assert {span.name for span in spans} in (set(), {"process wallet.commands.v1", "batch wallet.commands.v1"})

    async def test_a_step_goes_on_in_the_records_trace_and_so_does_what_follows(self) -> None:
        traced = Traced()
        command = record(1, context(ONE))
        began_ns = time.time_ns()
        with traced.tracing.batch(topics.WALLET_COMMANDS, [command]):
            assert traced.tracing.holds(command)
            follows = traced.tracing.step(command, "ledger commit", began_ns, {"langsense.lane": 3})
        assert not traced.tracing.holds(command)

        spans = await traced.spans()
        commit, received = spans["ledger commit"], spans["process wallet.commands.v1"]
        assert follows == traceparent(commit)
        assert commit.parent is not None
        assert commit.parent.span_id == own(received)
        assert commit.start_time == began_ns

    async def test_what_fails_is_marked_by_its_type_alone(self) -> None:
        traced = Traced()
        with pytest.raises(ValueError, match="secret"), traced.tracing.batch("topic", [record(1, context(ONE))]):
            raise ValueError("a secret of a player")

        for span in (await traced.spans()).values():
            assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
            assert "secret" not in span.to_json()

    async def test_a_part_is_of_what_is_traced_and_begins_nothing(self) -> None:
        traced = Traced()
        with traced.tracing.within("nobody asked"):
            pass
        with traced.tracing.batch("topic", [record(1, context(ONE))]), traced.tracing.within("transaction"):
            pass

        spans = await traced.spans()
        assert set(spans) == {"process topic", "batch topic", "transaction"}
        assert trace_of(spans["transaction"]) == trace_of(spans["batch topic"])


class TestSending:
    async def test_a_record_carries_the_trace_of_what_it_was_sent_from(self) -> None:
        traced, producer = Traced(), FakeProducer()
        with traced.tracing.batch("topic", [record(1, context(ONE))]):
            await producer.publisher(traced.tracing).send("out", key=b"", value=b"", headers=[("ce_id", b"1")])
        producer.delivery.set_result(None)
        await asyncio.sleep(0)

        spans = await traced.spans()
        sent = spans["send out"]
        assert sent.kind is SpanKind.PRODUCER
        assert trace_of(sent) == trace_of(spans["batch topic"])
        assert find(producer.headers or [], TRACEPARENT) == traceparent(sent)

    async def test_one_that_names_its_trace_stays_as_it_is(self) -> None:
        traced, producer = Traced(), FakeProducer()
        headers: Headers = [(TRACEPARENT, context(ONE).encode())]

        await producer.publisher(traced.tracing).send("out", key=b"", value=b"", headers=headers)

        assert producer.headers is headers
        assert await traced.spans() == {}

    async def test_one_that_is_not_taken_or_not_delivered_is_marked(self) -> None:
        traced, producer = Traced(), FakeProducer()
        publisher = producer.publisher(traced.tracing)
        await publisher.send("lost", key=b"", value=b"", headers=[])
        producer.delivery.set_exception(TimeoutError())
        await asyncio.sleep(0)
        producer.fails = True
        with pytest.raises(Exception, match="within the bound"):
            await publisher.send("refused", key=b"", value=b"", headers=[])

        spans = await traced.spans()
        assert spans["send lost"].status.description == "TimeoutError"
        assert spans["send refused"].status.description == "BrokerUnavailable"


Asking = Callable[..., Any]


@asynccontextmanager
async def serving(metrics: Metrics, ask: Asking) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application whose endpoints call `ask`."""
    api = APIRouter()

    @api.get("/players/{number}")
    async def players(number: int) -> None:
        await ask()

    @asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[None]:
        yield

    app = application(
        "test", settings(), health=Health(), metrics=metrics, lifespan=cast(Any, lifespan), routers=(api,)
    )
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


async def nothing() -> None: ...


class TestARequest:
    async def test_it_goes_on_with_the_trace_that_it_names(self) -> None:
        traced = Traced()
        async with serving(traced.metrics, nothing) as client:
            await client.get("/players/42?name=Zebulon", headers={TRACEPARENT: context(ONE)})

        ((name, span),) = (await traced.spans()).items()
        assert (name, trace_of(span), span.kind) == ("GET /players/{number}", ONE, SpanKind.SERVER)
        assert "42" not in str(dict(span.attributes or {}))
        assert "Zebulon" not in span.to_json()

    async def test_a_fault_is_marked_and_looks_of_machines_are_not_traced(self) -> None:
        async def fail() -> None:
            raise ZeroDivisionError("a secret")

        traced = Traced()
        async with serving(traced.metrics, fail) as client:
            for path in ("/players/1", "/health/live", "/health/ready", "/metrics"):
                await client.get(path)

        ((_, span),) = (await traced.spans()).items()
        assert span.status.status_code is StatusCode.ERROR
        assert (span.attributes or {})["http.response.status_code"] == 500
        assert "a secret" not in span.to_json()

    async def test_who_is_asked_hears_of_the_trace_and_of_the_correlation(self) -> None:
        traced = Traced()
        heard: list[httpx2.Headers] = []

        async def ask() -> None:
            async with internal_client("http://inner", "a-token", traced.tracing) as inner:
                request = inner.build_request("GET", "/")
                for hook in inner.event_hooks["request"]:
                    await hook(request)
                heard.append(request.headers)

        async with serving(traced.metrics, ask) as client:
            await client.get("/players/1", headers={TRACEPARENT: context(ONE), "X-Request-ID": "find-me"})
        await ask()

        (span,) = (await traced.spans()).values()
        assert heard[0][TRACEPARENT] == traceparent(span)
        assert heard[0]["x-request-id"] == "find-me"
        # What nobody asked for begins no trace elsewhere.
        assert heard[1][TRACEPARENT].endswith("-00")
        assert "x-request-id" not in heard[1]


class TestExport:
    async def test_spans_reach_a_collector_when_the_service_stops(self) -> None:
        with collecting() as collector:
            traces = tracing.of(settings(otel_exporter_otlp_endpoint=collector.endpoint), "a_service")
            metrics = Metrics(traces)
            with traces.batch(topics.WALLET_COMMANDS, [record(1, context(ONE))]):
                pass
            await traces.stop()

        (received,) = collector.of(ONE)
        assert (received.service, received.name) == ("a_service", "process wallet.commands.v1")
        (together,) = collector.named("a_service", "batch wallet.commands.v1")
        assert together.links == {received.span.span_id}
        assert spans_counted(metrics) == {"ended": 2, "exported": 2}

    async def test_a_collector_that_is_away_costs_spans_and_nothing_else(self) -> None:
        traces = tracing.of(settings(otel_exporter_otlp_endpoint="http://127.0.0.1:1"), "a_service")
        metrics = Metrics(traces)
        began = time.monotonic()
        with traces.batch(topics.WALLET_COMMANDS, [record(1, context(ONE))]):
            pass
        assert time.monotonic() - began < 1
        await traces.stop()

        assert time.monotonic() - began < 60
        assert spans_counted(metrics) == {"ended": 2, "failed": 2}

    @pytest.mark.parametrize("ratio", [0.0, 0.25, 1.0])
    async def test_a_share_of_what_begins_here_is_recorded(self, ratio: float) -> None:
        spans = await Traced(ratio).of_batch([record(offset) for offset in range(400)])

        recorded = sum(span.name == "process wallet.commands.v1" for span in spans)
        assert abs(recorded / 400 - ratio) < 0.15


def spans_counted(metrics: Metrics) -> dict[str, float]:
    (family,) = (each for each in metrics.registry.collect() if each.name == "langsense_spans")
    return {sample.labels["outcome"]: sample.value for sample in family.samples if sample.name.endswith("_total")}


class TestLogs:
    @pytest.fixture
    def lines(self, capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
        """What was logged since."""

        def read() -> list[dict[str, Any]]:
            found = (line for line in capsys.readouterr().out.splitlines() if line.startswith("{"))
            return [json.loads(line) for line in found]

        return read

    async def test_a_line_within_a_request_names_it_and_its_trace(
        self, lines: Callable[[], list[dict[str, Any]]]
    ) -> None:
        async def say() -> None:
            logs.get("test").info("asked")
            raise ZeroDivisionError

        with_traces = Traced()
        for metrics in (Metrics(), with_traces.metrics):
            async with serving(metrics, say) as client:
                logs.configure("a_service", "INFO", "json")
                await client.get("/players/1", headers={TRACEPARENT: context(ONE), "X-Request-ID": "find-me"})
        await with_traces.tracing.stop()

        said = [line for line in lines() if line["event"] in ("asked", "request_failed")]
        assert [(line["correlation_id"], line["trace_id"]) for line in said] == [("find-me", ONE)] * 4

    def test_a_line_about_one_record_names_it_and_one_about_several_names_the_batch(
        self, lines: Callable[[], list[dict[str, Any]]]
    ) -> None:
        one = record(1, context(ONE), (CORRELATION_ID, b"request-1.0"))
        odd = record(2, None, (CORRELATION_ID, b"a name with spaces"))
        logs.configure("a_service", "INFO", "json")
        for batch in ([one], [odd], [odd, one]):
            with handling(topics.WALLET_COMMANDS, batch, Metrics()):
                logs.get("test").info("taken")

        assert [(line["correlation_id"], line.get("trace_id")) for line in lines() if line["event"] == "taken"] == [
            ("request-1.0", ONE),
            ("wallet.commands.v1-3-2", None),
            ("wallet.commands.v1-3-2", None),
        ]

    async def test_a_batch_that_is_traced_is_named_by_its_trace(
        self, lines: Callable[[], list[dict[str, Any]]]
    ) -> None:
        traced = Traced()
        logs.configure("a_service", "INFO", "json")
        with handling(topics.WALLET_COMMANDS, [record(1, context(ONE)), record(2, context(OTHER))], traced.metrics):
            logs.get("test").info("taken")

        (line,) = (line for line in lines() if line["event"] == "taken")
        assert line["trace_id"] == trace_of((await traced.spans())["batch wallet.commands.v1"])
