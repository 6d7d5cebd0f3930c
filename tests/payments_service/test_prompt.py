"""Who asks for a payment hears of it in time, whatever takes longer."""

import asyncio
from contextlib import suppress
from uuid import UUID

import pytest

from payments_service.handlers.prompt import PromptAttendant

PAYMENT = UUID(int=1)


class Attending:
    """An attendant that is done when it is told so."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.attended: list[UUID] = []
        self.woken = 0

    async def attend(self, *payment_ids: UUID) -> None:
        await self.may_end.wait()
        self.attended += payment_ids

    def wake(self) -> None:
        self.woken += 1


class Failing(Attending):
    """An attendant that fails."""

    async def attend(self, *payment_ids: UUID) -> None:
        raise ZeroDivisionError


async def test_what_is_done_in_time_is_waited_for() -> None:
    attending = Attending()
    attending.may_end.set()
    await PromptAttendant(attending, within_s=60).attend(PAYMENT, UUID(int=2))
    assert attending.attended == [PAYMENT, UUID(int=2)]


async def test_what_takes_longer_goes_on_beside() -> None:
    attending = Attending()
    prompt = PromptAttendant(attending, within_s=0)
    await prompt.attend(PAYMENT)
    assert attending.attended == []
    attending.may_end.set()
    await asyncio.gather(*prompt._going)
    assert attending.attended == [PAYMENT]


async def test_what_fails_in_time_is_for_the_one_who_asked() -> None:
    with pytest.raises(ZeroDivisionError):
        await PromptAttendant(Failing(), within_s=60).attend(PAYMENT)


async def test_what_is_under_way_when_the_service_stops_is_left_for_a_loop() -> None:
    attending = Attending()
    prompt = PromptAttendant(attending, within_s=0)
    running = asyncio.create_task(prompt.run())
    await prompt.attend(PAYMENT)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    attending.may_end.set()
    await asyncio.sleep(0)
    assert (attending.attended, prompt._going) == ([], set())


def test_a_word_wakes_the_loops() -> None:
    attending = Attending()
    PromptAttendant(attending).wake()
    assert attending.woken == 1
