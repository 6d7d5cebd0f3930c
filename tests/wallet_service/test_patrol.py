"""The patrol on a real journal: what is altered is shown, and what is put right is shown no more."""

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.contracts.kinds import Kind
from shared.keyring import Keyring
from shared.lanes import lane_of
from shared.signing import ChainKeys
from shared.telemetry import Metrics
from tests.support import LANES, Database, as_administrator
from tests.wallet_service.support import CHAIN_KEYS, CHECKPOINT_KEYS, command, decide
from wallet_service.handlers import patrol as patrols
from wallet_service.handlers.patrol import Patrol
from wallet_service.repository.patrolling import Beat

pytestmark = pytest.mark.integration

USER = 42
LANE = lane_of(USER, LANES)
TRIGGERS = "ALTER TABLE wallet.transactions {} TRIGGER USER"


def value(registry: CollectorRegistry, name: str) -> float | None:
    return registry.get_sample_value(f"langsense_{name}")


async def alter(database: Database, statement: str) -> None:
    for each in (TRIGGERS.format("DISABLE"), statement, TRIGGERS.format("ENABLE")):
        await as_administrator(database, each)


async def test_an_altered_row_is_shown_until_it_is_put_right(
    engine: AsyncEngine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patrols, "STRETCH_ROWS", 2)
    metrics = Metrics()
    beat = Beat(engine)
    patrol = Patrol(beat, Keyring.parse(CHAIN_KEYS, CHECKPOINT_KEYS), metrics, rows_per_s=100_000)
    deposits = [command(Kind.DEPOSIT, 100, user_id=USER) for _ in range(5)]
    await decide(engine, deposits, LANES, ChainKeys.parse(CHAIN_KEYS))

    async def look() -> tuple[float | None, float | None]:
        for lane, length in await beat.lanes():
            await patrol.walk(lane, length)
        return value(metrics.registry, "checksums_failed"), value(metrics.registry, "verification_errors")

    assert await look() == (0, 0)
    assert value(metrics.registry, "integrity_rows_checked_total") == 5
    row = f"WHERE lane = {LANE} AND position = 3"
    await alter(database, f"UPDATE wallet.transactions SET amount = amount + 1 {row}")
    assert await look() == (1, 0)
    await alter(database, f"UPDATE wallet.transactions SET amount = amount - 1 {row}")
    assert await look() == (0, 0)
    await alter(database, f"DELETE FROM wallet.transactions {row}")
    assert await look() == (0, 1)
