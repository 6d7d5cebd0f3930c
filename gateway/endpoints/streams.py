"""Progress of what takes longer than a request, as server-sent events."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from time import monotonic

import orjson
from fastapi import Response
from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse

from gateway.domain.fraud import progress
from shared.contracts.fraud import JobView
from shared.errors import RateLimited, TransientError

LOOK_EVERY_S = 0.5
# A client that wants more connects again; so does an EventSource, by itself.
LONGEST_S = 300.0
MOST_AT_ONCE = 100
MEDIA_TYPE = "text/event-stream"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_ALIVE = b": alive\n\n"

Look = Callable[[], Awaitable[JobView]]


class Streams:
    """The streams of this process, of which there is a bounded number, each of a bounded length."""

    def __init__(self) -> None:
        self._open = 0

    async def follow(self, look: Look) -> Response:
        """A job's `progress`, whenever it moved, and at its end `finished`. Raises NotFound, RateLimited."""
        if self._open >= MOST_AT_ONCE:
            raise RateLimited(1)
        job = await look()
        return StreamingResponse(self._events(job, look), media_type=MEDIA_TYPE, headers=_HEADERS)

    async def _events(self, job: JobView, look: Look) -> AsyncIterator[bytes]:
        self._open += 1
        try:
            until = monotonic() + LONGEST_S
            yield _event(job)
            while job.finished_at is None and monotonic() < until:
                await asyncio.sleep(LOOK_EVERY_S)
                before = job
                # While the service that works on it is away, the job is not lost.
                with suppress(TransientError):
                    job = await look()
                yield _ALIVE if job == before else _event(job)
        finally:
            self._open -= 1


def _event(job: JobView) -> bytes:
    name = "progress" if job.finished_at is None else "finished"
    return format_sse_event(data_str=orjson.dumps(progress(job)).decode(), event=name)
