"""Holds that nobody ended are released by themselves, once, and by the lane's own order."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared import clock
from shared.contracts import topics
from shared.contracts.commands import Command, decode
from shared.contracts.kinds import Kind, Reason
from shared.lanes import lane_of
from shared.signing import ChainKeys
from tests.support import LANES, Recorder, eventually, started
from tests.wallet_service.client import Client
from tests.wallet_service.support import CHAIN_KEYS, command, decide
from wallet_service.app import create_app
from wallet_service.handlers import expiry
from wallet_service.handlers.expiry import Expiry
from wallet_service.repository import Reads
from wallet_service.settings import Settings

pytestmark = pytest.mark.integration

KEYS = ChainKeys.parse(CHAIN_KEYS)
USER = 42


def hold(amount_minor: int, until_s: float, **fields: object) -> Command:
    """A hold that expires so many seconds from now."""
    until = clock.utc_now() + timedelta(seconds=until_s)
    return command(Kind.WITHDRAWAL_HOLD, amount_minor, USER, until=until, **fields)


async def decided(engine: AsyncEngine, *commands: Command) -> list[tuple[str, str | None]]:
    rows = await decide(engine, commands, LANES, KEYS)
    return [(row.content.status, row.content.reason) for row in rows]


def sent(topic: Recorder) -> list[Command]:
    assert {name for name, *_ in topic.sent} <= {topics.WALLET_COMMANDS}
    return [decode(value) for _, _, value, _, _ in topic.sent]


async def test_what_is_left_of_an_expired_hold_is_released(engine: AsyncEngine, reads: Reads) -> None:
    topic = Recorder()
    await decided(engine, command(Kind.DEPOSIT, 1000, USER), hold(600, -1, reference_id="w-1"))
    await decided(engine, command(Kind.WITHDRAWAL_CAPTURE, 200, USER, reference_id="w-1"))
    assert await Expiry(topic, reads).look() == 1
    (release,) = sent(topic)
    assert (release.kind, release.amount_minor, release.reference_id) == (Kind.WITHDRAWAL_RELEASE, 400, "w-1")
    assert topic.sent[0][1] == str(USER).encode()
    assert await decided(engine, release) == [("posted", None)]
    assert [(row.cash, row.reserved) for row in await reads.balances(lane_of(USER, LANES), USER)] == [(800, 0)]
    assert await Expiry(topic, reads).look() == 0


async def test_a_hold_whose_time_is_not_over_stays(engine: AsyncEngine, reads: Reads) -> None:
    topic = Recorder()
    await decided(engine, command(Kind.DEPOSIT, 1000, USER), hold(600, 60))
    assert await Expiry(topic, reads).look() == 0
    assert topic.sent == []


async def test_whoever_looks_sends_the_same_command(engine: AsyncEngine, reads: Reads) -> None:
    first, second = Recorder(), Recorder()
    await decided(engine, command(Kind.DEPOSIT, 1000, USER), hold(600, -1))
    await Expiry(first, reads).look()
    await Expiry(second, reads).look()
    (one,), (other,) = sent(first), sent(second)
    assert one.command_id == other.command_id
    assert await decided(engine, one, other) == [("posted", None)]


async def test_a_capture_that_came_first_wins(engine: AsyncEngine, reads: Reads) -> None:
    topic = Recorder()
    await decided(engine, command(Kind.DEPOSIT, 1000, USER), hold(600, -1, reference_id="w-1"))
    await Expiry(topic, reads).look()
    (release,) = sent(topic)
    capture = command(Kind.WITHDRAWAL_CAPTURE, 600, USER, reference_id="w-1")
    assert await decided(engine, capture, release) == [("posted", None), ("refused", Reason.HOLD_CLOSED)]


async def test_after_a_partial_capture_in_between_the_rest_is_released_by_another_command(
    engine: AsyncEngine, reads: Reads
) -> None:
    topic = Recorder()
    await decided(engine, command(Kind.DEPOSIT, 1000, USER), hold(600, -1, reference_id="w-1"))
    await Expiry(topic, reads).look()
    capture = command(Kind.WITHDRAWAL_CAPTURE, 200, USER, reference_id="w-1")
    (late,) = sent(topic)
    assert await decided(engine, capture, late) == [("posted", None), ("refused", Reason.HOLD_EXCEEDED)]
    await Expiry(topic, reads).look()
    assert await decided(engine, sent(topic)[1]) == [("posted", None)]


async def test_in_a_running_wallet_it_happens_by_itself(
    settings: Settings, client: Client, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "LOOK_EVERY_S", 0.1)
    async with started(create_app(settings)):
        await client.ask(command(Kind.DEPOSIT, 1000, USER))
        await client.ask(hold(600, 1))

        async def released() -> bool:
            balances = await reads.balances(lane_of(USER, LANES), USER)
            return [(row.cash, row.reserved) for row in balances] == [(1000, 0)]

        await eventually(released)
