"""An application's background tasks."""

import asyncio

import pytest

from shared import tasks
from shared.tasks import BackgroundTasks


async def for_ever() -> None:
    await asyncio.Event().wait()


async def at_once() -> None:
    pass


async def failing() -> None:
    raise RuntimeError("a secret that no health answer shows")


async def settled() -> None:
    """Let every task that can run come to its end."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_tasks_that_run_are_no_problem() -> None:
    background = BackgroundTasks()
    background.start("one", for_ever())
    background.start("two", for_ever())
    await settled()
    assert background.problem() is None
    await background.stop()


async def test_a_task_that_dies_is_named_with_its_error_and_without_its_text() -> None:
    background = BackgroundTasks()
    background.start("lives", for_ever())
    background.start("dies", failing())
    await settled()
    assert background.problem() == "dies: died of RuntimeError"
    await background.stop()


async def test_a_task_that_ends_by_itself_is_a_problem_too() -> None:
    background = BackgroundTasks()
    background.start("ends", at_once())
    await settled()
    assert background.problem() == "ends: ended by itself"
    await background.stop()


async def test_stop_lets_each_task_clean_up() -> None:
    cleaned = []

    async def careful() -> None:
        try:
            await for_ever()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    background = BackgroundTasks()
    background.start("careful", careful())
    await settled()
    await background.stop()
    assert cleaned == [True]


async def test_stop_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "STOP_TIMEOUT_S", 0.05)
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    background = BackgroundTasks()
    background.start("stubborn", stubborn())
    await settled()
    async with asyncio.timeout(2):
        await background.stop()
    release.set()
    await settled()


async def test_stop_without_tasks_is_nothing() -> None:
    await BackgroundTasks().stop()


async def test_a_name_is_for_one_task_alone() -> None:
    background = BackgroundTasks()
    background.start("name", for_ever())
    second = for_ever()
    with pytest.raises(AssertionError, match="name"):
        background.start("name", second)
    second.close()
    await background.stop()
