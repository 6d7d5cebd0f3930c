"""Gauges of limits that are met and set aside, and of reports that are late: they clear with time."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from metrics_service.domain.fold import fold
from metrics_service.domain.schedule import Run
from metrics_service.handlers.watching import MISSED_FOR, Watching
from metrics_service.repository import runs, totals
from metrics_service.settings import Settings
from shared import database as databases
from shared.contracts.kinds import Kind, Reason
from shared.telemetry import Metrics
from shared.testing import FakeLedger
from tests.metrics_service.conftest import UTC
from tests.support import LANES

pytestmark = pytest.mark.integration


async def test_they_say_what_was_refused_and_set_aside_lately(settings: Settings, engine: AsyncEngine) -> None:
    ledger = FakeLedger(lanes=LANES)
    event = ledger.add(Kind.GAME_BET, 42, reason=Reason.DAILY_LOSS_LIMIT)
    poor = ledger.add(Kind.GAME_BET, 42, reason=Reason.INSUFFICIENT_FUNDS)
    override = ledger.add(Kind.LIMIT_OVERRIDE, 42)
    async with databases.transaction(engine) as connection:
        await totals.save(connection, fold([event, poor, override], UTC))
    metrics = Metrics()

    async def seen(later: timedelta) -> tuple[float | None, float | None]:
        await Watching(settings, engine, metrics, lambda: event.created_at + later).look()
        read = metrics.registry.get_sample_value
        return read("langsense_limit_refusals"), read("langsense_limit_overrides")

    assert await seen(timedelta()) == (1, 1)
    assert (await seen(timedelta(hours=2)))[0] == 0
    assert await seen(timedelta(days=1)) == (0, 0)


async def test_a_report_is_late_from_when_it_was_due_until_it_is_sent_or_given_up(
    settings: Settings, engine: AsyncEngine
) -> None:
    row = FakeLedger(lanes=LANES).add(Kind.DEPOSIT, 42)
    day, due = row.created_at.date(), row.created_at
    late = Run(uuid4(), "day", day, day, due)
    # Of days on which there was nothing yet, no report can be made.
    empty = Run(uuid4(), "week", day - timedelta(days=7), day - timedelta(days=1), due)
    async with databases.transaction(engine) as connection:
        await totals.save(connection, fold([row], UTC))
        await runs.add(connection, [late, empty], due)
    metrics = Metrics()

    async def seen(later: timedelta) -> list[float | None]:
        await Watching(settings, engine, metrics, lambda: due + later).look()
        read = metrics.registry.get_sample_value
        return [read("langsense_reports_late_seconds", {"every": every}) for every in ("day", "week", "month")]

    assert await seen(timedelta(hours=2)) == [7200, 0, 0]
    assert await seen(MISSED_FOR + timedelta(seconds=1)) == [0, 0, 0]
    async with databases.transaction(engine) as connection:
        await runs.finish(connection, late, due)
    assert await seen(timedelta(hours=2)) == [0, 0, 0]
