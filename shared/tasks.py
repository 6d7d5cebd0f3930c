"""An application's background tasks: named, watched, and ended within a bound."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from shared import logs

log = logs.get(__name__)

STOP_TIMEOUT_S = 5.0


class BackgroundTasks:
    """Loops that run as long as their application does.

    Each is meant to run until it is stopped. One that ends by itself, by an error or not, is dead: give `problem` to
    `Health.alive_while`, so that the application is restarted rather than goes on without it.
    """

    def __init__(self) -> None:
        # asyncio holds its tasks weakly; whoever starts one has to keep it.
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    def start(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine beside everything else. A name is for one task alone."""
        assert name not in self._tasks, name
        task = asyncio.create_task(coroutine, name=name)
        self._tasks[name] = task
        task.add_done_callback(self._ended)

    def problem(self) -> str | None:
        """Which tasks are dead, and of what; None where all live."""
        dead = [f"{name}: {_end_of(task)}" for name, task in self._tasks.items() if task.done()]
        return "; ".join(dead) or None

    async def stop(self) -> None:
        """Cancel all, and wait until they have cleaned up: STOP_TIMEOUT_S at the most."""
        self._stopping = True
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            _, pending = await asyncio.wait(self._tasks.values(), timeout=STOP_TIMEOUT_S)
            for task in pending:
                log.warning("background_task_left_behind", task=task.get_name())

    def _ended(self, task: asyncio.Task[None]) -> None:
        # Looking at the error here also keeps asyncio from reporting it as forgotten.
        error = None if task.cancelled() else task.exception()
        if not self._stopping or error is not None:
            log.error("background_task_died", task=task.get_name(), end=_end_of(task), exc_info=error)


def _end_of(task: asyncio.Task[None]) -> str:
    if task.cancelled():
        return "was cancelled"
    error = task.exception()
    # An error's text may hold what a user sent; health answers name its type alone.
    return "ended by itself" if error is None else f"died of {type(error).__name__}"
