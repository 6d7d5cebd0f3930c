"""Gauges of limits that are met and set aside, which clear with time."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from metrics_service.domain.fold import fold
from metrics_service.handlers.watching import Watching
from metrics_service.repository import totals
from shared import database as databases
from shared.contracts.kinds import Kind, Reason
from shared.telemetry import Metrics
from shared.testing import FakeLedger
from tests.metrics_service.conftest import UTC
from tests.support import LANES

pytestmark = pytest.mark.integration


async def test_they_say_what_was_refused_and_set_aside_lately(engine: AsyncEngine) -> None:
    ledger = FakeLedger(lanes=LANES)
    event = ledger.add(Kind.GAME_BET, 42, reason=Reason.DAILY_LOSS_LIMIT)
    poor = ledger.add(Kind.GAME_BET, 42, reason=Reason.INSUFFICIENT_FUNDS)
    override = ledger.add(Kind.LIMIT_OVERRIDE, 42)
    async with databases.transaction(engine) as connection:
        await totals.save(connection, fold([event, poor, override], UTC))
    metrics = Metrics()

    async def seen(later: timedelta) -> tuple[float | None, float | None]:
        await Watching(engine, UTC, metrics, lambda: event.created_at + later).look()
        read = metrics.registry.get_sample_value
        return read("langsense_limit_refusals"), read("langsense_limit_overrides")

    assert await seen(timedelta()) == (1, 1)
    assert (await seen(timedelta(hours=2)))[0] == 0
    assert await seen(timedelta(days=1)) == (0, 0)
