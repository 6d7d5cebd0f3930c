"""Traces: one for what a request sets off, from the door through Kafka to the ledger's commit and all who hear of it.

Off, unless OTEL_EXPORTER_OTLP_ENDPOINT says where they go. What is here then does nothing, and OpenTelemetry's SDK is
not even loaded. Where much would be done for each message, ask `on` first.
"""

from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any, Final

from aiokafka import ConsumerRecord
from prometheus_client import Counter
from starlette.types import Scope

from shared.contracts.headers import Headers
from shared.settings import ServiceSettings

# Method, route and status of a request that was answered.
Answered = Callable[[str, str, int], None]
Attributes = Mapping[str, str | int]

NO_ATTRIBUTES: Final[Attributes] = {}


class Sending:
    """A record on its way to Kafka, with the headers that it goes with."""

    def __init__(self, headers: Headers) -> None:
        self.headers = headers

    def follow(self, delivery: "Future[Any]") -> None:
        """Its way ends with its delivery."""


class Tracing:
    """No traces. `shared.tracing.recording` has those that are recorded.

    Names and attributes hold kinds, lanes, positions, counts and ids that are ours: nothing that a client wrote.
    """

    on: bool = False

    def counted_by(self, spans: Counter) -> None:
        """Count there what becomes of spans: `ended`, then `exported` or `failed`; the rest is lost."""

    async def stop(self) -> None:
        """Send off what is not sent yet, within a bound."""

    def request(self, scope: Scope) -> AbstractContextManager[Answered]:
        """Around an HTTP request, which belongs to the trace that its `traceparent` names, or begins one."""
        return nullcontext(unseen)

    def batch(self, topic: str, records: Sequence[ConsumerRecord]) -> AbstractContextManager[None]:
        """Around a batch of records: a span of each, in the trace of its sender, and one of all, linked to each."""
        return nullcontext()

    def within(self, name: str, attributes: Attributes = NO_ATTRIBUTES) -> AbstractContextManager[None]:
        """Around a part of what is traced already. It begins no trace."""
        return nullcontext()

    def holds(self, record: ConsumerRecord) -> bool:
        """Whether a record of the batch in hand belongs to a trace that is recorded."""
        return False

    def step(
        self,
        record: ConsumerRecord,
        name: str,
        began_ns: int,
        attributes: Attributes = NO_ATTRIBUTES,
        *,
        sends: bool = False,
    ) -> str:
        """What was done for a record that is held, from `began_ns` (since 1970) until now: something was sent, or not.

        Returns the `traceparent` for what follows from it.
        """
        raise LookupError("no record is held")

    def sending(self, topic: str, headers: Headers) -> AbstractContextManager[Sending]:
        """Around the sending of one record. Headers that name a trace already stay as they are."""
        return nullcontext(Sending(headers))

    def here(self) -> str | None:
        """The `traceparent` for whoever is asked from here; None where there are no traces."""
        return None


OFF: Final = Tracing()


def of(settings: ServiceSettings, service: str) -> Tracing:
    """The traces of one application, as its settings want them."""
    if not settings.otel_exporter_otlp_endpoint:
        return OFF
    # Loading the SDK takes a service a third of a second, which only those pay who want traces.
    recording: Tracing = import_module("shared.tracing.recording").exported(settings, service)
    return recording


def unseen(method: str, route: str, status: int) -> None:
    """Nothing is told of the request."""
