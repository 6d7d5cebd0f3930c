"""Structured logs: one JSON object a line on standard output (or coloured text for a person)."""

import logging
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal

import structlog

from shared import cards
from shared.contracts import headers

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord


def configure(service: str, level: str, fmt: Literal["json", "console"]) -> None:
    """Send structlog's and the standard library's records to standard output in one form. Call once, at start."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if fmt == "json" else structlog.dev.ConsoleRenderer()
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer, _without_cards],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # uvicorn brings handlers of its own, which would print every line a second time.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    # aiokafka tells of each reconnect attempt, httpx2 and stripe of each request, alembic of each look at a schema's
    # version (each readiness check is one); their warnings are enough.
    for name in ("aiokafka", "httpx2", "stripe", "alembic"):
        logging.getLogger(name).setLevel(max(logging.getLevelName(level), logging.WARNING))
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(service=service)


def _without_cards(logger: object, method: str, line: object) -> str:
    return cards.redact(str(line))


def about(records: "Sequence[ConsumerRecord]") -> AbstractContextManager[Any]:
    """Lines that are logged meanwhile carry the correlation id of the record in hand, and its trace's, if it has one.

    A batch of several has an id of its own: where its first record stands.
    """
    first = records[0]
    found = {"correlation_id": f"{first.topic}-{first.partition}-{first.offset}"}
    if len(records) == 1:
        own = {
            "correlation_id": headers.correlation_id(first.headers),
            "trace_id": headers.trace_id(headers.find(first.headers, headers.TRACEPARENT)),
        }
        found |= {name: value for name, value in own.items() if value is not None}
    return structlog.contextvars.bound_contextvars(**found)


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger. The first argument of a call is a machine name of what happened, such as `batch_applied`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
